package exposure

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/listener"
)

func write(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func inGit(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

func repo(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	inGit(t, dir, "init", "-q")
	return dir
}

func applied(t *testing.T, edits []Edit) {
	t.Helper()
	for _, e := range edits {
		if err := e.Apply(); err != nil {
			t.Fatal(err)
		}
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Every line that stood there stays, one block is added, and doing it again is nothing.
func TestIgnores(t *testing.T) {
	const block = Heading + "\nblnk.json\n.env\nblnk.env\n"
	for before, want := range map[string]string{
		"":                         block,
		"dist/\n":                  "dist/\n\n" + block,
		"dist/":                    "dist/\n\n" + block,
		"dist/\r\n":                "dist/\r\n\r\n" + strings.ReplaceAll(block, "\n", "\r\n"),
		".env\n":                   ".env\n\n" + Heading + "\nblnk.json\nblnk.env\n",
		"*.json\n!blnk.json\n":     "*.json\n!blnk.json\n\n" + block,
		"*.env\n*.json\n":          "*.env\n*.json\n", // .env matches *.env, too
		"a\n\n" + block + "b\n":    "a\n\n" + block + "b\n",
		block + "!blnk.json\n#x\n": "!blnk.json\n#x\n\n" + Heading + "\n.env\nblnk.env\nblnk.json\n",
	} {
		dir := repo(t)
		file := filepath.Join(dir, ".gitignore")
		if before != "" {
			write(t, file, before, 0o644)
		}
		edits, notes := ignores(t.Context(), []string{filepath.Join(dir, "blnk.json")})
		applied(t, edits)
		if got := text(t, file); got != want || len(notes) > 0 {
			t.Errorf("%q became %q, want %q; %q", before, got, want, notes)
		}
		if again, _ := ignores(t.Context(), []string{filepath.Join(dir, "blnk.json")}); len(again) > 0 {
			t.Errorf("%q: a second time %v", before, again)
		}
		for _, name := range []string{"blnk.json", ".env", "blnk.env"} {
			inGit(t, dir, "check-ignore", "-q", name)
		}
	}
}

func TestIgnoresOddNames(t *testing.T) {
	dir := repo(t)
	edits, _ := ignores(t.Context(), []string{filepath.Join(dir, "!a [1]*? ")})
	applied(t, edits)
	inGit(t, dir, "check-ignore", "-q", "--", "!a [1]*? ")
	if cmd := exec.Command("git", "-C", dir, "check-ignore", "-q", "--", "!a 1xx "); cmd.Run() == nil {
		t.Errorf("another name is ignored too: %q", text(t, filepath.Join(dir, ".gitignore")))
	}
}

// What is tracked stays so: no ignore list ends that.
func TestIgnoresTracked(t *testing.T) {
	dir := repo(t)
	path := write(t, filepath.Join(dir, "blnk.json"), "{}", 0o600)
	inGit(t, dir, "add", "blnk.json")
	edits, notes := ignores(t.Context(), []string{path})
	if len(edits) != 1 || len(notes) != 1 || !strings.Contains(notes[0], "rm --cached -- blnk.json") {
		t.Errorf("%v, %q", edits, notes)
	}
}

func TestIgnoresElsewhere(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "blnk.json"), "{}", 0o600)
	if edits, notes := ignores(t.Context(), []string{path}); len(edits)+len(notes) > 0 {
		t.Errorf("no repository and nothing to build: %v, %q", edits, notes)
	}
	write(t, filepath.Join(dir, "compose.yaml"), "services:\n  server:\n    image: blnk\n", 0o644)
	if edits, notes := ignores(t.Context(), []string{path}); len(edits)+len(notes) > 0 {
		t.Errorf("an image of another: %v, %q", edits, notes)
	}
	write(t, filepath.Join(dir, "compose.yaml"), "services:\n  server:\n    build: .\n", 0o644)
	write(t, filepath.Join(dir, "Dockerfile.dockerignore"), "*\n!blnk.json\n", 0o644)
	edits, _ := ignores(t.Context(), []string{path})
	applied(t, edits)
	if got, want := text(t, filepath.Join(dir, ".dockerignore")), Heading+"\nblnk.json\n.env\nblnk.env\n"; got != want {
		t.Errorf("%q", got)
	}
	if got, want := text(t, filepath.Join(dir, "Dockerfile.dockerignore")), "*\n!blnk.json\n\n"+Heading+"\nblnk.json\n"; got != want {
		t.Errorf("%q", got)
	}
	if edits, _ := ignores(t.Context(), []string{path}); len(edits) > 0 {
		t.Errorf("a second time %v", edits)
	}
	// A .git that is none: git does not answer, so the list of the folder decides.
	if err := os.Mkdir(filepath.Join(dir, ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	edits, notes := ignores(t.Context(), []string{path})
	if len(edits) != 1 || len(notes) != 1 || !strings.Contains(notes[0], "git was not asked") {
		t.Errorf("%v, %q", edits, notes)
	}
}

func TestMode(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	self := Reader{"it", listener.Rights{UID: uid, Groups: []int{gid}}}
	root := Reader{"root", listener.Rights{UID: 0, ReadsAll: true}}
	other := Reader{"other", listener.Rights{UID: uid + 1, Groups: []int{gid + 7, gid}}}
	far := Reader{"far", listener.Rights{UID: uid + 2, Groups: []int{gid + 9}}}
	for _, c := range []struct {
		mode    fs.FileMode
		readers []Reader
		want    fs.FileMode // 0: nothing is to be done
		note    string
	}{
		{0o644, nil, 0o600, ""},
		{0o644, []Reader{self, root}, 0o600, ""},
		{0o755, []Reader{self}, 0o600, ""},
		{0o600, []Reader{self}, 0, ""},
		{0o400, []Reader{self}, 0, ""},
		{0o444, []Reader{self}, 0o400, ""},
		{0o644, []Reader{self, other}, 0o640, "other does"},
		{0o640, []Reader{other}, 0, ""},
		{0o660, []Reader{other}, 0o640, "other does"},
		{0o644, []Reader{other, far}, 0, "the mode 0644 stays"},
	} {
		path := write(t, filepath.Join(t.TempDir(), "blnk.json"), "{}", c.mode)
		edit, note, err := Mode(path, c.readers)
		if err != nil || (edit == nil) != (c.want == 0) || !strings.Contains(note, c.note) || c.note == "" && note != "" {
			t.Errorf("%04o for %v: %v, %q, %v", c.mode, c.readers, edit, note, err)
			continue
		}
		if edit == nil {
			continue
		}
		if err := edit.Apply(); err != nil {
			t.Error(err)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != c.want {
			t.Errorf("%04o for %v: became %04o, want %04o", c.mode, c.readers, info.Mode().Perm(), c.want)
		}
		if edit.Apply() == nil {
			t.Errorf("%04o: applied to what has changed", c.mode)
		}
	}
	if uid != 0 {
		t.Skip("another group needs root")
	}
	path := write(t, filepath.Join(t.TempDir(), "blnk.json"), "{}", 0o644)
	edit, _, err := Mode(path, []Reader{far, root})
	if err != nil || edit == nil || edit.Apply() != nil {
		t.Fatal(edit, err)
	}
	if f, _, _ := Mode(path, []Reader{far}); f != nil || edit.Perm.GID != gid+9 || edit.Perm.Mode != 0o640 {
		t.Errorf("%+v, then %v", edit.Perm, f)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blnkctl.yaml")
	edit, err := File(path, []byte("a\n"), "made")
	if err != nil || edit == nil || edit.Apply() != nil || text(t, path) != "a\n" {
		t.Fatal(edit, err)
	}
	if edit.Apply() == nil {
		t.Error("made twice")
	}
	if edit, err := File(path, []byte("b\n"), "made"); edit != nil || err != nil {
		t.Errorf("it would be replaced: %v, %v", edit, err)
	}
	if got := (Edit{Path: "/x", Old: []byte("a\nb"), New: []byte("a\nc\n"), What: "w"}).Diff(); got != "/x: w\n  -b\n  +c\n" {
		t.Errorf("%q", got)
	}
}

// git is asked where the file is, whatever a hook's variables say.
func TestInGit(t *testing.T) {
	dir := repo(t)
	t.Setenv("GIT_DIR", t.TempDir())
	path := write(t, filepath.Join(dir, "blnk.json"), "{}", 0o600)
	want := func(what string, want Standing) {
		t.Helper()
		if got, err := InGit(t.Context(), path); err != nil || got == nil || *got != want {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	want("unknown", Standing{})
	write(t, filepath.Join(dir, ".gitignore"), "*.json\n", 0o644)
	want("ignored", Standing{Ignored: true})
	t.Setenv("GIT_DIR", filepath.Join(dir, ".git"))
	inGit(t, dir, "add", "-f", "blnk.json")
	want("both", Standing{Tracked: true, Ignored: true})
	outside := write(t, filepath.Join(t.TempDir(), "blnk.json"), "{}", 0o600)
	if got, err := InGit(t.Context(), outside); got != nil || err != nil {
		t.Errorf("outside: %+v, %v", got, err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, 4321, 4321); err != nil {
			t.Fatal(err)
		}
		if got, err := InGit(t.Context(), path); got != nil || err == nil || !strings.Contains(err.Error(), "dubious ownership") {
			t.Errorf("of another user: %+v, %v", got, err)
		}
	}
}

// An image is built in a folder above, too, as far as the repository goes; two files get
// into its list at once.
func TestIgnoresAbove(t *testing.T) {
	top := repo(t)
	dir := filepath.Join(top, "deploy", "a [b]")
	other := filepath.Join(top, "conf")
	for _, d := range []string{dir, other} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(top, "Dockerfile"), "FROM scratch\nCOPY . .\n", 0o644)
	files := []string{write(t, filepath.Join(dir, "blnk.json"), "{}", 0o600), write(t, filepath.Join(other, "x.env"), "", 0o600)}
	edits, _ := ignores(t.Context(), files)
	applied(t, edits)
	if got, want := text(t, filepath.Join(top, ".dockerignore")), Heading+"\ndeploy/a \\[b]/blnk.json\nconf/x.env\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if edits, _ := ignores(t.Context(), files); len(edits) > 0 {
		t.Errorf("a second time %v", edits)
	}
}

func TestMatched(t *testing.T) {
	for list, want := range map[string]bool{
		"": false, "blnk.json": false, "conf/blnk.json": true, "/conf/blnk.json": true, "conf": true, "conf/": true, "*": true, "*/blnk.json": true,
		"**/blnk.json": true, "**/conf": true, "**/*.json": true, "*.json": false, "*\n!conf": false, "*\n!other": true, "conf\n!conf/blnk.json": false, "#conf": false,
	} {
		if got := matched([]byte(list), "conf/blnk.json"); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
}
