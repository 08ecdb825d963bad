package leak

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/git"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
)

var (
	// ErrUnchecked: git could not be asked, or not for everything. What was found
	// before is returned with it, and what is missing was not found to be clean.
	ErrUnchecked = errors.New("not checked")
	// ErrNoRepository: there is none (it is ErrUnchecked, too).
	ErrNoRepository = hint.As(ErrUnchecked, "not in a git repository")
)

// A repository is one that git is asked about.
type repository struct {
	dir  string   // where git runs
	top  string   // its work tree, or its own folder
	own  string   // the folder that git keeps it in
	name string   // of a submodule; "" for the one that was asked for
	at   []string // options that name it, where git would not find it from dir
	env  []string
}

// open makes the repository that dir is in.
func open(dir string, inHook bool) repository {
	return repository{dir: dir, env: git.Environ(inHook)}
}

// stream runs git; it gets what write writes (nil: nothing), and read reads what it
// prints. An error of git is ErrUnchecked.
func (r repository) stream(ctx context.Context, write func(io.Writer), read func(io.Reader) error, args ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := git.Command(r.dir, r.env, slices.Concat(r.at, args)...)
	from, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer from.Close()
	widen(from)
	if write != nil {
		in, to, err := os.Pipe()
		if err != nil {
			out.Close()
			return err
		}
		defer in.Close()
		cmd.In = in
		go func() {
			write(to) // where git ends early, Run returns, and what is missing shows there
			to.Close()
		}()
	}
	cmd.Out = out
	ended := make(chan error, 1)
	go func() {
		_, err := cmd.Run(ctx)
		out.Close()
		ended <- err
	}()
	readErr := read(patient{from})
	if readErr != nil {
		cancel() // it would wait for its reader
	}
	gitErr := <-ended
	switch {
	case errors.Is(readErr, os.ErrDeadlineExceeded):
		return hint.As(ErrUnchecked, "git said nothing for %v", silence)
	case readErr != nil && !errors.Is(readErr, io.ErrUnexpectedEOF):
		return readErr
	case gitErr != nil:
		return r.why(gitErr)
	case readErr != nil:
		return hint.As(ErrUnchecked, "git printed less than it said")
	}
	return nil
}

// silence is how long git may say nothing. It waits for ever for a FIFO, which whoever owns
// a repository can put in the place of each of its files.
const silence = 2 * time.Minute

// patient is a pipe that is read no longer than that for one piece.
type patient struct{ *os.File }

func (p patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return p.File.Read(b)
}

// why says in git's own words what it could not do.
func (r repository) why(err error) error {
	if (run.Cmd{Args: []string{"git"}}).Check() != nil {
		return hint.Add(hint.As(ErrUnchecked, "git is not installed"), "install git")
	}
	if _, gone := os.Stat(r.dir); gone != nil {
		return hint.As(ErrUnchecked, "%w", gone)
	}
	said := ""
	if e, ok := errors.AsType[*run.ExitError](err); ok && e.Err == nil {
		for line := range strings.Lines(e.Result.Output) {
			if text, fatal := strings.CutPrefix(strings.TrimSpace(line), "fatal: "); fatal {
				said = text
				break
			}
		}
	}
	switch {
	case said == "":
		return hint.As(ErrUnchecked, "%w", err)
	case strings.HasPrefix(said, "not a git repository"):
		return ErrNoRepository
	}
	return hint.As(ErrUnchecked, "git: %s", said)
}

// fields reads what git prints with -z, and lines what it prints without.
func fields(each func(field string)) func(io.Reader) error { return pieces(0, each) }
func lines(each func(line string)) func(io.Reader) error   { return pieces('\n', each) }

func pieces(end byte, each func(piece string)) func(io.Reader) error {
	return func(r io.Reader) error {
		in := bufio.NewReader(r)
		for {
			piece, err := in.ReadString(end)
			if errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			each(piece[:len(piece)-1])
		}
	}
}

// objects scans what `git cat-file --batch` prints. Objects that git cannot read are an
// error at the end.
func (r repository) objects(ctx context.Context, m *Matcher, write func(io.Writer), each func(id, kind string, found []Match), args ...string) error {
	var damaged, packed []string
	err := r.stream(ctx, write, func(from io.Reader) error {
		in := bufio.NewReaderSize(from, m.buffer())
		for {
			line, err := in.ReadSlice('\n')
			if errors.Is(err, io.EOF) && len(line) == 0 {
				return nil
			} else if err != nil {
				return err
			}
			header := strings.Fields(string(line))
			if len(header) == 2 {
				damaged = append(damaged, short(header[0])) // "ID missing"
				continue
			}
			if len(header) != 3 {
				return hint.As(ErrUnchecked, "git prints something else than objects")
			}
			size, err := strconv.ParseInt(header[2], 10, 64)
			if err != nil {
				return err
			}
			found, err := m.object(in, size, write != nil)
			if len(found) > 0 {
				each(header[0], header[1], found)
			}
			if errors.Is(err, errPacked) {
				packed = append(packed, short(header[0]))
			} else if err != nil {
				return err
			}
			if _, err := in.Discard(1); err != nil { // the line end behind it
				return err
			}
		}
	}, append([]string{"cat-file", "--batch", "--buffer"}, args...)...)
	if len(damaged) > 0 {
		err = errors.Join(err, hint.As(ErrUnchecked, "git cannot read %d of the objects, such as %s", len(damaged), damaged[0]))
	}
	if len(packed) > 0 {
		err = errors.Join(err, hint.As(ErrUnchecked, "of %d objects that gzip made not all was searched, such as %s: it is damaged, or longer than %d MiB unpacked", len(packed), packed[0], mostPacked>>20))
	}
	return err
}

// all returns the repository and those of its submodules, however deep: what stands in
// its work tree, and what git keeps though no work tree is left. seen are the folders
// of those that are known already.
func (r repository) all(ctx context.Context, seen map[string]bool) ([]repository, error) {
	common, top, err := r.folders(ctx)
	if err != nil || seen[common] {
		return nil, err
	}
	seen[common], r.own = true, common
	r.top = cmp.Or(r.top, top, common)
	all := []repository{r}
	add := func(sub repository) {
		if sub.env, sub.top = r.env, r.top; r.name != "" {
			sub.name = r.name + "/" + sub.name
		}
		subs, subErr := sub.all(ctx, seen)
		all, err = append(all, subs...), errors.Join(err, subErr)
	}
	if top != "" {
		var linked []string
		err = r.stream(ctx, nil, fields(func(field string) {
			if info, path, ok := strings.Cut(field, "\t"); ok && strings.HasPrefix(info, "160000 ") {
				linked = append(linked, path)
			}
		}), "-C", top, "ls-files", "--stage", "-z")
		for _, path := range linked {
			if _, err := os.Lstat(filepath.Join(top, path, ".git")); err == nil {
				add(repository{dir: filepath.Join(top, path), name: path})
			}
		}
	}
	for _, kept := range []string{"modules", "worktrees"} {
		root := filepath.Join(common, kept)
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil //nolint:nilerr // what cannot be read is no repository to git either
			}
			if _, err := os.Stat(filepath.Join(path, "objects")); err != nil {
				return nil //nolint:nilerr // a folder above one
			}
			name, _ := filepath.Rel(root, path)
			add(repository{dir: path, name: name, at: []string{"--git-dir=.", "--work-tree=."}}) // its work tree may be gone
			return filepath.SkipDir                                                              // its own submodules are asked of it
		})
	}
	return all, err
}

// folders are those of the objects and of the work tree, "" where there is none.
func (r repository) folders(ctx context.Context) (common, top string, err error) {
	said := map[string]string{}
	for _, ask := range []string{"--git-common-dir", "--show-toplevel"} {
		askErr := r.stream(ctx, nil, lines(func(line string) { said[ask] = line }), "rev-parse", ask)
		if askErr != nil && ask == "--git-common-dir" {
			return "", "", askErr // a bare one has no top
		}
	}
	common, top = said["--git-common-dir"], said["--show-toplevel"]
	if !filepath.IsAbs(common) {
		common = filepath.Join(r.dir, common)
	}
	if r.at != nil {
		top = ""
	}
	common, err = filepath.EvalSymlinks(common)
	return common, top, err
}
