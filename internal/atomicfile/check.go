package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// CheckDir says, without any effect, whether a file of size bytes could be
// made in the folder dir; where dir is missing, in the nearest folder above it
// that exists, in which it would be made.
func CheckDir(dir string, size int) error {
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return &fs.PathError{Op: "check folder", Path: dir, Err: syscall.ENOTDIR}
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return fmt.Errorf("check folder: %w", err)
		}
		dir = filepath.Dir(dir)
	}
	if err := Writable(dir); err != nil {
		return fmt.Errorf("check folder: %w", err)
	}
	return Room(dir, size)
}

// Writable says whether the effective user may write the file at path, or make
// and remove files in the folder at path. It asks the kernel, which knows about
// capabilities, access lists, read-only mounts and the immutable flag. An
// append-only flag it does not see.
func Writable(path string) error {
	const write, search = 2, 1 // W_OK and X_OK of access(2)
	mode := uint32(write)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		mode |= search
	}
	if err := access(path, mode); err != nil {
		return &fs.PathError{Op: "write to", Path: path, Err: err}
	}
	return nil
}

// Room says whether the file system of path has room for size more bytes, a
// block for a folder that grows, and an inode: syscall.ENOSPC (wrapped) where
// it has not. It does not see quotas.
func Room(path string, size int) error {
	var st syscall.Statfs_t
	if err := retry(func() error { return syscall.Statfs(path, &st) }); err != nil {
		return &fs.PathError{Op: "look for room at", Path: path, Err: err}
	}
	block := max(blockSize(&st), 1)
	free := st.Bavail
	if os.Geteuid() == 0 {
		free = st.Bfree // root may use what is kept back from the others
	}
	need := (uint64(size)+block-1)/block + 1
	if free < need {
		return fmt.Errorf("%s: %w: %d KiB free, %d KiB needed", path, syscall.ENOSPC, free*block>>10, need*block>>10)
	}
	// A file system without a fixed number of inodes says 0 of 0 (btrfs).
	if st.Files > 0 && st.Ffree == 0 {
		return fmt.Errorf("%s: %w: no inode free", path, syscall.ENOSPC)
	}
	return nil
}
