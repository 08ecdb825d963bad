package atomicfile

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

// smallDisk mounts a file system for the time of the test.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	needs.Namespaces().For(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "size=64k")
	path := filepath.Join(dir, "f")
	write(t, path, "old")
	for _, size := range []int{100 << 10, 64 << 10} {
		if err := Replace(path, make([]byte, size)); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("replace with %d bytes: %v, want ENOSPC", size, err)
		}
		want(t, path, "old")
		wantAlone(t, dir, "f")
	}
	if err := Replace(path, make([]byte, 32<<10)); err != nil {
		t.Error(err)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, "ro")
	if err := Replace(filepath.Join(dir, "f"), nil); !errors.Is(err, syscall.EROFS) {
		t.Errorf("replace: %v, want EROFS", err)
	}
	err := openDir(t, dir).Writable(".")
	if path, ok := errors.AsType[*fs.PathError](err); !ok || !errors.Is(err, syscall.EROFS) || path.Path != dir {
		t.Errorf("no EROFS, or the folder is not named: %v", err)
	}
}
