// Package atomicfile replaces a file so that a crash at any instant leaves the
// old content or the new one, whole, and a reader never finds the file missing.
//
// It does not promise to keep two writers apart (see package flock: the caller
// holds the lock of the folder, the name of the temporary file relies on it),
// to compare before it writes, or to keep what belongs to the inode that it
// replaces: hard links, extended attributes, open descriptors. Package textfile
// does that for files that are not ours.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Perm is who may do what with the new file.
type Perm struct {
	Mode fs.FileMode // permission bits, setuid, setgid and sticky; the umask plays no part
	UID  int         // owner; -1 leaves the one that the kernel gives
	GID  int         // group; -1 leaves the one that the kernel gives
}

// Private is the Perm of a file with a secret in it: 0600, owned by whoever
// writes it.
func Private() Perm { return Perm{Mode: 0o600, UID: -1, GID: -1} }

// Replace gives path the content data and the permissions perm. When it
// returns nil, that is durable. After an error path is what it was, except
// that after a failed fsync of the folder it may already be the new one.
//
// A symbolic link at path is replaced itself, not followed. The folder must
// exist and be writable.
func Replace(path string, data []byte, perm Perm) error {
	t, err := Create(path, data)
	if err != nil {
		return err
	}
	defer t.Discard()
	if err := t.Chown(perm); err != nil {
		return err
	}
	if err := t.Sync(); err != nil {
		return err
	}
	return t.Commit()
}

// TempName is the name of the temporary file for path: fixed, beside it, so
// that one left by a crash is found again instead of piling up with a key in
// it.
func TempName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".blnkctl.tmp")
}

// Discard removes a temporary file of path that a crash left behind. There
// being none is no error.
func Discard(path string) error {
	// unlink, not os.Remove: that would also take an empty directory.
	err := retry(func() error { return syscall.Unlink(TempName(path)) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale temporary file: %w", &fs.PathError{Op: "unlink", Path: TempName(path), Err: err})
	}
	return nil
}

// SyncDir makes the names in a folder durable: fsync of a file says nothing
// about the entry that leads to it. A file system that cannot do so for a
// folder (EINVAL, ENOTSUP: some network and FUSE file systems) is no error,
// there is nothing more that could be done.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer func() { _ = d.Close() }()
	err = d.Sync()
	if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// retry repeats a system call that a signal interrupted: the Go runtime's own
// signals do that on some file systems.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
