package exposure

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/git"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
)

// gitTimeout is far more than git takes to look at its index.
const gitTimeout = 20 * time.Second

// Heading stands above the lines in an ignore list that are blnkctl's.
const Heading = "# Files that hold a key of Blnk"

// A repository is the working tree of git that a folder belongs to.
type repository struct {
	dir string
	// mute: git does not answer here, so that only the list of the folder is looked at.
	mute bool
}

// openRepository asks git; nil where the folder is in no working tree. why says what
// git would not tell.
func openRepository(ctx context.Context, dir string) (r *repository, why error) {
	r = &repository{dir: dir}
	res, err := r.git(ctx, "rev-parse", "--is-inside-work-tree")
	switch {
	case err == nil && strings.TrimSpace(res.Output) == "true":
		return r, nil
	case err == nil || !belowGit(dir):
		return nil, nil
	}
	r.mute = true
	return r, r.unsaid(res, err)
}

// unsaid is the error of a question that git did not answer, in its words.
func (r *repository) unsaid(res run.Result, err error) error {
	said, _, _ := strings.Cut(strings.TrimSpace(res.Output), "\n")
	return fmt.Errorf("%s: git was not asked what it ignores and tracks there: %s", r.dir, cmp.Or(said, err.Error()))
}

// belowGit says whether git would find a repository from a folder.
func belowGit(dir string) bool { return hasGit(dir) || len(above(dir)) > 0 }

func hasGit(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ".git"))
	return err == nil
}

// above are the folders above one, up to that of the repository; none outside of one.
func above(dir string) (all []string) {
	for !hasGit(dir) {
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
		all = append(all, dir)
	}
	return all
}

func (r *repository) git(ctx context.Context, args ...string) (run.Result, error) {
	cmd := git.Command(r.dir, git.Environ(false), args...)
	cmd.Timeout = gitTimeout
	return cmd.Run(ctx)
}

// A Standing is what git says of a file. It may be both.
type Standing struct{ Tracked, Ignored bool }

// InGit asks git about a file; nil where its folder belongs to no working tree. An error
// says why git did not tell.
func InGit(ctx context.Context, file string) (*Standing, error) {
	r, why := openRepository(ctx, filepath.Dir(file))
	if r == nil || r.mute {
		return nil, why
	}
	tracked, err := r.tracks(ctx, filepath.Base(file))
	if err != nil {
		return nil, err
	}
	return &Standing{tracked, r.ignores(ctx, nil, filepath.Base(file))}, nil
}

// tracks asks for a name of the folder. What git cannot tell is no "no": it ends with 1
// where it knows no such file, and with more where it could not look.
func (r *repository) tracks(ctx context.Context, name string) (bool, error) {
	res, err := r.git(ctx, "--literal-pathspecs", "ls-files", "--error-unmatch", "--", name)
	if err != nil && res.Exit != 1 {
		return false, r.unsaid(res, err)
	}
	return err == nil, nil
}

// ignores is git's own word on a name of the folder, whether or not it is tracked.
func (r *repository) ignores(ctx context.Context, list []byte, name string) bool {
	if r.mute {
		return matched(list, name)
	}
	_, err := r.git(ctx, "check-ignore", "--quiet", "--no-index", "--", name)
	return err == nil
}

func (r *repository) ignore(ctx context.Context, names []string) (edits []Edit, notes []string) {
	file := filepath.Join(r.dir, ".gitignore")
	list, err := read(file)
	if err != nil {
		return nil, []string{fmt.Sprintf("not ignored by git: %v", err)}
	}
	var missing []string
	for _, name := range names {
		if !r.ignores(ctx, list, name) {
			missing = append(missing, name)
		}
		if r.mute {
			continue
		}
		switch tracked, err := r.tracks(ctx, name); {
		case err != nil:
			notes = appendOnce(notes, err.Error())
		case tracked:
			notes = append(notes, fmt.Sprintf("%s is tracked by git, which no ignore list ends: %s", filepath.Join(r.dir, name),
				hint.Command("git", "-C", r.dir, "rm", "--cached", "--", name)))
		}
	}
	return withBlock(file, list, missing, "git"), notes
}

// dockerIgnore keeps names out of the context of an image that is built in a folder.
func dockerIgnore(dir string, names []string) (edits []Edit, notes []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, []string{fmt.Sprintf("not looked for a Dockerfile: %v", err)}
	}
	lists, builds := []string{".dockerignore"}, false
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasSuffix(name, ".dockerignore"):
			builds, lists = true, appendOnce(lists, name) // of a Dockerfile of its own
		case isBuilt(dir, name):
			builds = true
		}
	}
	for _, name := range lists {
		if !builds {
			break
		}
		file := filepath.Join(dir, name)
		list, err := read(file)
		if err != nil {
			notes = append(notes, fmt.Sprintf("not ignored by Docker: %v", err))
			continue
		}
		missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return matched(list, name) })
		edits = append(edits, withBlock(file, list, missing, "Docker")...)
	}
	return edits, notes
}

// Dockerfiles and ComposeFiles are what such files are called: patterns of a name in
// lower case.
func Dockerfiles() []string {
	return []string{"dockerfile", "dockerfile.*", "*.dockerfile", "containerfile", "containerfile.*"}
}

// ComposeFiles is described at Dockerfiles.
func ComposeFiles() []string { return []string{"compose*.y*ml", "docker-compose*.y*ml"} }

// UsualComposeFile is the one that Compose takes in a folder; "" where there is none.
func UsualComposeFile(dir string) string {
	for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

// isBuilt knows the files by which Docker and Compose build an image of their folder.
func isBuilt(dir, name string) bool {
	lower := strings.ToLower(name)
	is := func(pattern string) bool { ok, _ := path.Match(pattern, lower); return ok }
	if slices.ContainsFunc(Dockerfiles(), is) {
		return true
	}
	if !slices.ContainsFunc(ComposeFiles(), is) {
		return false
	}
	text, err := read(filepath.Join(dir, name))
	return err != nil || slices.ContainsFunc(lines(text), func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "build:") })
}

// matched says whether an ignore list leaves out a file of its own folder, or below it:
// the last pattern that matches it, or a folder on the way, decides.
func matched(list []byte, name string) (yes bool) {
	for _, line := range lines(list) {
		line = strings.TrimSpace(line)
		pattern, not := strings.CutPrefix(line, "!")
		pattern, deep := strings.CutPrefix(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(pattern, "/"), "./"), "/"), "**/")
		for at := name; at != "." && line != "" && line[0] != '#'; at = path.Dir(at) {
			ok, _ := path.Match(pattern, at)
			base, _ := path.Match(pattern, path.Base(at))
			if ok || deep && base {
				yes = !not
			}
		}
	}
	return yes
}

// withBlock is the edit that adds names to an ignore list, below one heading at its end:
// there they count, whatever stands before. Every other line stays.
func withBlock(file string, list []byte, names []string, who string) []Edit {
	if len(names) == 0 {
		return nil
	}
	newline := "\n"
	if strings.Contains(string(list), "\r\n") {
		newline = "\r\n"
	}
	var kept, block []string
	inside := false
	for _, line := range lines(list) {
		bare := strings.TrimRight(line, "\r\n")
		switch {
		case bare == Heading && !inside:
			inside = true
			if n := len(kept); n > 0 && strings.TrimRight(kept[n-1], "\r\n") == "" {
				kept = kept[:n-1] // the blank line above it
			}
		case inside && bare != "" && !strings.HasPrefix(bare, "#") && !strings.HasPrefix(bare, "!"):
			block = append(block, bare)
		default:
			inside = false
			kept = append(kept, line)
		}
	}
	for _, name := range names {
		block = appendOnce(slices.DeleteFunc(block, func(b string) bool { return b == escaped(name) }), escaped(name))
	}
	text := strings.Join(kept, "")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += newline
	}
	if text != "" {
		text += newline
	}
	text += Heading + newline + strings.Join(block, newline) + newline
	return []Edit{{Path: file, Old: list, New: []byte(text), Names: names, What: "let " + who + " ignore " + strings.Join(names, ", ")}}
}

// escaped is the pattern of a name and of nothing else (gitignore(5)).
func escaped(name string) string {
	pattern := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
	if strings.HasPrefix(pattern, "#") || strings.HasPrefix(pattern, "!") {
		pattern = `\` + pattern
	}
	if strings.HasSuffix(pattern, " ") {
		pattern = pattern[:len(pattern)-1] + `\ `
	}
	return pattern
}
