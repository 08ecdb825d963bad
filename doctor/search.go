package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/leak"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
)

// How far a folder is looked through for keys. More than any project of a Blnk has;
// what is beyond is said to be unseen.
const (
	mostDepth = 8
	mostFiles = 20_000
	mostBytes = 256 << 20
)

// secrets are the different keys at hand.
func (f *Facts) secrets(ctx context.Context) (keys []secret.Key) {
	for _, h := range f.held(ctx) {
		if !slices.ContainsFunc(keys, h.key.Equal) {
			keys = append(keys, h.key)
		}
	}
	return keys
}

// keyIn is the key at hand that a text holds; not one so short that it may be a usual word.
func (f *Facts) keyIn(ctx context.Context, text string) (secret.Key, bool) {
	const long = 16
	for _, key := range f.secrets(ctx) {
		if len(key.Reveal()) >= long && restart.Holds(text, key) {
			return key, true
		}
	}
	return secret.Key{}, false
}

// unread says which stores cannot be read, or that of all places no key is known.
func (f *Facts) unread(ctx context.Context, known int) (err error) {
	for _, s := range f.Stores(ctx) {
		if !errors.Is(s.Err, ErrWriteOnly) {
			err = errors.Join(err, s.Err)
		}
	}
	if known == 0 {
		err = cmp.Or(err, errors.New("no key is known"))
	}
	return err
}

// searchable says why a key cannot be looked for in texts that may hold a weak one, too.
func (f *Facts) searchable(ctx context.Context) error {
	keys := f.secrets(ctx)
	err := f.unread(ctx, len(keys))
	if len(keys) > 0 && !slices.ContainsFunc(keys, func(k secret.Key) bool { return k.Bits() >= leak.SearchBits }) {
		err = errors.Join(err, errors.New("the key is so weak that other texts may hold it, too"))
	}
	return err
}

// A spill is a file with a key in it.
type spill struct {
	Path string
	Kind string // "compose file"; "" where its name says nothing
	// Own: the key is none at hand, and one of blnkctl's form.
	Own   bool
	Name  string // the fingerprint of the key
	Lines []int
}

func (s spill) evidence() string {
	word := "line "
	if len(s.Lines) > 1 {
		word = "lines "
	}
	return word + s.lines(", ") + ": " + s.Name
}

func (s spill) lines(between string) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(s.Lines), " ", between), "[]")
}

// spillOf looks for a key at hand in the text of a file. In one that is no place of a key
// (public) also for others of blnkctl's form, and for weak keys, which documentation may
// show elsewhere. nil: none.
func (f *Facts) spillOf(ctx context.Context, path, text string, public bool) (own *spill) {
	matcher, _ := f.matcher.get(func() (*leak.Matcher, error) {
		var known []leak.Known
		for _, key := range f.secrets(ctx) {
			known = append(known, leak.Known{Key: key})
		}
		return leak.New(known...), nil
	})
	matches := matcher.In([]byte(text))
	if key, weak := f.keyIn(ctx, text); weak && public {
		matches = append(matches, leak.Match{Known: leak.Known{Key: key}})
	}
	for _, m := range matches {
		one := &spill{Path: path, Own: m.Own, Name: m.Key.Name()}
		for i, line := range strings.Split(text, "\n") {
			if restart.Holds(strings.TrimRight(line, "\r"), m.Key) {
				one.Lines = append(one.Lines, 1+i)
			}
		}
		if one.Lines == nil { // encoded, or over several lines
			one.Lines = []int{m.Line}
		}
		if !one.Own {
			return one
		}
		if public {
			own = one
		}
	}
	return own
}

// A searched is what came of looking through the project.
type searched struct {
	Spills []spill
	Looked string // how far, for evidence
}

// project are the files with a key below Dir, and below the folders of the stores' files.
// The error says what was not looked at.
func (f *Facts) project(ctx context.Context) (searched, error) {
	return f.searched.get(func() (found searched, err error) {
		var tops []string
		add := func(dir string) {
			tops = slices.DeleteFunc(tops, func(top string) bool { return strings.HasPrefix(top, dir+"/") })
			if dir != "/" && !slices.ContainsFunc(tops, func(top string) bool { return strings.HasPrefix(dir+"/", top+"/") }) {
				tops = append(tops, dir)
			}
		}
		for _, s := range f.Stores(ctx) {
			if s.Path != "" {
				add(filepath.Dir(s.Path))
			}
		}
		add(f.Dir)
		if len(tops) == 0 {
			return found, hint.Add(errors.New("/ is no folder of a project"), "run it in the folder of the project")
		}
		w := walk{facts: f}
		for _, top := range tops {
			err = errors.Join(err, w.below(ctx, top))
		}
		if w.closed > 0 {
			err = errors.Join(err, fmt.Errorf("%d files and folders below %s may not be read by this user", w.closed, strings.Join(tops, ", ")))
		}
		looked := fmt.Sprintf("looked at %d files below %s: %d folders deep, up to %d MiB each, but no .git and node_modules", w.files, strings.Join(tops, ", "), mostDepth, textfile.MaxSize>>20)
		return searched{w.spills, looked}, err
	})
}

// A walk looks through folders.
type walk struct {
	facts         *Facts
	spills        []spill
	files, closed int
	bytes         int
}

func (w *walk) below(ctx context.Context, dir string) error {
	top, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = top.Close() }()
	return fs.WalkDir(top.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch here := filepath.Join(dir, name); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			w.closed++
		case d.IsDir() && (strings.Count(name, "/") >= mostDepth || w.facts.passed(here, dir, d)):
			return fs.SkipDir
		case !d.Type().IsRegular() || isHistory(d.Name()):
		case w.files >= mostFiles || w.bytes >= mostBytes:
			return fmt.Errorf("%s: not all of it was looked at: more than %d files, or %d MiB", dir, mostFiles, mostBytes>>20)
		default:
			w.files++
			text, err := readFile(top.OpenFile(name, quietly, 0))
			if w.bytes += len(text); errors.Is(err, fs.ErrPermission) {
				w.closed++
			}
			kind := kindOf(name, text)
			if s := w.facts.spillOf(ctx, here, text, kind != ""); s != nil {
				s.Kind = kind
				w.spills = append(w.spills, *s)
			}
		}
		return nil
	})
}

// passed says whether a folder is left out: it holds what others made, or is blnkctl's
// own, or another file system (of the kernel, of the network).
func (f *Facts) passed(path, dir string, d fs.DirEntry) bool {
	info, err := d.Info()
	top, failed := os.Stat(dir)
	return slices.Contains([]string{".git", "node_modules"}, d.Name()) || f.State != nil && textfile.Same(path, f.State.Path()) ||
		err == nil && failed == nil && info.Sys().(*syscall.Stat_t).Dev != top.Sys().(*syscall.Stat_t).Dev
}

// quietly opens a file, and neither a link nor what is swapped in for it: a device may
// do something when it is opened, a FIFO waits.
const quietly = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// readFile reads what was opened, and closes it; "" of what is no file, one of the kernel
// (without a length, and maybe without an end), or one so large that nobody wrote it.
func readFile(file *os.File, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > textfile.MaxSize {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(file, textfile.MaxSize))
	return string(text), err
}

// kinds are files that are no place of a key, whose names say so.
var kinds = []struct {
	kind     string
	patterns []string // of the name, or of the path where there is a slash
}{
	{"Dockerfile", exposure.Dockerfiles()},
	{"compose file", exposure.ComposeFiles()},
	{"CI file", []string{
		".github/workflows/*.y*ml", ".gitea/workflows/*.y*ml", ".forgejo/workflows/*.y*ml", ".circleci/*.y*ml", ".buildkite/*.y*ml",
		".gitlab-ci*.y*ml", ".travis.y*ml", ".drone.y*ml", ".woodpecker.y*ml", "azure-pipelines*.y*ml", "bitbucket-pipelines.y*ml",
		"buildspec*.y*ml", "cloudbuild*.y*ml", "jenkinsfile*",
	}},
	{"Kubernetes manifest", []string{"kustomization.y*ml"}}, // others say it in their text
	{"Helm file", []string{"values*.y*ml"}},
	{"Terraform file", []string{"*.tf", "*.tfvars", "*.tfstate"}},
}

// kindOf says what a file is that is written to be shared; "" for others.
func kindOf(name, text string) string {
	name = strings.ToLower(filepath.ToSlash(name))
	for _, k := range kinds {
		for _, pattern := range k.patterns {
			rest := name
			for n := strings.Count(name, "/") - strings.Count(pattern, "/"); n > 0; n-- {
				_, rest, _ = strings.Cut(rest, "/")
			}
			if ok, _ := path.Match(pattern, rest); ok {
				return k.kind
			}
		}
	}
	yaml := strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".json")
	if yaml && strings.Contains(text, "apiVersion") && strings.Contains(text, "kind") {
		return "Kubernetes manifest"
	}
	return ""
}

// histories are where shells keep what was typed, in a home.
var histories = []string{".bash_history", ".zsh_history", ".zhistory", ".histfile", ".history", ".sh_history", ".ash_history", ".ksh_history", ".local/share/fish/fish_history"}

func isHistory(name string) bool {
	return slices.ContainsFunc(histories, func(h string) bool { return path.Base(h) == name })
}
