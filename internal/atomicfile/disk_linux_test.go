package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// smallDisk mounts a file system for the time of the test.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
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
		if err := Room(dir, size); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("room for %d bytes: %v, want ENOSPC", size, err)
		}
		if err := Replace(path, make([]byte, size), Private()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("replace with %d bytes: %v, want ENOSPC", size, err)
		}
		want(t, path, "old")
		wantAlone(t, dir, "f")
	}
	if err := Room(dir, 32<<10); err != nil {
		t.Error(err)
	}
	if err := Replace(path, make([]byte, 32<<10), Private()); err != nil {
		t.Error(err)
	}
}

func TestNoInode(t *testing.T) {
	dir := smallDisk(t, "nr_inodes=20")
	var err error
	for i := 0; err == nil; i++ {
		err = os.Mkdir(filepath.Join(dir, strconv.Itoa(i)), 0o700)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := Room(dir, 1); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("room: %v, want ENOSPC", err)
	}
	if err := CheckDir(filepath.Join(dir, "0", "below"), 1); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("check: %v, want ENOSPC", err)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, "ro")
	for act, err := range map[string]error{
		"check":   CheckDir(dir, 1),
		"replace": Replace(filepath.Join(dir, "f"), nil, Private()),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v, want EROFS", act, err)
		}
	}
	var path *fs.PathError
	if err := Writable(dir); !errors.As(err, &path) || path.Path != dir {
		t.Errorf("the error does not name the folder: %v", err)
	}
}
