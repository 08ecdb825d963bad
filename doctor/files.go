package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/reach"
)

// A keyFile is a file that holds a key at hand, or is meant to: those of the stores,
// those that processes read, and copies in the project.
type keyFile struct {
	spill
	Real  string // behind all links
	Holds bool
	Copy  bool // nothing is known to read it
	// Ours: a store, or in the project. Others are of the process at a server's port, and
	// not changed without being named.
	Ours bool
}

// mending is the command that makes the edits of a rule.
func (f *Facts) mending(rule string, file keyFile) string {
	if file.Ours {
		return "blnkctl doctor --fix --rule " + rule + f.again()
	}
	scheme := "dotenv"
	if filepath.Ext(file.Path) == ".json" {
		scheme = "blnkjson"
	}
	return "blnkctl doctor --fix --rule " + rule + " --store " + hint.Quote(scheme+":"+file.Path)
}

// keyFiles are those files, each once. The error says which cannot be reached.
func (f *Facts) keyFiles(ctx context.Context) ([]keyFile, error) {
	return f.files.get(func() (all []keyFile, err error) {
		add := func(file keyFile) {
			real, failed := filepath.EvalSymlinks(file.Path)
			if failed != nil && file.Path != "" && !errors.Is(failed, fs.ErrNotExist) {
				err = errors.Join(err, failed)
			}
			if file.Path == "" || failed != nil || slices.ContainsFunc(all, func(o keyFile) bool { return o.Real == real }) {
				return // none there, or one that is known
			}
			file.Real, file.Ours = real, file.Ours || strings.HasPrefix(file.Path, f.Dir+"/")
			all = append(all, file)
		}
		for _, s := range f.Stores(ctx) {
			add(keyFile{spill: spill{Path: s.Path}, Holds: !s.Key.IsZero() || s.Err != nil, Ours: true})
		}
		given := func(path string, only bool) { // where it holds a key
			text, _ := readFile(os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0))
			s := f.spillOf(ctx, path, text, true)
			if holds := s != nil && !s.Own; holds || !only {
				add(keyFile{spill: spill{Path: path}, Holds: holds})
			}
		}
		for _, c := range f.Configurations(ctx) {
			given(c.Path, false)
		}
		for _, p := range f.Processes(ctx) {
			for _, path := range slices.Concat(p.EnvFiles, p.Mounts) {
				given(path, true)
			}
		}
		found, _ := f.project(ctx)
		for _, l := range found.Spills {
			if !l.Own {
				add(keyFile{spill: l, Holds: true, Copy: l.Kind == "", Ours: true})
			}
		}
		return all, err
	})
}

// secretFiles are those of them that are not written to be shared.
func (f *Facts) secretFiles(ctx context.Context, r *Result) []keyFile {
	all, err := f.keyFiles(ctx)
	r.unsure(err)
	all = slices.DeleteFunc(slices.Clone(all), func(file keyFile) bool { return file.Kind != "" })
	r.saw(len(all) > 0)
	return all
}

// inGit asks git about each of the files that a rule is about.
func (f *Facts) inGit(ctx context.Context, r *Result, about func(keyFile) bool, each func(keyFile, exposure.Standing)) {
	all, err := f.keyFiles(ctx)
	r.unsure(err)
	for _, file := range all {
		if !about(file) {
			continue
		}
		standing, failed := exposure.InGit(ctx, file.Real)
		r.unsure(failed)
		if standing != nil {
			r.saw(true)
			each(file, *standing)
		}
	}
}

// tracked: a file with the key in git is in every clone.
func tracked(ctx context.Context, f *Facts, r *Result) {
	holds := func(file keyFile) bool { return file.Holds }
	f.inGit(ctx, r, holds, func(file keyFile, in exposure.Standing) {
		remedy := untrack(file) + " && blnkctl rotate --compromised" + f.restarting()
		if file.Kind != "" {
			remedy = "take the key out, commit that, and then: blnkctl rotate --compromised" + f.restarting()
		}
		if in.Tracked {
			r.add(file.Path, "holds the key and is tracked by git: whoever has the repository has the key", remedy)
		}
	})
}

func untrack(file keyFile) string {
	return hint.Command("git", "-C", filepath.Dir(file.Real), "rm", "--cached", "--", filepath.Base(file.Real))
}

// ignored: a file that git does not ignore goes into the next commit.
func ignored(ctx context.Context, f *Facts, r *Result) {
	var bad []keyFile
	secret := func(file keyFile) bool { return file.Kind == "" }
	f.inGit(ctx, r, secret, func(file keyFile, in exposure.Standing) {
		if in.Tracked && !file.Holds && in.Ignored {
			r.add(file.Path, "is tracked by git, which no ignore list ends", untrack(file))
		} else if !in.Ignored {
			bad = append(bad, file)
		}
	})
	edits, notes := exposure.GitIgnores(ctx, reals(bad))
	fixes := fixesOf(edits, bad)
	for _, file := range bad {
		r.add(file.Path, "is not ignored by git: the next `git add .` takes it", f.mending("BLNK-2.20", file), notes...).
			Fix = fixes[filepath.Join(filepath.Dir(file.Real), ".gitignore")]
	}
}

// baked: what an image is built of is in the image.
func baked(ctx context.Context, f *Facts, r *Result) {
	files := f.secretFiles(ctx, r)
	edits, notes := exposure.DockerIgnores(reals(files))
	for _, note := range notes {
		r.unsure(errors.New(note))
	}
	fixes := fixesOf(edits, files)
	for _, file := range files {
		for _, e := range edits {
			dir, list := filepath.Split(e.Path)
			if name, below := strings.CutPrefix(file.Real, dir); below && slices.Contains(e.Names, name) {
				r.add(file.Path, "gets into every image that is built in "+filepath.Clean(dir)+": "+list+" does not leave it out",
					f.mending("BLNK-2.21", file)).Fix = fixes[e.Path]
			}
		}
	}
}

func reals(files []keyFile) (paths []string) {
	for _, file := range files {
		paths = append(paths, file.Real)
	}
	return paths
}

// fixesOf are the fixes of ignore lists by their path, of those above a file of ours.
func fixesOf(edits []exposure.Edit, files []keyFile) map[string]*Fix {
	fixes := map[string]*Fix{}
	for _, e := range edits {
		if slices.ContainsFunc(files, func(file keyFile) bool { return file.Ours && strings.HasPrefix(file.Real, filepath.Dir(e.Path)+"/") }) {
			fixes[e.Path] = fixOf(e)
		}
	}
	return fixes
}

// fixOf makes an edit under the lock of its folder, which keeps other runs of blnkctl
// away.
func fixOf(e exposure.Edit) *Fix {
	return &Fix{Diff: e.Diff(), Apply: func(ctx context.Context) error {
		file := textfile.Open(e.Path, "")
		folder, err := file.Folder()
		if err != nil {
			return err
		}
		unlock, err := flock.Lock(ctx, folder, 0)
		if err != nil {
			return err
		}
		defer unlock()
		if err := file.Repair(); err != nil { // what a killed run left
			return err
		}
		return e.Apply()
	}}
}

// modes: who else can read or write a file with the key, or a blnk.json, which has other
// passwords, too.
func modes(ctx context.Context, f *Facts, r *Result) {
	groups := readAccounts()
	for _, file := range f.secretFiles(ctx, r) {
		r.unsure(f.mode(ctx, r, file, groups))
	}
}

func (f *Facts) mode(ctx context.Context, r *Result, file keyFile, who accounts) error {
	now, err := textfile.Open(file.Path, "").Perm()
	if err != nil {
		return err
	}
	readers, maybe := reach.Readers(f.Processes(ctx), file.Real)
	unseen := ""
	for _, one := range maybe {
		if !one.ReadsAll && one.UID != now.UID {
			unseen = fmt.Sprintf("%s, which may not be looked at (%s), does not read it", one.Name, one.As())
		}
	}
	evidence := []string{fmt.Sprintf("mode %04o, user %d, group %d", now.Mode.Perm(), now.UID, now.GID)}
	for _, one := range readers {
		evidence = append(evidence, fmt.Sprintf("%s reads it, %s", one.Name, one.As()))
	}
	if len(readers) == 0 && unseen == "" {
		evidence = append(evidence, "no process is seen that reads it: see that the server's user still can")
		if now.Mode&0o047 == 0o040 { // its group may be how a server reads it that does not run now
			readers = append(readers, exposure.Reader{Rights: listener.Rights{UID: -1, Groups: []int{now.GID}}})
		}
	}
	edit, note, err := exposure.Mode(file.Path, readers)
	open := now.Mode.Perm() & 0o066
	if edit != nil && edit.Perm.GID == now.GID {
		open &^= edit.Perm.Mode.Perm() // who has to read goes on
	}
	switch {
	case err != nil:
	case open&0o006 != 0 || open != 0 && edit != nil && !who.alone(now.GID, now.UID):
		text, severity := reaches(open, file)
		one := r.add(file.Path, text, "", evidence...)
		one.Severity = severity
		one.mend(file, edit, note, unseen, f.mending("BLNK-2.22", file))
	case now.ACL && open != 0:
		r.add(file.Path, "has an access control list: see whom it lets read the key", hint.Command("getfacl", file.Path), evidence...).Severity = Note
	case f.strange(now.UID, readers, filepath.Dir(file.Real)):
		r.add(file.Path, fmt.Sprintf("belongs to user %d, who can read and replace the key, and is nobody who has to", now.UID),
			hint.Command("chown", "root", file.Path), evidence...).Severity = Warning
	}
	return err
}

// strange says whether a user is none of those who have to do with a file: root, who runs
// this, who runs Blnk, and whose folder it is.
func (f *Facts) strange(uid int, readers []exposure.Reader, dir string) bool {
	info, err := os.Stat(dir)
	return uid == nobody || uid != 0 && uid != f.UID && (err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != uid) &&
		!slices.ContainsFunc(readers, func(r exposure.Reader) bool { return r.UID == uid })
}

// mend says what helps against a mode: the edit, or what a person has to do.
func (f *Finding) mend(file keyFile, edit *exposure.Edit, note, unseen, command string) {
	switch {
	case edit == nil:
		f.Evidence = append(f.Evidence, note)
		f.Remedy = "let all that read it have one group, and: " + hint.Command("chmod", "o=", file.Path)
	case unseen != "":
		f.Remedy = hint.Command("chmod", fmt.Sprintf("%04o", edit.Perm.Mode.Perm()), file.Path) + ", if " + unseen
	default:
		if f.Remedy = command; file.Ours {
			f.Fix = fixOf(*edit)
		}
	}
}

// nobody is the user of programs that have none of their own.
const nobody = 65534

// reaches says what a mode lets others do.
func reaches(open fs.FileMode, file keyFile) (text string, severity Severity) {
	can := map[fs.FileMode]string{0o4: "read the key", 0o2: "replace the key", 0o6: "read and replace the key"}
	if !file.Holds {
		can = map[fs.FileMode]string{0o4: "read it, and the passwords in it", 0o2: "replace it", 0o6: "read and replace it"}
	}
	if others := can[open&0o006]; others != "" {
		for dir := filepath.Dir(file.Real); dir != "/"; dir = filepath.Dir(dir) {
			if info, err := os.Stat(dir); err == nil && info.Mode()&0o001 == 0 {
				return fmt.Sprintf("every user of this host can %s, but that %s keeps them out", others, dir), Warning
			}
		}
		return "every user of this host can " + others, Error
	}
	return "its group can " + can[open>>3&0o006] + ", and no process needs that", Warning
}

// folders: who can rename in a folder can put another file in the place of one.
func folders(ctx context.Context, f *Facts, r *Result) {
	who, seen, files := readAccounts(), map[string]bool{}, []keyFile(nil)
	all, err := f.keyFiles(ctx)
	r.unsure(err)
	for _, file := range all {
		if link := file; !file.Copy {
			link.Real = file.Path // who replaces a link replaces what it leads to
			files = append(files, link, file)
		}
	}
	for _, file := range files {
		r.saw(true)
		for dir := filepath.Dir(file.Real); !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			info, err := os.Stat(dir)
			if r.unsure(err); err != nil || info.Mode()&fs.ModeSticky != 0 { // there only its owner renames a file
				continue
			}
			st := info.Sys().(*syscall.Stat_t)
			evidence := fmt.Sprintf("mode %04o, user %d, group %d", info.Mode().Perm(), st.Uid, st.Gid)
			if info.Mode()&0o002 != 0 {
				r.add(dir, "every user of this host can put another file in the place of "+file.Path, hint.Command("chmod", "o-w", dir), evidence)
			} else if info.Mode()&0o020 != 0 && st.Gid != 0 && !who.alone(int(st.Gid), int(st.Uid)) {
				r.add(dir, fmt.Sprintf("group %d can put another file in the place of %s", st.Gid, file.Path), hint.Command("chmod", "g-w", dir), evidence).
					Severity = Warning
			}
		}
	}
}

// accounts are passwd(5) and group(5): by group, who is in it. What another name service
// knows is not there.
type accounts map[int][]string

func readAccounts() accounts {
	all := accounts{}
	for _, file := range []struct {
		path                string
		fields, group, name int
	}{{passwd, 7, 3, 0}, {"/etc/group", 4, 2, 3}} {
		for _, fields := range accountsOf(file.path, file.fields) {
			gid, _ := strconv.Atoi(fields[file.group])
			for name := range strings.SplitSeq(fields[file.name], ",") {
				if name != "" && !slices.Contains(all[gid], name) {
					all[gid] = append(all[gid], name)
				}
			}
		}
	}
	return all
}

const passwd = "/etc/passwd" // of seven fields

// accountsOf are the lines of a file that have so many fields.
func accountsOf(path string, n int) (all [][]string) {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) == n {
			all = append(all, fields)
		}
	}
	return all
}

// alone says whether a group is that of one user and of nobody else, as it is made for
// each user on many systems.
func (a accounts) alone(gid, uid int) bool { return gid == uid && len(a[gid]) <= 1 }
