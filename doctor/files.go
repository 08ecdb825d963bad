package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
			if s := f.sight(ctx, text, true); s != nil && !s.Own || !only {
				add(keyFile{spill: spill{Path: path}, Holds: s != nil && !s.Own})
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

// secretFiles are those of them that are not written to be shared; ErrNothing where there
// is none.
func (f *Facts) secretFiles(ctx context.Context) ([]keyFile, error) {
	all, err := f.keyFiles(ctx)
	all = slices.DeleteFunc(slices.Clone(all), func(file keyFile) bool { return file.Kind != "" })
	if len(all) == 0 {
		err = cmp.Or(err, ErrNothing)
	}
	return all, err
}

// inGit asks git about each of the files that a rule is about.
func (f *Facts) inGit(ctx context.Context, about func(keyFile) bool, each func(keyFile, exposure.Standing)) (err error) {
	asked := 0
	all, err := f.keyFiles(ctx)
	for _, file := range all {
		if !about(file) {
			continue
		}
		standing, failed := exposure.InGit(ctx, file.Real)
		if err == nil || failed != nil && !strings.Contains(err.Error(), failed.Error()) {
			err = errors.Join(err, failed)
		}
		if standing != nil {
			asked++
			each(file, *standing)
		}
	}
	if asked == 0 && err == nil {
		return ErrNothing
	}
	return err
}

// tracked: a file with the key in git is in every clone.
func tracked(ctx context.Context, f *Facts) (found []Finding, err error) {
	holds := func(file keyFile) bool { return file.Holds }
	return found, f.inGit(ctx, holds, func(file keyFile, in exposure.Standing) {
		if !in.Tracked {
			return
		}
		remedy := untrack(file) + " && blnkctl rotate --compromised" + f.restarting()
		if file.Kind != "" {
			remedy = "take the key out, commit that, and then: blnkctl rotate --compromised" + f.restarting()
		}
		found = append(found, Finding{Place: file.Path, Text: "holds the key and is tracked by git: whoever has the repository has the key", Remedy: remedy})
	})
}

func untrack(file keyFile) string {
	return hint.Command("git", "-C", filepath.Dir(file.Real), "rm", "--cached", "--", filepath.Base(file.Real))
}

// ignored: a file that git does not ignore goes into the next commit.
func ignored(ctx context.Context, f *Facts) (found []Finding, err error) {
	var bad []keyFile
	secret := func(file keyFile) bool { return file.Kind == "" }
	err = f.inGit(ctx, secret, func(file keyFile, in exposure.Standing) {
		if in.Tracked && !file.Holds && in.Ignored {
			found = append(found, Finding{Place: file.Path, Text: "is tracked by git, which no ignore list ends", Remedy: untrack(file)})
		} else if !in.Ignored {
			bad = append(bad, file)
		}
	})
	fixes, notes := f.ignoring(bad, func(files []string) ([]exposure.Edit, []string) { return exposure.GitIgnores(ctx, files) })
	for _, file := range bad {
		list := filepath.Join(filepath.Dir(file.Real), ".gitignore")
		found = append(found, Finding{
			Place: file.Path, Text: "is not ignored by git: the next `git add .` takes it", Evidence: notes,
			Remedy: f.mending("BLNK-2.20", file), Fix: fixes[list].fix,
		})
	}
	return found, err
}

// baked: what an image is built of is in the image.
func baked(ctx context.Context, f *Facts) (found []Finding, err error) {
	files, err := f.secretFiles(ctx)
	fixes, notes := f.ignoring(files, exposure.DockerIgnores)
	for _, note := range notes {
		err = errors.Join(err, errors.New(note))
	}
	for _, file := range files {
		for _, path := range slices.Sorted(maps.Keys(fixes)) {
			list := fixes[path]
			if name, below := strings.CutPrefix(file.Real, filepath.Dir(path)+"/"); below && slices.Contains(list.names, name) {
				found = append(found, Finding{
					Place: file.Path, Text: "gets into every image that is built in " + filepath.Dir(path) + ": " + filepath.Base(path) + " does not leave it out",
					Remedy: f.mending("BLNK-2.21", file), Fix: list.fix,
				})
			}
		}
	}
	return found, err
}

// An ignoring is the edit of one ignore list.
type ignoring struct {
	fix   *Fix
	names []string
}

// ignoring are the edits after which files are ignored, by the path of the list.
func (f *Facts) ignoring(files []keyFile, ignores func(files []string) ([]exposure.Edit, []string)) (map[string]ignoring, []string) {
	var paths []string
	for _, file := range files {
		paths = append(paths, file.Real)
	}
	edits, notes := ignores(paths)
	lists := map[string]ignoring{}
	for _, e := range edits {
		one := ignoring{nil, e.Names}
		if slices.ContainsFunc(files, func(file keyFile) bool { return file.Ours && strings.HasPrefix(file.Real, filepath.Dir(e.Path)+"/") }) {
			one.fix = fixOf(e)
		}
		lists[e.Path] = one
	}
	return lists, notes
}

// fixOf makes an edit under the lock of its folder, which keeps other runs of blnkctl
// away.
func fixOf(e exposure.Edit) *Fix {
	return &Fix{Diff: e.Diff(), Apply: func(ctx context.Context) error {
		file, err := textfile.Open(e.Path, "")
		if err != nil {
			return err
		}
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
func modes(ctx context.Context, f *Facts) (found []Finding, err error) {
	files, err := f.secretFiles(ctx)
	groups := readAccounts()
	for _, file := range files {
		one, failed := f.mode(ctx, file, groups)
		if err = errors.Join(err, failed); one != nil {
			found = append(found, *one)
		}
	}
	return found, err
}

func (f *Facts) mode(ctx context.Context, file keyFile, who accounts) (*Finding, error) {
	opened, err := textfile.Open(file.Path, "")
	if err != nil {
		return nil, err
	}
	now, err := opened.Perm()
	if err != nil {
		return nil, err
	}
	readers, maybe := reach.Readers(f.Processes(ctx), file.Real)
	unseen := ""
	for _, r := range maybe {
		if !r.ReadsAll && r.UID != now.UID {
			unseen = fmt.Sprintf("%s, which may not be looked at (%s), does not read it", r.Name, r.As())
		}
	}
	found := &Finding{Place: file.Path, Evidence: []string{fmt.Sprintf("mode %04o, user %d, group %d", now.Mode.Perm(), now.UID, now.GID)}}
	for _, r := range readers {
		found.Evidence = append(found.Evidence, fmt.Sprintf("%s reads it, %s", r.Name, r.As()))
	}
	if len(readers) == 0 && unseen == "" {
		found.Evidence = append(found.Evidence, "no process is seen that reads it: see that the server's user still can")
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
		return nil, err
	case open&0o006 != 0 || open != 0 && edit != nil && !who.alone(now.GID, now.UID):
		found.Text, found.Severity = reaches(open, file)
		found.mend(file, edit, note, unseen, f.mending("BLNK-2.22", file))
	case now.ACL && open != 0:
		found.Text, found.Severity = "has an access control list: see whom it lets read the key", Note
		found.Remedy = hint.Command("getfacl", file.Path)
	case f.strange(now.UID, readers, filepath.Dir(file.Real)):
		found.Text, found.Severity = fmt.Sprintf("belongs to user %d, who can read and replace the key, and is nobody who has to", now.UID), Warning
		found.Remedy = hint.Command("chown", "root", file.Path)
	default:
		return nil, nil
	}
	return found, nil
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
		return "every user of this host can " + others, ""
	}
	return "its group can " + can[open>>3&0o006] + ", and no process needs that", Warning
}

// folders: who can rename in a folder can put another file in the place of one.
func folders(ctx context.Context, f *Facts) (found []Finding, err error) {
	who, seen, files := readAccounts(), map[string]bool{}, []keyFile(nil)
	all, err := f.keyFiles(ctx)
	for _, file := range all {
		if link := file; !file.Copy {
			link.Real = file.Path // who replaces a link replaces what it leads to
			files = append(files, link, file)
		}
	}
	for _, file := range files {
		for dir := filepath.Dir(file.Real); !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			info, failed := os.Stat(dir)
			if failed != nil {
				err = errors.Join(err, failed)
				continue
			}
			st := info.Sys().(*syscall.Stat_t)
			one := Finding{Place: dir, Evidence: []string{fmt.Sprintf("mode %04o, user %d, group %d", info.Mode().Perm(), st.Uid, st.Gid)}}
			switch {
			case info.Mode()&fs.ModeSticky != 0: // there only its owner renames a file
				continue
			case info.Mode()&0o002 != 0:
				one.Text, one.Remedy = "every user of this host can put another file in the place of "+file.Path, hint.Command("chmod", "o-w", dir)
			case info.Mode()&0o020 != 0 && st.Gid != 0 && !who.alone(int(st.Gid), int(st.Uid)):
				one.Text, one.Severity = fmt.Sprintf("group %d can put another file in the place of %s", st.Gid, file.Path), Warning
				one.Remedy = hint.Command("chmod", "g-w", dir)
			default:
				continue
			}
			found = append(found, one)
		}
	}
	if len(seen) == 0 {
		err = cmp.Or(err, ErrNothing)
	}
	return found, err
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
