// Package flock keeps two blnkctl processes apart with a lock of the kernel
// (flock(2)), and says who holds it.
//
// The kernel drops the lock when its process ends, however it ends: there is
// no stale lock, and on a folder nothing is left behind at all.
//
// It does not promise anything about programs that do not ask for the lock, or
// about other hosts: whether a network file system carries flock across hosts
// is its own business. Two Locks of one path exclude each other within one
// process too.
package flock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// ErrHeld: another process holds the lock. The error names it, where it is known:
// "held by PID 123 (blnkctl rotate …)".
var ErrHeld = errors.New("locked")

// Between two attempts Lock waits pollMin at first, then longer up to pollMax:
// flock(2) can wait by itself, but not for a limited time, and a signal
// handler cannot end it.
const (
	pollMin = 5 * time.Millisecond
	pollMax = 100 * time.Millisecond
)

// Lock takes the exclusive lock of path and returns what gives it back. path
// is a folder, opened read-only, or a regular file, created with mode 0600
// where it is missing; neither is changed or removed afterwards.
//
// A lock that another holds is waited for as long as wait says, then the error
// is ErrHeld; with wait 0 there is one attempt. When ctx ends first, the
// error is that of ctx. unlock may be called more than once.
func Lock(ctx context.Context, path string, wait time.Duration) (unlock func(), err error) {
	deadline := time.Now().Add(wait)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	for poll := pollMin; ; poll = min(2*poll, pollMax) {
		f, err := try(path)
		if err == nil {
			return release(f), nil
		}
		if !errors.Is(err, ErrHeld) {
			return nil, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, heldBy(path)
		}
		timer := time.NewTimer(min(poll, left))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		if err := ctx.Err(); err != nil { // perhaps while the timer rang
			return nil, fmt.Errorf("%w: %w", heldBy(path), err)
		}
	}
}

// All takes a lock for each of some things, and returns what releases all of them. Where
// one cannot be had, none is held.
func All[T any](things []T, lock func(T) (unlock func(), err error)) (unlock func(), err error) {
	var held []func()
	unlock = func() {
		for _, release := range slices.Backward(held) {
			release()
		}
	}
	for _, one := range things {
		release, err := lock(one)
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, release)
	}
	return unlock, nil
}

// heldBy names the holder. To find out takes a look at every lock here, so it is
// done once, when nobody waits any more.
func heldBy(path string) error {
	return hint.As(ErrHeld, "lock %s: held by %s", path, cmp.Or(Holder(path), "another process"))
}

// Holder names the process that holds the lock of a file or folder that is there, by
// PID and command; "" where none does, or it is not known (only Linux tells).
func Holder(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	return holder(f)
}

// try makes one attempt. It comes back only with the lock of what is at path
// now: whoever held it before may have replaced the file, and a lock on the
// old inode would keep nobody out.
func try(path string) (*os.File, error) {
	for {
		f, err := open(path)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if err := lockFile(f, path); err != nil {
			_ = f.Close()
			return nil, err
		}
		same, err := stillThere(f, path)
		if err == nil && same {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
	}
}

func lockFile(f *os.File, path string) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrHeld
		default:
			return fmt.Errorf("lock: %w", &fs.PathError{Op: "flock", Path: path, Err: err})
		}
	}
}

// open opens a folder or a regular file, and nothing else: opening a FIFO or a
// device has effects of its own. O_NONBLOCK keeps a FIFO that is put there
// meanwhile from hanging us. (Go sets O_CLOEXEC, so that no child inherits the
// lock.)
func open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	case err == nil && !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("neither a folder nor a regular file")}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	// Writable, because NFS turns flock into a lock that needs that.
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
}

func stillThere(f *os.File, path string) (bool, error) {
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(ours, now), nil
}

// release gives the lock back explicitly before it closes the file: a child
// that is between fork and exec at this moment shares the lock, and would hold
// it a little longer.
func release(f *os.File) func() {
	return sync.OnceFunc(func() {
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
		_ = f.Close()
	})
}
