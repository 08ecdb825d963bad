// Package textfile is the rules for a file that is not ours: a configuration
// file that somebody else owns, edits and mounts.
//
// What is written keeps mode, owner, group, extended attributes, symbolic
// links and hard links; nothing is ever missing for an instant; where the file
// can be replaced, a reader finds the old content or the new one, whole. A file
// that cannot be replaced (mounted by itself, several hard links, a folder
// without write permission) is written in place, with a private copy of its
// content on the disk first, from which Repair puts it right after a crash.
//
// Root may be at work in a folder that somebody else owns, who may swap names in
// it at any moment. So a path is followed once, to the folder behind all links,
// and everything else is done below that folder and on open files: what an
// attribute, an owner or a content is given to is always a file that was made
// there, or the one that was read. A link of another user is followed only to
// what is that user's own.
//
// An edit that somebody makes without the lock, up to the instant of the
// rename, is noticed and kept where the system can exchange two files (Linux; not
// on NFS). It does not promise to see what a program writes into the old file
// that it still has open after that. A reader of a file that is written in place
// may find it half written. On macOS extended attributes and access control
// lists are not looked at.
package textfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ownfile"
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
	ErrTorn = hint.Add(errors.New("file is half written"), "blnkctl rotate or keygen puts it right, run with the same --state-dir")
	// ErrUnwritable: the file can neither be replaced nor written in place.
	ErrUnwritable = errors.New("cannot be written")
)

// A File is a file that is not ours. Its methods may be called from one
// goroutine at a time.
type File struct {
	path    string
	copyDir string
}

// Open names a file; nothing is read yet, and it may be missing. path must be
// absolute. copyDir is a private folder for the copy of a file that must be
// written in place; it is created (0700) when it is needed. With "" such a file
// is not written at all.
func Open(path, copyDir string) *File { return &File{filepath.Clean(path), copyDir} }

// Path is the path that Open was given, cleaned, with its symbolic links.
func (f *File) Path() string { return f.path }

// Identity is equal for two Files that are the same file, whatever path leads
// there: device and inode, or the path behind all links where there is no file
// yet. It changes when the file is replaced: compare only what was asked at
// one time.
func (f *File) Identity() string {
	real, _, err := resolve(f.path)
	if err != nil {
		return f.path
	}
	if info, err := os.Stat(real); err == nil {
		st := statOf(info)
		return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
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
	real, _, err := resolve(f.path)
	if err != nil {
		return "", err
	}
	return filepath.Dir(real), nil
}

// resolve follows all symbolic links of path, and works for a file that does
// not exist yet too: a dangling link leads to where the file would appear.
// owners are those of links that are neither ours nor root's.
func resolve(path string) (real string, owners []uint32, err error) {
	if !filepath.IsAbs(path) {
		return "", nil, fmt.Errorf("%s: path is not absolute", path)
	}
	real, err = ownfile.Follow(path, func(_ string, info fs.FileInfo) error {
		if uid := statOf(info).Uid; uid != 0 && int(uid) != os.Geteuid() {
			owners = append(owners, uid)
		}
		return nil
	})
	if errors.Is(err, syscall.ELOOP) {
		err = fmt.Errorf("%s: %w: too many levels of symbolic links", path, ErrNotSafe)
	}
	return real, owners, err
}

// A place is a name in a folder that is held open.
type place struct {
	*atomicfile.Dir
	name string
	real string // the path that led there, behind all links
	path string // as the caller wrote it, for errors

	linkOwners []uint32 // of links on the way, but for ours and root's
}

// locate opens the folder that holds the file. The caller closes it.
func (f *File) locate() (place, error) {
	real, owners, err := resolve(f.path)
	if err != nil {
		return place{}, err
	}
	dir, err := atomicfile.OpenRealDir(filepath.Dir(real))
	return place{dir, filepath.Base(real), real, f.path, owners}, err
}

// ledBy refuses what a link of somebody else leads to if it is not his own: he
// would choose which file is read and written.
func (p place) ledBy(owner uint32) error {
	for _, uid := range p.linkOwners {
		if uid != owner {
			return fmt.Errorf("%s: %w: a symbolic link of user %d leads to what belongs to user %d", p.path, ErrNotSafe, uid, owner)
		}
	}
	return nil
}

func statOf(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }
