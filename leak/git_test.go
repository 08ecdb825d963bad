package leak

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/keygen"
)

// What cannot be looked at is said, with what was found before.
func TestUnchecked(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(r *repo)
		is    error
		says  string
		found string
	}{
		"no repository": {func(r *repo) { r.dir = r.TempDir() }, ErrNoRepository, "not in a git repository", ""},
		"no git":        {func(r *repo) { r.leak("a"); r.Setenv("PATH", r.TempDir()) }, ErrUnchecked, "git is not installed", ""},
		"no folder":     {func(r *repo) { r.dir += "/gone" }, ErrUnchecked, "gone", ""},
		"not ours": {func(r *repo) {
			if os.Geteuid() != 0 {
				r.Skip("a file of another user takes root")
			}
			r.leak("a")
			if err := filepath.WalkDir(r.dir, func(path string, _ os.DirEntry, _ error) error { return os.Lchown(path, 65534, 65534) }); err != nil {
				r.Fatal(err)
			}
		}, ErrUnchecked, "dubious ownership", ""},
		"damaged object": {func(r *repo) {
			r.leak("a")
			r.git("gc", "-q")
			r.commit("b", "will be damaged\n")
			id := r.git("rev-parse", "HEAD:b")
			path := filepath.Join(r.dir, ".git/objects", id[:2], id[2:])
			if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("damaged"), 0o600)); err != nil {
				r.Fatal(err)
			}
		}, ErrUnchecked, "git cannot read 1 of the objects", "the live key in a" + day},
		"partial, without trees": {func(r *repo) {
			r.leak("a")
			r.commit("b", r.key.Reveal())
			r.git("config", "uploadpack.allowFilter", "true")
			r.git("clone", "-q", "--filter=tree:0", "file://"+r.dir, "copy")
			r.dir += "/copy"
		}, ErrUnchecked, "git", "the live key in b"},
		"partial, whatever the configuration says": {func(r *repo) {
			r.leak("a")
			r.commit("b", r.key.Reveal())
			r.git("config", "uploadpack.allowFilter", "true")
			r.git("clone", "-q", "--filter=blob:none", "file://"+r.dir, "[a]copy") // a pattern to glob(7)
			r.dir += "/[a]copy"
			r.git("remote", "remove", "origin")
		}, ErrUnchecked, "copy is a partial clone", "the live key in b"},
		"damaged gzip": {func(r *repo) {
			packed := r.packed(1 << 20)
			r.commit("cut.gz", packed[:len(packed)-12])
			r.commit("changed.gz", packed[:len(packed)-3]+"sum")
			r.commit("none.gz", "\x1f\x8b\x08\x00and then no such thing")
			r.commit("more.gz", packed+"and more that gzip has not made")
		}, ErrUnchecked, "of 4 objects that gzip made not all was searched",
			"the live key in changed.gz" + day + ", tracked now; the live key in cut.gz" + day + ", tracked now; the live key in more.gz"},
		"gzip, more than is searched": {func(r *repo) {
			r.leak("a")
			r.commit("large.gz", r.packed(mostPacked))
		}, ErrUnchecked, "of 1 objects that gzip made not all was searched", "the live key in a" + day},
		"damaged submodule": {func(r *repo) {
			r.submodule()
			r.leak("b")
			if err := os.WriteFile(filepath.Join(r.dir, ".git/modules/sub/config"), []byte("[damaged"), 0o600); err != nil {
				r.Fatal(err)
			}
		}, ErrUnchecked, "git: bad config", "the live key in b" + day},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			c.do(r)
			found, err := History(t.Context(), r.matcher(), r.dir)
			if !errors.Is(err, c.is) || !errors.Is(err, ErrUnchecked) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want %q", err, c.says)
			}
			if got := told(found); !strings.Contains(got, c.found) {
				t.Errorf("%q; want %q", got, c.found)
			}
			if c.found == "" {
				if _, err := Staged(t.Context(), r.matcher(), r.dir); !errors.Is(err, c.is) {
					t.Errorf("staged: %v", err)
				}
			}
		})
	}
}

// A folder that the caller's own settings call safe is looked into.
func TestSafeFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a file of another user takes root")
	}
	r := newRepo(t)
	r.leak("a")
	if err := filepath.WalkDir(r.dir, func(path string, _ os.DirEntry, _ error) error { return os.Lchown(path, 65534, 65534) }); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "safe.directory")
	t.Setenv("GIT_CONFIG_VALUE_0", r.dir)
	found, err := History(t.Context(), r.matcher(), r.dir)
	if got := told(found); err != nil || got != "the live key in a"+day {
		t.Errorf("%q, %v", got, err)
	}
}

// No key in an argument or a variable of git, no setting of Blnk, and nothing of the
// repository's configuration is run.
func TestGitIsOnlyAsked(t *testing.T) {
	r := newRepo(t)
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	r.submodule()
	r.leak("a")
	r.write("a", "staged "+r.key.Reveal())
	r.git("add", "a")
	ran := filepath.Join(t.TempDir(), "ran")
	r.write("program", "#!/bin/sh\necho \"$0 $@\" >>"+hint.Quote(ran)+"\n")
	program := filepath.Join(r.dir, "program")
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"core.fsmonitor", "core.pager", "pager.log", "core.sshCommand", "diff.external", "diff.x.textconv", "diff.x.command",
		"filter.x.clean", "filter.x.smudge", "gpg.program", "core.editor", "core.alternateRefsCommand",
	} {
		r.git("config", name, program)
	}
	r.git("config", "log.showSignature", "true")
	r.write(".git/info/attributes", "* diff=x filter=x\n")
	for _, hook := range []string{"post-index-change", "pre-commit", "reference-transaction"} {
		r.write(".git/hooks/"+hook, "#!/bin/sh\nexec "+hint.Quote(program)+"\n")
		if err := os.Chmod(filepath.Join(r.dir, ".git/hooks", hook), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bin, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	wrapper := "#!/bin/sh\n{ env; echo \"$@\"; } >>" + hint.Quote(log) + "\nexec " + hint.Quote(git) + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("BLNK_SERVER_SECRET_KEY", r.key.Reveal())
	t.Setenv("BLNKCTL_VALUE", r.key.Reveal())
	t.Setenv("GIT_DIR", "/nowhere") // another's, as in an alias or hook
	if found, err := History(t.Context(), r.matcher(), r.dir); err != nil || len(found) != 2 {
		t.Errorf("%q, %v", told(found), err)
	}
	t.Setenv("GIT_DIR", "")
	os.Unsetenv("GIT_DIR")
	if found, err := Staged(t.Context(), r.matcher(), r.dir); err != nil || len(found) != 1 {
		t.Errorf("%q, %v", told(found), err)
	}
	said, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(said), "cat-file") {
		t.Fatalf("git was not run: %v", err)
	}
	for _, shape := range r.key.Encodings() {
		if strings.Contains(string(said), shape) {
			t.Error("the key is in an argument or a variable of git")
		}
	}
	if strings.Contains(string(said), "BLNK") {
		t.Error("git has settings of Blnk or blnkctl")
	}
	if did, err := os.ReadFile(ran); err == nil {
		t.Errorf("run: %s", did)
	}
}

func TestStaged(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(r *repo)
		want string
	}{
		"nothing":           {func(r *repo) { r.commit("a", "hello\n") }, ""},
		"before the first":  {func(r *repo) { r.write("a b", "x\ny "+r.key.Reveal()); r.git("add", ".") }, "the live key in a b:2, tracked now"},
		"changed":           {func(r *repo) { r.commit("a", "hello\n"); r.write("a", r.key.Reveal()); r.git("add", "a") }, "the live key in a:1, tracked now"},
		"not added":         {func(r *repo) { r.commit("a", "hello\n"); r.write("a", r.key.Reveal()) }, ""},
		"added, then taken": {func(r *repo) { r.write("a", r.key.Reveal()); r.git("add", "a"); r.write("a", "") }, "the live key in a:1, tracked now"},
		"deleted":           {func(r *repo) { r.commit("a", r.key.Reveal()); r.git("rm", "-q", "a") }, ""},
		"moved":             {func(r *repo) { r.commit("a", r.key.Reveal()); r.git("mv", "a", "b") }, "the live key in b:1, tracked now"},
		"twice the same": {func(r *repo) {
			r.write("a", r.key.Reveal())
			r.write("b", r.key.Reveal())
			r.git("add", ".")
		}, "the live key in a:1, tracked now; the live key in b:1, tracked now"},
		"from a folder below": {func(r *repo) { r.write("d/a", r.key.Reveal()); r.git("add", "."); r.dir += "/d" }, "the live key in d/a:1, tracked now"},
		"a submodule":         {func(r *repo) { r.commit("x", "x"); r.submodule() }, ""},
		"link": {func(r *repo) {
			if err := os.Symlink(r.key.Reveal(), filepath.Join(r.dir, "a")); err != nil {
				r.Fatal(err)
			}
			r.git("add", ".")
		}, "the live key in a:1, tracked now"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			c.do(r)
			found, err := Staged(t.Context(), r.matcher(), r.dir)
			if got := told(found); err != nil || got != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// In a hook, and with `git commit FILE`, git says by variables which index it is.
func TestStagedInHook(t *testing.T) {
	r := newRepo(t)
	r.commit("a", "hello\n")
	r.write("a", r.key.Reveal())
	t.Setenv("GIT_INDEX_FILE", filepath.Join(r.dir, ".git", "other-index"))
	r.git("add", "a")
	if found, err := Staged(t.Context(), r.matcher(), r.dir); told(found) != "the live key in a:1, tracked now" || err != nil {
		t.Errorf("%q, %v", told(found), err)
	}
}

// False alarms are defects: this repository has keys of our form in its tests, and all
// of them are known for that.
func TestThisRepositoryIsClean(t *testing.T) {
	needs.Git().For(t)
	m := New(Known{"a key", draw(t, keygen.Prefixed, 256)})
	found, err := History(t.Context(), m, "..")
	if errors.Is(err, ErrNoRepository) {
		t.Skip("the sources are in no git repository here")
	}
	if err != nil || len(found) > 0 {
		t.Errorf("%q, %v", told(found), err)
	}
	err = filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		if found, err := m.Scan(file); err != nil || len(found) > 0 {
			t.Errorf("%s: %q, %v", path, names(found), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
