package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A Temp is the next content of a file, written but not in its place yet. The
// steps are Create, Chown, Sync, Commit; between them a caller may set what
// Perm does not know, or look a last time at what it is about to replace.
// Discard ends it at any point.
type Temp struct {
	path string   // what it is to become
	file *os.File // nil once it is closed
	done bool     // moved into place, or removed
}

// Create writes data to a new temporary file beside path, with mode 0600. A
// stale one that a crash left is removed first: the caller holds the folder's
// lock, so nobody is writing it.
func Create(path string, data []byte) (*Temp, error) {
	if err := Discard(path); err != nil {
		return nil, err
	}
	// O_EXCL and O_NOFOLLOW: nobody else's file or link takes the content.
	f, err := os.OpenFile(TempName(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create temporary file: %w", err)
	}
	t := &Temp{path: path, file: f}
	if _, err := f.Write(data); err != nil {
		t.Discard()
		return nil, fmt.Errorf("write temporary file: %w", err)
	}
	return t, nil
}

// Name is the path of the temporary file.
func (t *Temp) Name() string { return TempName(t.path) }

// Chown gives the file its owner, group and mode, in this order: a change of
// owner clears setuid bits, and the content must not be open to the wrong
// owner, not even for an instant.
func (t *Temp) Chown(perm Perm) error {
	if perm.UID >= 0 || perm.GID >= 0 {
		if err := t.file.Chown(perm.UID, perm.GID); err != nil {
			return fmt.Errorf("keep the owner: %w", err)
		}
	}
	if err := t.file.Chmod(perm.Mode); err != nil {
		return fmt.Errorf("keep the mode: %w", err)
	}
	return nil
}

// Sync makes content and permissions durable and closes the file. It must
// come before Commit: a rename can reach the disk before the data that it
// puts in place, and a crash would then leave an empty file.
func (t *Temp) Sync() error {
	err := t.file.Sync()
	// Some network file systems report a failed write only here.
	if cerr := t.file.Close(); err == nil {
		err = cerr
	}
	t.file = nil
	if err != nil {
		return fmt.Errorf("sync temporary file: %w", err)
	}
	return nil
}

// Commit moves the file into place and makes the move durable. A rename is
// atomic: whoever opens the path finds the old file or the new one.
func (t *Temp) Commit() error {
	if err := os.Rename(t.Name(), t.path); err != nil {
		return fmt.Errorf("move temporary file into place: %w", err)
	}
	t.done = true
	return SyncDir(filepath.Dir(t.path))
}

// CommitNew is Commit for a path that must not exist: fs.ErrExist (wrapped)
// where something is there, a dangling link among it. Where the file system
// has no hard links, something that appears in the instant of the rename is
// replaced.
func (t *Temp) CommitNew() error {
	err := os.Link(t.Name(), t.path)
	switch {
	case err == nil:
		t.Discard()
		return SyncDir(filepath.Dir(t.path))
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
		if _, err := os.Lstat(t.path); err == nil {
			return fmt.Errorf("create file: %w", &fs.PathError{Op: "link", Path: t.path, Err: fs.ErrExist})
		}
		return t.Commit()
	default:
		return fmt.Errorf("create file: %w", err)
	}
}

// Discard removes the temporary file unless it has been moved into place. An
// error is not reported: what stays behind is found by the next Create.
func (t *Temp) Discard() {
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
	if !t.done {
		t.done = true
		_ = Discard(t.path)
	}
}
