package supervise

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
)

func TestEnviron(t *testing.T) {
	const (
		plain = "BLNK_SERVER_SECRET_KEY"
		twin  = "BLNK_SERVER_BLNK_SERVER_SECRET_KEY"
		token = "BLNK_METRICS_BEARER_TOKEN"
		other = "BLNK_SERVER_BLNK_METRICS_BEARER_TOKEN"
	)
	caller := []string{"A=1", plain + "=x", twin + "=x", token + "=x", other + "=x", "BLNKCTL_STORE=x", restart.ExecMark + "=x=y", plain + "=again", "A=2", "odd"}
	for name, want := range map[string][]string{
		plain:    {"A=1", token + "=x", other + "=x", "A=2", "odd"},
		token:    {"A=1", plain + "=x", twin + "=x", plain + "=again", "A=2", "odd"},
		"SECRET": {"A=1", plain + "=x", twin + "=x", token + "=x", other + "=x", plain + "=again", "A=2", "odd"},
	} {
		want = append(want, restart.ExecMark+"="+name+"=dotenv:/e#"+name, name+"="+first)
		before := slices.Clone(caller)
		if got := (Options{Environ: caller, Variable: name, Source: named("dotenv:/e#" + name)}).environ(secret.New(first)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if !slices.Equal(caller, before) {
			t.Error("the caller's own environment was changed")
		}
	}
	p := restart.Process{Env: map[string]string{restart.ExecMark: plain + "=vault:secret/a?x=y"}}
	if name := p.ExecVariable(); name != plain {
		t.Errorf("exec sets %q", name)
	}
}

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	sub := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"one", "two", "three/tool"} {
		if err := os.MkdirAll(sub(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"one/tool": 0o644, "two/tool": 0o755, "one/plain": 0o644} {
		if err := os.WriteFile(sub(name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(sub("two"))
	all := sub("three") + ":" + sub("one") + "::.:" + sub("two")
	for _, c := range []struct {
		name, path, want string
		err              error
	}{
		{"tool", all, sub("two/tool"), nil},
		{"plain", all, "", ErrNotExecutable},
		{"tool", sub("three"), "", ErrNotExecutable},
		{"none", all, "", ErrNotFound},
		{"tool", ".::", "", ErrNotFound},
		{"tool", "", "", ErrNotFound},
		{"", all, "", ErrNotFound},
		{"./tool", "", "./tool", nil},
	} {
		if got, err := program(c.name, []string{"PATH=/nowhere", "PATH=" + c.path, "XPATH=x"}); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q in %q: %q, %v", c.name, c.path, got, err)
		}
	}
}

func TestStartError(t *testing.T) {
	for no, want := range map[syscall.Errno]error{
		syscall.ENOENT: ErrNotFound, syscall.ENOTDIR: ErrNotFound,
		syscall.EACCES: ErrNotExecutable, syscall.ENOEXEC: ErrNotExecutable, syscall.ETXTBSY: ErrNotExecutable,
		syscall.EAGAIN: syscall.EAGAIN, syscall.ENOMEM: syscall.ENOMEM, syscall.E2BIG: syscall.E2BIG,
	} {
		if err := startError(no); !errors.Is(err, want) {
			t.Errorf("%v: %v", no, err)
		}
	}
}
