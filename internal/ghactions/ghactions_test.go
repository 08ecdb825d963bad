package ghactions

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/secret"
)

// runner is what a runner sets: its files are there, and empty.
func runner(t *testing.T) (getenv func(string) string, env, output string) {
	t.Helper()
	env, output = filepath.Join(t.TempDir(), "set_env"), filepath.Join(t.TempDir(), "set_output")
	for _, path := range []string{env, output} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(name string) string { return map[string]string{"GITHUB_ENV": env, "GITHUB_OUTPUT": output}[name] }, env, output
}

// parsed reads a file as the runner does (FileCommandManager of actions/runner): NAME=VALUE,
// or NAME<<END, lines, END.
func parsed(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		name, value, equal := strings.Cut(lines[i], "=")
		if head, end, here := strings.Cut(lines[i], "<<"); here && (!equal || len(head) < len(name)) {
			value, name = "", head
			for i++; lines[i] != end; i++ {
				value += lines[i]
			}
		} else if !equal {
			t.Fatalf("the runner fails on line %d", i)
		}
		all[name] = value
	}
	return all
}

// A second name of the file may stand where others read it.
func TestSecondName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "env")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Link(path, filepath.Join(dir, "theirs"))); err != nil {
		t.Fatal(err)
	}
	if e, err := Open(func(string) string { return path }, io.Discard, "KEY", ""); err == nil {
		e.Close()
		t.Error("it is taken")
	}
}

func TestWrite(t *testing.T) {
	getenv, env, output := runner(t)
	for _, before := range []string{"", "A=1\n", "A=1", "A<<E\n1\nE"} {
		if err := os.WriteFile(env, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"a=b<<c", "with%25 percent", `"quoted"`} {
			e, err := Open(getenv, io.Discard, "BLNK_KEY", "key-1")
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Give(secret.New(key)); err != nil {
				t.Fatal(err)
			}
			got := parsed(t, env)
			if got["BLNK_KEY"] != key || before != "" && got["A"] != "1" || parsed(t, output)["key-1"] != key {
				t.Errorf("behind %q the runner reads %q", before, got)
			}
		}
	}
	e, err := Open(getenv, io.Discard, "X", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Give(secret.New("two\nLD_PRELOAD=x")); err == nil {
		t.Error("a second line was written")
	}
}

// Before anything else the key is masked, once; where that cannot be, nobody gets it.
func TestMask(t *testing.T) {
	getenv, env, _ := runner(t)
	said, lost := "", errors.New("lost")
	for _, fails := range []error{lost, nil} {
		e, err := Open(getenv, spy{&said, fails}, "X", "")
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(e.Mask(secret.New("50%")), e.Give(secret.New("50%")))
		text, _ := os.ReadFile(env)
		if !errors.Is(err, fails) || (string(text) == "X=50%\n") != (fails == nil) {
			t.Errorf("%v: %v, the runner reads %q", fails, err, text)
		}
	}
	const line = "::add-mask::50%25\n"
	if said != line+line+line { // twice where it was lost
		t.Errorf("%q", said)
	}
}

// A spy is a stdout of which each line is heard, and may be lost.
type spy struct {
	said  *string
	fails error
}

func (s spy) Write(p []byte) (int, error) {
	*s.said += string(p)
	return len(p), s.fails
}

func TestOpenRefuses(t *testing.T) {
	getenv, env, _ := runner(t)
	none := func(string) string { return "" }
	if e, err := Open(none, io.Discard, "", ""); e != nil || err != nil {
		t.Errorf("%v, %v", e, err)
	}
	for _, c := range []struct {
		getenv      func(string) string
		env, output string
	}{
		{none, "X", ""}, {none, "", "x"}, {getenv, "GITHUB_TOKEN", ""}, {getenv, "RUNNER_OS", ""}, {getenv, "NODE_OPTIONS", ""},
		{getenv, "1X", ""}, {getenv, "X-Y", ""}, {getenv, "X=Y", ""}, {getenv, "X\nY", ""}, {getenv, "", "x y"},
	} {
		if _, err := Open(c.getenv, io.Discard, c.env, c.output); !errors.Is(err, ErrUsage) {
			t.Errorf("%q, %q: %v", c.env, c.output, err)
		}
	}
	// What somebody put in the place of the runner's file.
	if err := os.Remove(env); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(getenv, io.Discard, "X", ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := os.Symlink("/etc/hostname", env); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(getenv, io.Discard, "X", ""); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("%v", err)
	}
	if err := errors.Join(os.Remove(env), syscall.Mkfifo(env, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(getenv, io.Discard, "X", ""); err == nil {
		t.Error("a FIFO is taken")
	}
}
