// Package exposure finds ways by which a file that holds a key gets to others than
// who has to read it: its mode, a commit, the image that a container is built of. What
// closes them is an [Edit], which can be shown before it is made.
//
// It does not promise that nobody else has read the file before, nor to see rules that
// stand elsewhere: an ignore list of another folder is asked of git alone.
package exposure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/textfile"
)

// An Edit is one change to one file: of its text, or of who may do what with it.
type Edit struct {
	Path string // absolute
	// Old and New are the text; Old is nil where the file is to be made, New where the
	// text stays.
	Old, New []byte
	// Was and Perm are mode and group, where the text stays.
	Was, Perm textfile.Perm
	What      string // in words: "mode 0644 -> 0600"
	// Names are those that an ignore list gains.
	Names []string
	// Own: a file that is made belongs to this user, and not to whoever owns the folder.
	Own bool
}

// String is the path and what is changed.
func (e Edit) String() string { return e.Path + ": " + e.What }

// Diff shows the edit: the lines that go and those that come.
func (e Edit) Diff() string {
	if e.New == nil {
		return e.String() + "\n"
	}
	before, after := lines(e.Old), lines(e.New)
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		before, after = before[1:], after[1:]
	}
	var b strings.Builder
	b.WriteString(e.String() + "\n")
	for _, side := range []struct {
		sign string
		text []string
	}{{"-", before}, {"+", after}} {
		for _, line := range side.text {
			b.WriteString("  " + side.sign + strings.TrimRight(line, "\r\n") + "\n")
		}
	}
	return b.String()
}

// Apply makes the edit where the file still is what was looked at; else an error that
// wraps textfile.ErrChanged. A file that is made can be read by all: it holds no key.
// The caller keeps other writers away (store.Set.Lock locks the same folder).
func (e Edit) Apply() error {
	f := textfile.Open(e.Path, "")
	switch {
	case e.New == nil:
		return f.SetPerm(e.Was, e.Perm)
	case e.Old == nil:
		return f.Create(e.New, 0o644, !e.Own)
	default:
		return f.Write(e.Old, e.New)
	}
}

// A Reader is a process that has to go on reading a file, or will.
type Reader struct {
	Name string
	listener.Rights
}

// Unknown is the UID of a reader whose user is not known.
const Unknown = -1

// As says in words as which user it reads.
func (r Reader) As() string {
	if r.UID == Unknown {
		return "as a user that is not known here"
	}
	return fmt.Sprintf("as user %d", r.UID)
}

// An Around is what is to be done to the files around a key.
type Around struct {
	Edits  []Edit
	Last   *Edit    // once the key is in force; nil: nothing
	Notes  []string // what no edit does
	Failed bool     // an edit could not be made, or a file not be looked at
}

// Lines are all of it in words, before it is done.
func (a *Around) Lines() (lines []string) {
	for _, e := range a.Edits {
		lines = append(lines, e.String())
	}
	if a.Last != nil {
		lines = append(lines, a.Last.String())
	}
	return append(lines, a.Notes...)
}

// Apply makes the edits, the last one too where it is time, and tells of each how it
// went. What is done is not done again.
func (a *Around) Apply(last bool, tell func(Edit, error)) {
	if last && a.Last != nil {
		a.Edits, a.Last = append(a.Edits, *a.Last), nil
	}
	for _, e := range a.Edits {
		err := e.Apply()
		a.Failed = a.Failed || err != nil
		tell(e, err)
	}
	a.Edits = nil
}

// Edits are all that keep files with a key from others than their readers, which readers
// tells. A file that is not there yet has no mode.
func Edits(ctx context.Context, paths []string, readers func(ctx context.Context, path string) []Reader) (a Around) {
	for i, path := range paths {
		if slices.Contains(paths[:i], path) {
			continue
		}
		its := readers(ctx, path)
		edit, note, err := Mode(path, its)
		switch {
		case edit != nil && len(its) == 0:
			edit.What += fmt.Sprintf(" (nothing that runs reads it: Blnk has to run as user %d, or root)", edit.Was.UID)
			a.Edits = append(a.Edits, *edit)
		case edit != nil:
			a.Edits = append(a.Edits, *edit)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			note, a.Failed = fmt.Sprintf("%s: who can read it is not known: %v", path, err), true
		}
		if note != "" {
			a.Notes = append(a.Notes, note)
		}
	}
	ignores, more := ignores(ctx, paths)
	a.Edits, a.Notes = append(a.Edits, ignores...), append(a.Notes, more...)
	return a
}

func ignores(ctx context.Context, files []string) ([]Edit, []string) {
	git, notes := GitIgnores(ctx, files)
	docker, unseen := DockerIgnores(files)
	return append(git, docker...), append(notes, unseen...)
}

// Mode is the edit after which only its owner and the readers can read a file, and only
// the owner write it; nil where that is so. note says why a mode that is too wide stays,
// or what the readers made necessary.
func Mode(path string, readers []Reader) (edit *Edit, note string, err error) {
	f := textfile.Open(path, "")
	was, err := f.Perm()
	if err != nil {
		return nil, "", err
	}
	next := was
	next.Mode = was.Mode & 0o600
	others := func(r Reader) bool { return !r.ReadsAll && r.UID != was.UID }
	needy := readers[:0:0]
	for _, r := range readers {
		if others(r) {
			needy = append(needy, r)
		}
	}
	if len(needy) > 0 {
		gid, ok := groupOf(was.GID, needy)
		if !ok {
			return nil, fmt.Sprintf("%s: the mode %04o stays: %s reads it %s, and has no group in common with the others that do", path, was.Mode.Perm(), needy[0].Name, needy[0].As()), nil
		}
		next.GID, next.Mode = gid, next.Mode|0o040
		note = fmt.Sprintf("%s: group %d may read it: %s does, %s", path, gid, needy[0].Name, needy[0].As())
	}
	switch {
	case next.Mode|was.Mode == next.Mode && (next.GID == was.GID || was.Mode&0o077 == 0):
		return nil, "", nil
	case was.ACL:
		return nil, fmt.Sprintf("%s: the mode %04o stays: it has an access control list (getfacl), which a chmod would change", path, was.Mode.Perm()), nil
	}
	what := fmt.Sprintf("mode %04o -> %04o", was.Mode.Perm(), next.Mode.Perm())
	if next.GID != was.GID {
		what += fmt.Sprintf(", group %d -> %d", was.GID, next.GID)
	}
	return &Edit{Path: path, Was: was, Perm: next, What: what}, note, nil
}

// groupOf is a group that all of the readers have: that of the file, if it can be.
func groupOf(gid int, readers []Reader) (int, bool) {
	for _, g := range append([]int{gid}, readers[0].Groups...) {
		all := true
		for _, r := range readers {
			all = all && r.In(g)
		}
		if all {
			return g, true
		}
	}
	return 0, false
}

// File is the edit that makes a file of this user's with a text; nil where there is one
// already, whatever it says. what tells people what it is for.
func File(path string, text []byte, what string) (*Edit, error) {
	there, err := read(path)
	if err != nil || there != nil {
		return nil, err
	}
	return &Edit{Path: path, New: text, What: what, Own: true}, nil
}

// read is the text of a file; nil where there is none.
func read(path string) ([]byte, error) {
	text, err := textfile.Open(path, "").Read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return append([]byte{}, text...), err
}

// GitIgnores are the edits after which git leaves out the files, and those of their names
// that Blnk's documentation uses, in the folders of the files that are in a repository.
// git itself is the judge of what it ignores. notes are about what an ignore list does
// not end, and what git does not tell.
func GitIgnores(ctx context.Context, files []string) (edits []Edit, notes []string) {
	folders, names := byFolder(files)
	for _, dir := range folders {
		repo, why := openRepository(ctx, dir)
		if repo != nil {
			found, said := repo.ignore(ctx, names[dir])
			edits, notes = append(edits, found...), append(notes, said...)
		}
		if why != nil {
			notes = append(notes, why.Error())
		}
	}
	return edits, notes
}

// DockerIgnores are GitIgnores for images that may be built in the folders of the files,
// or in a folder above, up to that of the repository. notes are about what could not be
// looked at.
func DockerIgnores(files []string) (edits []Edit, notes []string) {
	folders, names := byFolder(files)
	for _, file := range files {
		for _, top := range above(filepath.Dir(file)) {
			folders = appendOnce(folders, top)
			names[top] = appendOnce(names[top], strings.TrimPrefix(file, top+"/"))
		}
	}
	for _, dir := range folders {
		found, said := dockerIgnore(dir, names[dir])
		edits, notes = append(edits, found...), append(notes, said...)
	}
	return edits, notes
}

// byFolder are the names of files by their folders, in order, and the usual names.
func byFolder(files []string) (folders []string, names map[string][]string) {
	names = map[string][]string{}
	for _, path := range files {
		dir := filepath.Dir(path)
		if names[dir] == nil {
			folders, names[dir] = append(folders, dir), []string{"blnk.json", ".env", "blnk.env"}
		}
		names[dir] = appendOnce(names[dir], filepath.Base(path))
	}
	return folders, names
}

func appendOnce(list []string, name string) []string {
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}

func lines(text []byte) (all []string) {
	for line := range bytes.Lines(text) {
		all = append(all, string(line))
	}
	return all
}
