package leak

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/secret"
)

// A Finding is a key at one place of a repository. All but the key is for people; a
// path that holds the key is masked.
type Finding struct {
	Match
	Repository string // its work tree, or its own folder where it has none
	Submodule  string // that it is in; "" for the repository itself
	Object     string // the first object with the key there
	Kind       string // of that: blob, commit (its message), tag, tree (a file name); file: one of git's own, which no clone has
	Path       string // of a blob; "" where none is known
	Commit     string // the oldest that has it there; "" where none has
	Date       time.Time
	Objects    int  // how many objects have the key there
	Indexed    bool // one of them is tracked now, or staged
	Remote     bool // a remote branch, as this clone knows it, has one
	Lost       bool // no branch, tag, stash or reflog leads to it: git gc removes it one day
}

// Where is the place, for people: a path, with the line where it is known, or what it
// is that holds the key. It does not name the repository.
func (f Finding) Where() string {
	switch {
	case f.Kind == "tag" && f.Path != "":
		return "tag " + strings.TrimPrefix(f.Path, "refs/tags/")
	case f.Path != "" && f.Line > 0:
		return f.Path + ":" + strconv.Itoa(f.Line)
	case f.Path != "":
		return f.Path
	case f.Kind == "commit":
		return "a commit message"
	case f.Kind == "tree":
		return "a file name"
	}
	return f.Kind + " " + short(f.Object)
}

// Since says how it stands in the repository, for people; "" where it is but staged.
func (f Finding) Since() string {
	var all []string
	if f.Commit != "" {
		all = append(all, "commit "+short(f.Commit)+" of "+f.Date.UTC().Format(time.DateOnly))
	}
	for text, is := range map[string]bool{"unreachable": f.Lost, "tracked now": f.Indexed, "on a remote branch": f.Remote} {
		if is {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func short(id string) string { return id[:min(len(id), 12)] }

// History searches every object of the repositories that folders belong to, and of their
// submodules: reachable or not, of all work trees, borrowed from other repositories.
// Git's own text files (the configuration with its URLs, reflogs) are searched too.
// A shallow or partial clone is ErrUnchecked, since it lacks some. Findings are one for
// each key and place. An error is ErrUnchecked, and then there may be more;
// ErrNoRepository where no folder is in one.
func History(ctx context.Context, m *Matcher, dirs ...string) (all []Finding, err error) {
	var repositories []repository
	seen, none := map[string]bool{}, 0
	for _, dir := range dirs {
		found, findErr := open(dir, false).all(ctx, seen)
		if errors.Is(findErr, ErrNoRepository) {
			none, findErr = none+1, nil
		}
		repositories, err = append(repositories, found...), errors.Join(err, findErr)
	}
	if none == len(dirs) {
		return nil, ErrNoRepository
	}
	for _, r := range repositories {
		found, histErr := r.history(ctx, m)
		all, err = append(all, found...), errors.Join(err, histErr)
	}
	return all, err
}

func (r repository) history(ctx context.Context, m *Matcher) ([]Finding, error) {
	hits := hits{}
	err := r.objects(ctx, m, nil, func(id, kind string, found []Match) {
		hits[id] = &hit{kind: kind, found: found}
	}, "--batch-all-objects", "--unordered")
	if len(hits) > 0 {
		err = errors.Join(err, r.locate(ctx, hits))
	}
	cut := r.stream(ctx, nil, lines(func(answer string) {
		if answer == "true" {
			err = errors.Join(err, hint.As(ErrUnchecked, "%s is a shallow clone, and what came before is not here: git fetch --unshallow gets it", r.top))
		}
	}), "rev-parse", "--is-shallow-repository")
	if partly, _ := fs.Glob(os.DirFS(r.own), "objects/pack/*.promisor"); len(partly) > 0 { // whatever the configuration says by now
		err = errors.Join(err, hint.As(ErrUnchecked, "%s is a partial clone, and what it has not fetched is not looked at: a clone without --filter has all", r.top))
	}
	found, unread := r.files(m, hits.findings(m, r))
	return found, errors.Join(err, cut, unread)
}

// mostFile is more than the longest of git's own text files: a reflog of 100,000 lines.
const mostFile = 32 << 20

// files adds the keys in git's own files to those in objects. What a reflog or the index
// says again of a commit was found there.
func (r repository) files(m *Matcher, all []Finding) (_ []Finding, err error) {
	objects := all
	walkErr := filepath.WalkDir(r.own, func(path string, d fs.DirEntry, failed error) error {
		name, _ := filepath.Rel(r.own, path)
		switch {
		case failed != nil:
			err = errors.Join(err, hint.As(ErrUnchecked, "%w", failed))
			return nil
		case d.IsDir() && (name == "objects" || name == "modules" || name == "lfs"):
			return fs.SkipDir // searched, and repositories of their own; what LFS keeps is no text
		case !d.Type().IsRegular():
			return nil
		}
		text, failed := textfile.Glance(path, mostFile)
		if failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, hint.As(ErrUnchecked, "%w", failed))
		}
		repeats := !slices.Contains([]string{"config", "config.worktree", "FETCH_HEAD"}, filepath.Base(name))
		for _, match := range m.In(text) {
			if !repeats || !slices.ContainsFunc(objects, func(f Finding) bool { return f.Key.Equal(match.Key) }) {
				shown, _ := filepath.Rel(r.top, path)
				all = append(all, Finding{Match: match, Repository: r.top, Kind: "file", Path: m.masked(shown), Objects: 1})
			}
		}
		return nil
	})
	return all, errors.Join(err, walkErr)
}

// Staged searches what the next commit adds or changes, in a folder of its repository.
// It is for a hook: where git says by its variables which repository and index these
// are, that is so.
func Staged(ctx context.Context, m *Matcher, dir string) ([]Finding, error) {
	r := open(dir, true)
	paths := map[string][]string{} // by object
	raw := ""
	if err := r.stream(ctx, nil, lines(func(line string) { r.top = line }), "rev-parse", "--show-toplevel"); err != nil {
		return nil, err // diff would take it for two files to compare
	}
	err := r.stream(ctx, nil, fields(func(field string) {
		if strings.HasPrefix(field, ":") && raw == "" {
			raw = field
			return
		}
		if mode, id := newSide(raw); mode != submodule {
			paths[id] = append(paths[id], field)
		}
		raw = ""
	}), "diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--diff-filter=d", "--no-ext-diff", "--no-color")
	if err != nil || len(paths) == 0 {
		return nil, err
	}
	var all []Finding
	err = r.objects(ctx, m, func(to io.Writer) {
		for id := range paths {
			if _, err := fmt.Fprintln(to, id); err != nil {
				return
			}
		}
	}, func(id, kind string, found []Match) {
		for _, path := range paths[id] {
			for _, match := range found {
				all = append(all, Finding{Match: match, Repository: r.top, Object: id, Kind: kind, Path: m.masked(path), Objects: 1, Indexed: true})
			}
		}
	})
	slices.SortStableFunc(all, func(a, b Finding) int { return strings.Compare(a.Path, b.Path) })
	return all, err
}

const submodule = "160000" // the mode of a commit of another repository

// newSide reads ":OLDMODE NEWMODE OLD NEW STATUS".
func newSide(raw string) (mode, id string) {
	if f := strings.Fields(raw); len(f) == 5 {
		return f[1], f[3]
	}
	return "", ""
}

// hits are the objects with keys, by id.
type hits map[string]*hit

type hit struct {
	kind   string
	found  []Match
	places []*Finding // where it stands; what is the same of all of them is missing yet
}

func (h *hit) at(path string) *Finding {
	for _, p := range h.places {
		if p.Path == path {
			return p
		}
	}
	p := &Finding{Path: path}
	h.places = append(h.places, p)
	return p
}

// locate finds out where the objects stand.
func (r repository) locate(ctx context.Context, hits hits) error {
	trees := slices.DeleteFunc(hits.all(), func(h *hit) bool { return h.kind != "tree" })
	commit, raw, date := "", "", time.Time{}
	by := map[string][]*Finding{} // by commit
	in := func(p *Finding) {
		by[commit] = append(by[commit], p)
		if p.Commit == "" || !date.After(p.Date) {
			p.Commit, p.Date = commit, date
		}
	}
	err := r.stream(ctx, nil, fields(func(field string) {
		header, isHeader := strings.CutPrefix(strings.TrimPrefix(field, "\n"), "commit ")
		switch {
		case raw != "":
			_, id := newSide(raw)
			if h := hits[id]; h != nil {
				in(h.at(field))
			}
			raw = ""
			for _, h := range trees {
				if slices.ContainsFunc(h.found, func(f Match) bool { return run.Mask(field, f.Key) != field }) {
					in(h.at(""))
				}
			}
		case isHeader:
			id, seconds, _ := strings.Cut(header, " ")
			unix, _ := strconv.ParseInt(seconds, 10, 64)
			commit, date = id, time.Unix(unix, 0)
			if h := hits[id]; h != nil && len(h.places) == 0 {
				in(h.at(""))
			}
		default:
			raw = strings.TrimPrefix(field, "\n")
		}
	}), "log", "--all", "--reflog", "--raw", "-z", "-r", "-m", "--root", "--no-abbrev", "--no-renames",
		"--no-ext-diff", "--no-color", "--no-notes", "--no-mailmap", "--format=tformat:commit %H %ct")
	err = errors.Join(err, r.stream(ctx, nil, lines(func(line string) {
		id, ref, _ := strings.Cut(line, " ")
		if h := hits[id]; h != nil && h.kind != "commit" { // a tag, or a blob that somebody gave a name
			h.at(ref)
		}
	}), "for-each-ref", "--format=%(objectname) %(refname)"), r.stream(ctx, nil, fields(func(field string) {
		info, path, _ := strings.Cut(field, "\t")
		if f := strings.Fields(info); len(f) == 3 && hits[f[1]] != nil {
			hits[f[1]].at(path).Indexed = true
		}
	}), "ls-files", "--stage", "-z"), r.stream(ctx, nil, lines(func(commit string) {
		for _, p := range by[commit] {
			p.Remote = true
		}
	}), "rev-list", "--remotes"))
	return errors.Join(err, r.reachable(ctx, hits))
}

// reachable finds out which objects without a place something leads to all the same: a
// tag of a tag, a tree in a tag.
func (r repository) reachable(ctx context.Context, hits hits) error {
	if !slices.ContainsFunc(hits.all(), func(h *hit) bool { return len(h.places) == 0 }) {
		return nil
	}
	return r.stream(ctx, nil, lines(func(line string) {
		id, _, _ := strings.Cut(line, " ")
		if h := hits[id]; h != nil && len(h.places) == 0 {
			h.at("")
		}
	}), "rev-list", "--all", "--reflog", "--indexed-objects", "--objects")
}

func (hs hits) all() []*hit { return slices.Collect(maps.Values(hs)) }

// findings are one for each key and place.
func (hs hits) findings(m *Matcher, r repository) []Finding {
	var all []Finding
	at := map[string][]int{} // of all, by place
	for _, id := range slices.Sorted(maps.Keys(hs)) {
		h := hs[id]
		if len(h.places) == 0 {
			h.at("").Lost = true
		}
		for _, match := range h.found {
			for _, p := range h.places {
				one := *p
				one.Match, one.Repository, one.Submodule, one.Object, one.Kind, one.Objects = match, r.top, r.name, id, h.kind, 1
				one.Path = m.masked(p.Path)
				place := fmt.Sprint(one.Kind, one.Lost, one.Path)
				i := slices.IndexFunc(at[place], func(i int) bool { return all[i].Key.Equal(one.Key) })
				if i >= 0 {
					all[at[place][i]].add(one)
					continue
				}
				at[place] = append(at[place], len(all))
				all = append(all, one)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), a.Date.Compare(b.Date), strings.Compare(a.Path, b.Path), strings.Compare(a.Object, b.Object))
	})
	return all
}

func (f *Finding) add(g Finding) {
	f.Objects++
	f.Indexed, f.Remote = f.Indexed || g.Indexed, f.Remote || g.Remote
	if f.Commit == "" || g.Commit != "" && g.Date.Before(f.Date) {
		f.Object, f.Commit, f.Date = g.Object, g.Commit, g.Date
	}
}

// masked hides keys in the name of a place.
func (m *Matcher) masked(path string) string {
	keys := make([]secret.Key, len(m.keys))
	for i, known := range m.keys {
		keys[i] = known.Key
	}
	return secret.MaskOwn(run.Mask(path, keys...))
}
