package textfile

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWantsAbsolutePath(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, "f", "here", 0o600)
	f := Open("f", t.TempDir())
	_, readErr := f.Read()
	_, folderErr := f.Folder()
	for act, err := range map[string]error{
		"read": readErr, "folder": folderErr, "check": f.Check(), "write": f.Write([]byte("here"), []byte("x")),
		"create": f.Create(nil, 0o600, false), "repair": f.Repair(),
	} {
		if err == nil || !strings.Contains(err.Error(), "path is not absolute") {
			t.Errorf("%s: %v", act, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	fifo, sock, large := at("fifo"), at("s"), at("large")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	writeFile(t, large, strings.Repeat("x", MaxSize+1), 0o600)
	writeFile(t, at("utf8"), "\xef\xbb\xbf{}", 0o600)
	writeFile(t, at("utf16le"), "\xff\xfe{\x00", 0o600)
	writeFile(t, at("utf16be"), "\xfe\xff\x00{", 0o600)
	if err := os.Symlink("loop", at("loop")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, why string }{
		{dir, "a directory"},
		{fifo, "a FIFO"},
		{sock, "a socket"},
		{os.DevNull, "a device"},
		{large, "larger than 10 MiB"},
		{at("utf8"), ":1: not a file to edit: starts with a UTF-8 byte order mark"},
		{at("utf16le"), "UTF-16 byte order mark"},
		{at("utf16be"), "UTF-16 byte order mark"},
		{at("loop"), "too many levels of symbolic links"},
	} {
		f := newFile(t, tt.path)
		_, readErr := f.Read()
		if !errors.Is(readErr, ErrNotSafe) || !strings.Contains(readErr.Error(), tt.why) || !strings.Contains(readErr.Error(), tt.path) {
			t.Errorf("read: %v; want %s: %s", readErr, tt.path, tt.why)
		}
		if err := f.Write([]byte("x"), []byte("y")); err == nil {
			t.Errorf("%s was written", tt.path)
		}
		if err := f.Write(nil, []byte("y")); err == nil {
			t.Errorf("%s was created", tt.path)
		}
	}
	if err := newFile(t, large).Check(); !errors.Is(err, ErrNotSafe) {
		t.Errorf("check of a large file: %v", err)
	}
}

func TestSizeLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	most := strings.Repeat("x", MaxSize)
	writeFile(t, path, most, 0o600)
	f := newFile(t, path)
	if data, err := f.Read(); len(data) != MaxSize || err != nil {
		t.Errorf("a file of just MaxSize: %d bytes, %v", len(data), err)
	}
	if err := f.Write([]byte(most), []byte(most+"x")); !errors.Is(err, ErrNotSafe) {
		t.Errorf("write beyond MaxSize: %v, want ErrNotSafe", err)
	}
}

func TestReadMissing(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "f"), filepath.Join(dir, "none", "f")} {
		if _, err := newFile(t, path).Read(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", path, err)
		}
	}
}

// Links in a row, relative and absolute, also through a linked folder; the
// last may dangle.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(deep, "f")
	for name, to := range map[string]string{
		"folder":              "a/b",
		"third":               target,
		"second":              "third",
		"first":               "./second",
		"a/b/up":              "../../folder/f",
		"through_folder_link": "folder/up",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"first", "folder/up", "through_folder_link", "folder/f"} {
		path := filepath.Join(dir, name)
		before, err := os.Lstat(path)
		isLink := err == nil && before.Mode()&fs.ModeSymlink != 0
		f := newFile(t, path)
		if err := f.Write(nil, []byte("old")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := f.Write([]byte("old"), []byte("new")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantText(t, target, "new")
		if data, err := f.Read(); string(data) != "new" || err != nil {
			t.Errorf("%s: read %q, %v", name, data, err)
		}
		if folder, err := f.Folder(); folder != deep || err != nil {
			t.Errorf("%s: folder %q, %v; want %q", name, folder, err, deep)
		}
		if f.Identity() != newFile(t, target).Identity() {
			t.Errorf("%s: another identity than that of its target", name)
		}
		if after, err := os.Lstat(path); err != nil || after.Mode()&fs.ModeSymlink != 0 != isLink {
			t.Errorf("%s: mode %v, %v; it was a link: %v", name, after.Mode(), err, isLink)
		}
		if err := os.Remove(target); err != nil {
			t.Fatal(err)
		}
		if f.Identity() != newFile(t, target).Identity() {
			t.Errorf("%s: another identity than that of its missing target", name)
		}
	}
	wantFolder(t, deep, "up")
}
