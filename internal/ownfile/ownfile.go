// Package ownfile opens what nobody but root and this user can have put there:
// whoever owns a link chooses which file is read, and whoever owns a file what
// it says.
//
// It does not promise to keep out who owns a folder on the way to a file.
package ownfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/blnkctl/blnkctl/internal/hint"
)

var (
	// ErrForeign: it, or a link that leads to it, belongs to another user.
	ErrForeign = errors.New("not ours")
	// ErrShape: it is no regular file, or a larger one than it may be.
	ErrShape = errors.New("not a file to read")
)

// maxLinks is how many links may lead from one to the next, as on Linux.
const maxLinks = 40

// Resolve follows the links of an absolute path wherever they stand on it, but
// only ours and root's; another one is ErrForeign (wrapped). What does not exist
// is no error: the path is returned as far as it is known.
func Resolve(path string) (string, error) {
	return Follow(path, func(link string, info fs.FileInfo) error { return owned("the link "+link, info) })
}

// Follow is Resolve with rules of the caller's own: it is told each link.
func Follow(path string, link func(path string, info fs.FileInfo) error) (string, error) {
	done, rest := "/", strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		// ".." counts from what a link led to, as for the kernel.
		next := filepath.Join(done, name)
		info, err := os.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) {
			return filepath.Join(append([]string{next}, rest...)...), nil
		}
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if err := link(next, info); err != nil {
			return "", err
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, nil
}

// Open opens a regular file of at most most bytes for reading. A link at path is
// an error, and a FIFO or device is one instead of a wait.
func Open(path string, most int64) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = hint.As(ErrShape, "%s is no regular file", path)
	case info.Size() > most:
		err = hint.As(ErrShape, "%s is larger than %d KiB", path, most>>10)
	default:
		err = owned(path, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Read returns what is in a file that Open opens.
func Read(path string, most int64) ([]byte, error) {
	f, _, err := Open(path, most)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, most))
}

// DirMode returns who may do what with a folder that Resolve found.
func DirMode(path string) (fs.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Mode(), owned(path, info)
}

// owned refuses what belongs to another user than root and us.
func owned(what string, info fs.FileInfo) error {
	if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != 0 && owner != os.Geteuid() {
		return hint.As(ErrForeign, "%s belongs to user %d", what, owner)
	}
	return nil
}
