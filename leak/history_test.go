package leak

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
)

// A repo is a real repository, and a key to put in the wrong place.
type repo struct {
	*testing.T
	dir string
	key secret.Key
}

func newRepo(t *testing.T, init ...string) *repo {
	needs.Git().For(t)
	cryptotest.SetGlobalRandom(t, 5)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for name, value := range map[string]string{
		"init.defaultBranch": "main", "user.name": "a", "user.email": "a@example.com", "protocol.file.allow": "always", "commit.gpgSign": "false",
	} {
		if out, err := exec.Command("git", "config", "--global", name, value).CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	}
	r := &repo{t, t.TempDir(), draw(t, keygen.Base62, 256)}
	r.git(append([]string{"init", "-q"}, init...)...)
	return r
}

func (r *repo) git(args ...string) string {
	r.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=2026-03-01T12:00:00Z", "GIT_AUTHOR_DATE=2026-03-01T12:00:00Z")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repo) write(path, text string) {
	r.Helper()
	path = filepath.Join(r.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		r.Fatal(err)
	}
}

func (r *repo) commit(path, text string) {
	r.Helper()
	r.write(path, text)
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "change")
}

// leak commits the key, and takes it out again.
func (r *repo) leak(path string) {
	r.Helper()
	r.commit("README", "hello\n")
	r.commit(path, "key: "+r.key.Reveal()+"\n")
	r.commit(path, "key: none\n")
}

func (r *repo) matcher() *Matcher { return New(Known{"the live key", r.key}) }

// told is what is known of findings, without what is another in each run.
func told(found []Finding) string {
	var all []string
	for _, f := range found {
		text := f.Name + " in " + f.Where()
		if f.Submodule != "" {
			text += " of " + f.Submodule
		}
		if since := f.Since(); since != "" {
			text += ", " + since
		}
		for _, id := range []string{f.Object, f.Commit} {
			if id != "" {
				text = strings.ReplaceAll(text, short(id), "ID")
			}
		}
		if f.Objects > 1 {
			text += fmt.Sprintf(" x%d", f.Objects)
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

const day = ", commit ID of 2026-03-01"

// Wherever in a repository a key stands or stood, it is found, and the place is named.
func TestHistory(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(r *repo)
		want string
	}{
		"empty":  {func(*repo) {}, ""},
		"clean":  {func(r *repo) { r.commit("a", "hello\n") }, ""},
		"once":   {func(r *repo) { r.leak("a b/ü.yaml") }, "the live key in a b/ü.yaml" + day},
		"packed": {func(r *repo) { r.leak("a"); r.git("gc", "-q") }, "the live key in a" + day},
		"in a URL of the configuration": {func(r *repo) {
			r.git("remote", "add", "origin", "https://x:"+r.key.Reveal()+"@git.example.com/x.git")
		}, "the live key in .git/config:7"},
		"in a URL of a submodule": {func(r *repo) {
			r.commit("a", "hello\n")
			r.write(".git/modules/x/config", "")
			r.git("init", "-q", "--bare", ".git/modules/x")
			r.write(".git/modules/x/FETCH_HEAD", "1 branch 'main' of https://x:"+r.key.Reveal()+"@git.example.com/x.git")
		}, "the live key in .git/modules/x/FETCH_HEAD:1"},
		"in a reflog alone": {func(r *repo) {
			r.commit("a", "hello\n")
			r.git("update-ref", "-m", "see "+r.key.Reveal(), "HEAD", "HEAD")
			r.write(".git/logs/HEAD", strings.ReplaceAll("x y a <a> 1 +0000\tsee KEY\n", "KEY", r.key.Reveal()))
		}, "the live key in .git/logs/HEAD:1"},
		"in a backup that gzip made": {func(r *repo) {
			r.commit("b.tar.gz", r.packed(1<<20))
			r.commit("two.gz", r.packed(1)+r.packed(2)) // which gzip takes for one
			r.commit("short.gz", "\x1f\x8b\x08")
		}, "the live key in b.tar.gz" + day + ", tracked now; the live key in two.gz" + day + ", tracked now"},
		"now": {func(r *repo) {
			r.leak("a")
			r.commit("a", r.key.Reveal())
			r.commit("b", r.key.Reveal())
		}, "the live key in a" + day + ", tracked now x2; the live key in b" + day + ", tracked now"},
		"staged only": {func(r *repo) { r.write("a", r.key.Reveal()); r.git("add", "a") }, "the live key in a, tracked now"},
		"remote": {func(r *repo) {
			r.git("init", "-q", "--bare", "hub")
			r.git("remote", "add", "origin", "hub")
			r.commit(".gitignore", "hub\n")
			r.leak("a")
			r.git("push", "-q", "origin", "HEAD:main")
			r.leak("b")
		}, "the live key in a" + day + ", on a remote branch; the live key in b" + day + ""},
		"another branch": {func(r *repo) {
			r.commit("a", "hello\n")
			r.git("checkout", "-q", "-b", "other")
			r.leak("b")
			r.git("checkout", "-q", "main")
		}, "the live key in b" + day},
		"merge": {func(r *repo) { // what a merge alone brings
			r.commit("a", "hello\n")
			r.git("checkout", "-q", "-b", "other")
			r.commit("b", "1\n")
			r.git("checkout", "-q", "main")
			r.commit("c", "2\n")
			r.git("merge", "-q", "--no-commit", "other")
			r.write("d", r.key.Reveal())
			r.git("add", "d")
			r.git("commit", "-q", "-m", "merge")
			r.commit("d", "3\n")
		}, "the live key in d" + day},
		"stash": {func(r *repo) {
			r.commit("a", "hello\n")
			r.write("a", r.key.Reveal())
			r.write("new", "new "+r.key.Reveal())
			r.git("stash", "-q", "-u")
		}, "the live key in a" + day + "; the live key in new" + day},
		"reflog": {func(r *repo) { r.leak("a"); r.git("reset", "-q", "--hard", "HEAD~2") }, "the live key in a" + day},
		"unreachable": {func(r *repo) {
			r.leak("a")
			r.git("reset", "-q", "--hard", "HEAD~2")
			r.git("reflog", "expire", "--expire=now", "--all")
		}, "the live key in blob ID, unreachable"},
		"no commit": {func(r *repo) { r.write("a", r.key.Reveal()); r.git("hash-object", "-w", "a") }, "the live key in blob ID, unreachable"},
		"message": {func(r *repo) {
			r.git("commit", "-q", "--allow-empty", "-m", "the key is "+r.key.Reveal())
		}, "the live key in a commit message" + day},
		"message of a merge": {func(r *repo) {
			r.commit("a", "hello\n")
			r.git("checkout", "-q", "-b", "other")
			r.commit("b", "1\n")
			r.git("checkout", "-q", "main")
			r.git("merge", "-q", "--no-ff", "-m", r.key.Reveal(), "other")
		}, "the live key in a commit message" + day},
		"message of what takes away": {func(r *repo) {
			r.commit("a", "hello\n")
			r.git("rm", "-q", "a")
			r.git("commit", "-q", "-m", r.key.Reveal())
		}, "the live key in a commit message" + day},
		"tag": {func(r *repo) {
			r.commit("a", "hello\n")
			r.git("tag", "-m", "key "+r.key.Reveal(), "v1")
		}, "the live key in tag v1"},
		"tag of a tag": {func(r *repo) {
			r.commit("a", "hello\n")
			r.git("tag", "-m", "key "+r.key.Reveal(), "v1")
			r.git("tag", "-m", "outer", "v2", "v1")
			r.git("tag", "-d", "v1")
		}, "the live key in tag ID"},
		"tagged blob": {func(r *repo) {
			r.write("a", r.key.Reveal())
			r.git("tag", "secret", r.git("hash-object", "-w", "a"))
		}, "the live key in refs/tags/secret"},
		"note": {func(r *repo) {
			r.commit("a", "hello\n")
			r.git("notes", "add", "-m", r.key.Reveal())
		}, "the live key in " + "NOTE" + day},
		"file name": {func(r *repo) {
			r.commit("a/"+r.key.Reveal(), "hello\n")
		}, "the live key in a file name" + day},
		"file name and text": {func(r *repo) {
			r.commit(r.key.Reveal()+".txt", r.key.Reveal())
		}, "the live key in [redacted].txt" + day + ", tracked now; the live key in a file name" + day},
		"replaced": {func(r *repo) { // git shows another object in its place
			r.leak("a")
			blob := r.git("rev-parse", "HEAD~1:a")
			r.write("b", "clean\n")
			r.git("replace", blob, r.git("hash-object", "-w", "b"))
		}, "the live key in a" + day},
		"alternates": {func(r *repo) {
			r.leak("a")
			r.git("clone", "-q", "--shared", ".", "copy")
			r.dir += "/copy"
		}, "the live key in a" + day + ", on a remote branch"},
		"bare": {func(r *repo) {
			r.leak("a")
			r.git("clone", "-q", "--bare", ".", "copy.git")
			r.dir += "/copy.git"
		}, "the live key in a" + day},
		"shallow": {func(r *repo) {
			r.leak("a")
			r.commit("b", r.key.Reveal())
			r.git("clone", "-q", "--depth=1", "file://"+r.dir, "copy")
			r.dir += "/copy"
		}, "the live key in b" + day + ", on a remote branch, tracked now"},
		"partial": {func(r *repo) { // nothing is fetched
			r.leak("a")
			r.commit("b", r.key.Reveal())
			r.git("config", "uploadpack.allowFilter", "true")
			r.git("clone", "-q", "--filter=blob:none", "file://"+r.dir, "copy")
			r.dir += "/copy"
		}, "the live key in b" + day + ", on a remote branch, tracked now"},
		"work tree of its own": {func(r *repo) {
			r.commit("a", "hello\n")
			r.git("worktree", "add", "-q", "-b", "other", "tree")
			r.dir += "/tree"
			r.leak("b")
			r.dir = filepath.Dir(r.dir)
		}, "the live key in b" + day},
		"from a work tree": {func(r *repo) {
			r.leak("a")
			r.git("worktree", "add", "-q", "-b", "other", "tree")
			r.dir += "/tree"
		}, "the live key in a" + day},
		"from a folder below": {func(r *repo) { r.leak("a/b"); r.dir += "/a" }, "the live key in a/b" + day},
		"submodule":           {func(r *repo) { r.submodule() }, "the live key in a of sub" + day + ", on a remote branch"},
		"submodule without work tree": {func(r *repo) {
			r.submodule()
			r.git("rm", "-q", "-f", "sub")
		}, "the live key in a of sub" + day + ", on a remote branch"},
		"submodule with a repository in its folder": {func(r *repo) {
			r.commit("x", "hello\n")
			r.git("init", "-q", "sub")
			inner := *r
			inner.dir += "/sub"
			inner.leak("a")
			r.git("-c", "advice.addEmbeddedRepo=false", "add", "sub")
			r.git("commit", "-q", "-m", "sub")
		}, "the live key in a of sub" + day},
		"base64 and URL": {func(r *repo) {
			r.key = secret.New("k;9-G~vQ2m^Tz@8_Lr,XwB&4c*h(N)")
			r.commit("a", encoders["base64"]("x"+r.key.Reveal()))
			r.commit("b", encoders["query"](r.key.Reveal()))
		}, "the live key in a" + day + ", tracked now; the live key in b" + day + ", tracked now"},
		"our own": {func(r *repo) {
			key := draw(r, keygen.Prefixed, 256).Reveal()
			r.commit("a", "X-Blnk-Key: "+key+"\n")
			r.commit("secret.yaml", "  key: "+encoders["base64"](key)+"\n")
		}, OwnName + " in a" + day + ", tracked now; " + OwnName + " in secret.yaml" + day + ", tracked now"},
		"large": {func(r *repo) {
			blob := make([]byte, 20<<20)
			noise := rand.NewChaCha8([32]byte{})
			_, _ = noise.Read(blob)
			copy(blob[13<<20-7:], r.key.Reveal())
			r.commit("blob", string(blob))
		}, "the live key in blob" + day + ", tracked now"},
		"many": {func(r *repo) {
			for i := range 30 {
				r.commit("a", fmt.Sprintf("%d %s", i, r.key.Reveal()))
			}
			r.commit("b", strings.Repeat("no key\n", 1000))
		}, "the live key in a" + day + ", tracked now x30"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			c.do(r)
			found, err := History(t.Context(), r.matcher(), r.dir)
			want := c.want
			if name == "note" { // its path is the commit
				want = strings.Replace(want, "NOTE", r.git("rev-parse", "HEAD"), 1)
			}
			if got := told(found); errors.Is(err, ErrUnchecked) != (name == "shallow" || name == "partial") || got != want {
				t.Errorf("%q, %v; want %q", got, err, want)
			}
		})
	}
}

// packed is what gzip makes of so many bytes with the key behind them.
func (r *repo) packed(before int) string {
	r.Helper()
	var packed bytes.Buffer
	to := gzip.NewWriter(&packed)
	for block := make([]byte, min(before, 1<<20)); before > 0; before -= len(block) {
		_, _ = to.Write(block)
	}
	_, err := to.Write([]byte(r.key.Reveal()))
	if err = errors.Join(err, to.Close()); err != nil {
		r.Fatal(err)
	}
	return packed.String()
}

// submodule makes a repository with the key in the history of a submodule.
func (r *repo) submodule() {
	r.Helper()
	inner := *r
	inner.dir = r.TempDir()
	inner.git("init", "-q")
	inner.leak("a")
	r.commit("x", "hello\n")
	r.git("submodule", "add", "-q", inner.dir, "sub")
	r.git("commit", "-q", "-m", "sub")
}

func TestHistorySHA256(t *testing.T) {
	r := newRepo(t, "--object-format=sha256")
	r.leak("a")
	r.git("reset", "-q", "--hard", "HEAD~2")
	r.commit("b", r.key.Reveal())
	found, err := History(t.Context(), r.matcher(), r.dir)
	if got := told(found); err != nil || got != "the live key in a"+day+"; the live key in b"+day+", tracked now" || len(found[0].Object) != 64 {
		t.Errorf("%q, %v", got, err)
	}
}
