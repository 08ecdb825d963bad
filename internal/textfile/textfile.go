// Package textfile is the rules for a file that is not ours: a configuration
// file that somebody else owns, edits and mounts.
//
// What is written keeps mode, owner, group, extended attributes, symbolic
// links and hard links; nothing is ever missing for an instant; where the file
// can be replaced, a reader finds the old content or the new one, whole. A file
// that cannot be replaced (mounted by itself, several hard links, a folder
// without write permission) is written in place, with a spare copy of its
// content on the disk first, from which Repair puts it right after a crash.
//
// It does not promise to see an edit that somebody makes, without the lock, in
// the instant between the last comparison and the rename. A reader of a file
// that is written in place may find it half written. On macOS extended
// attributes and access control lists are not looked at.
package textfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxSize is the largest file, in bytes, that is read or written. A
// configuration file is a thousand times smaller; a larger file is a mistake.
const MaxSize = 10 << 20

// Errors that a caller takes a decision on. The others are the system's own,
// wrapped: fs.ErrNotExist, fs.ErrPermission, syscall.ENOSPC.
var (
	// ErrNotSafe: this is no file that could be edited (a directory, a FIFO,
	// larger than MaxSize, not UTF-8 from its first bytes on).
	ErrNotSafe = errors.New("not a file to edit")
	// ErrChanged: the file is not what the caller read. Nothing was written.
	ErrChanged = errors.New("file changed meanwhile")
	// ErrTorn: an earlier write in place was cut short and has to be put
	// right by Repair, or is going on at this moment.
	ErrTorn = errors.New("file is half written")
	// ErrNoWay: the file can neither be replaced nor written in place.
	ErrNoWay = errors.New("cannot be written")
)

// A File is a file that is not ours. Its methods may be called from one
// goroutine at a time.
type File struct {
	path     string
	spareDir string
}

// Open names a file; nothing is read yet, and it may be missing. path must be
// absolute. spareDir is a private folder for the spare copy of a file that must
// be written in place; it is created (0700) when it is needed. With "" such a
// file is not written at all.
func Open(path, spareDir string) (*File, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("open %s: path is not absolute", path)
	}
	return &File{path: filepath.Clean(path), spareDir: spareDir}, nil
}

// Path is the path that Open was given, cleaned, with its symbolic links.
func (f *File) Path() string { return f.path }

// Identity is equal for two Files that are the same file, whatever path leads
// there: device and inode, or the path behind all links where there is no file
// yet. It changes when the file is replaced: compare only what was asked at
// one time.
func (f *File) Identity() string {
	real, err := resolve(f.path)
	if err != nil {
		return f.path
	}
	if info, err := os.Stat(real); err == nil {
		if st, ok := statOf(info); ok {
			return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
		}
	}
	return real
}

// Same says whether two paths are one file or folder now: the same path, of which
// there may be none yet, or two that lead there.
func Same(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// Folder is the real folder that holds the file behind all links. A writer
// locks it (package flock): the lock keeps everybody away from the temporary
// files in it, and works for a file that is replaced while it is held.
func (f *File) Folder() (string, error) {
	real, err := resolve(f.path)
	if err != nil {
		return "", err
	}
	return filepath.Dir(real), nil
}

// maxLinks is how many symbolic links in a row are followed; Linux itself
// stops at 40 (path_resolution(7)).
const maxLinks = 40

// resolve follows all symbolic links of path, and works for a file that does
// not exist yet too: a dangling link leads to where the file would appear.
// filepath.EvalSymlinks would fail there.
func resolve(path string) (string, error) {
	for range maxLinks {
		folder, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", fmt.Errorf("folder of %s: %w", path, err)
		}
		path = filepath.Join(folder, filepath.Base(path))
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			return path, nil
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(folder, to)
		}
		path = to
	}
	return "", fmt.Errorf("%s: %w: too many levels of symbolic links", path, ErrNotSafe)
}
