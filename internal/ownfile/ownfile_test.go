package ownfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestResolve(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(top, name) }
	if err := os.MkdirAll(in("a/b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"up": "a/b", "a/b/back": "../..", "abs": in("up"), "gone": "nowhere/else", "loop": "loop",
	} {
		if err := os.Symlink(target, in(name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"":               "",
		"a/b":            "a/b",
		"up":             "a/b",
		"abs/back/a":     "a",
		"up/..":          "a", // not what filepath.Clean makes of it
		"gone/x":         "nowhere/else/x",
		"a/none/b":       "a/none/b",
		"up/./back/up//": "a/b",
	} {
		if got, err := Resolve(top + "/" + path); err != nil || got != in(want) {
			t.Errorf("%q: %q, %v; want %q", path, got, err, in(want))
		}
	}
	if _, err := Resolve(in("loop")); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a loop: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("giving a link to another user needs root")
	}
	if err := os.Lchown(in("up"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"up", "up/back", "abs", "abs/back/a", "up/none"} {
		if got, err := Resolve(in(path)); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), in("up")) {
			t.Errorf("somebody else's link, %s: %q, %v", path, got, err)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(path, []byte("text"), 0o600), os.Symlink("file", path+"-link"), syscall.Mkfifo(path+"-fifo", 0o600)); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(path, 4); string(got) != "text" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Read(path, 3); !errors.Is(err, ErrShape) {
		t.Errorf("too large: %v", err)
	}
	for name, want := range map[string]error{"-link": syscall.ELOOP, "-fifo": ErrShape, "-none": fs.ErrNotExist} {
		if _, err := Read(path+name, 4); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if _, err := Read(dir, 4); !errors.Is(err, ErrShape) {
		t.Errorf("a folder: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("giving the file to another user needs root")
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, 4); !errors.Is(err, ErrForeign) {
		t.Errorf("somebody else's: %v", err)
	}
}
