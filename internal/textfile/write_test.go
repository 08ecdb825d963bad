package textfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func newFile(t *testing.T, path string) *File {
	t.Helper()
	return Open(path, filepath.Join(t.TempDir(), "state", "copies"))
}

func writeFile(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

// wantFolder asserts that nothing else was left in the folder.
func wantFolder(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if len(got) != len(want) {
		t.Fatalf("%s holds %q, want %q", dir, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s holds %q, want %q", dir, got, want)
		}
	}
}

func TestWriteReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	writeFile(t, path, "old", 0o640)
	before, _ := os.Stat(path)
	f := newFile(t, path)
	if err := f.Write([]byte("old"), []byte("the next")); err != nil {
		t.Fatal(err)
	}
	wantText(t, path, "the next")
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if os.SameFile(before, after) {
		t.Error("written in place, where a rename was possible")
	}
	if after.Mode() != 0o640 {
		t.Errorf("mode %v, want 0640", after.Mode())
	}
	wantFolder(t, dir, "f")
}

func TestWriteComparesFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f := newFile(t, path)
	if err := f.Write([]byte("old"), []byte("next")); !errors.Is(err, ErrChanged) {
		t.Errorf("missing file: %v, want ErrChanged", err)
	}
	writeFile(t, path, "other", 0o600)
	for _, old := range [][]byte{[]byte("old"), nil, {}} {
		if err := f.Write(old, []byte("next")); !errors.Is(err, ErrChanged) {
			t.Errorf("old %q: %v, want ErrChanged", old, err)
		}
	}
	wantText(t, path, "other")
}

func TestWriteCreates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := newFile(t, path).Write(nil, []byte("next")); err != nil {
		t.Fatal(err)
	}
	wantText(t, path, "next")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	wantFolder(t, dir, "f")
}
