package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// room is what a write needs on the disk, in bytes: a journal is a few KiB,
// stands there twice for a moment, and the folders take blocks of their own.
const room = 128 << 10

// Modes of access(2), the same on all systems (POSIX leaves it to them to name
// W_OK and X_OK, package syscall does not).
const (
	mayWrite = 2
	mayEnter = 1
)

// checkWritable says whether a file could be made in the folder at path, or,
// where that does not exist, in the nearest one above it.
func checkWritable(path string) error {
	for {
		_, err := os.Stat(path)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return fmt.Errorf("check state folder: %w", err)
		}
		path = filepath.Dir(path)
	}
	// access(2) asks the kernel itself, which knows about access lists,
	// read-only mounts and the immutable flag. It judges by the real user, who
	// is the effective one too: blnkctl is never set-user-ID.
	if err := syscall.Access(path, mayWrite|mayEnter); err != nil {
		return fmt.Errorf("check state folder: write to %s: %w", path, err)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(path, &disk); err != nil {
		return fmt.Errorf("check state folder: free space of %s: %w", path, err)
	}
	free := uint64(disk.Bavail) * uint64(disk.Bsize) // their types differ between systems
	if free < room {
		return fmt.Errorf("check state folder: %s has %d KiB left, want %d: %w", path, free>>10, room>>10, syscall.ENOSPC)
	}
	// Some file systems count no inodes and report 0 of 0.
	if disk.Files > 0 && disk.Ffree == 0 {
		return fmt.Errorf("check state folder: %s has no inode left: %w", path, syscall.ENOSPC)
	}
	return nil
}
