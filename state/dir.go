// Package state is blnkctl's private folder: for each target the lock, the
// journal of an open rotation, the history of the last ones and the key that the last
// one replaced; for all of them which keys are compromised. It keeps bytes and knows nothing of what a rotation is.
//
// What it writes is durable and whole. What it reads is checked: a file that was
// cut short, edited or written by another version of blnkctl is an error and
// never a guess, because a journal is the only place where a key may still exist.
//
// It does not promise to keep out whoever can write to the folders above the
// state folder, nor root. Keys in a journal, and the previous one, stand in clear text;
// the folder's mode (0700) protects them. Nothing is shredded.
package state

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

// SystemDir is the state folder of root, and of everybody where it exists.
const SystemDir = "/var/lib/blnkctl"

// ErrUnsafe means that the state folder is open to others, belongs to somebody
// else or is reached over somebody else's link, so that neither the secrets in
// it nor what they say would be safe.
var ErrUnsafe = errors.New("not a private folder")

// ErrNowhere means that nothing says where the state folder is.
var ErrNowhere = errors.New("find the state folder: neither XDG_STATE_HOME nor HOME is an absolute path")

// DefaultDir says where the state lives when nobody said otherwise: SystemDir
// for root and where it exists, else $XDG_STATE_HOME/blnkctl, else
// ~/.local/state/blnkctl, on macOS too. uid is the user's number. A SystemDir
// that exists but is closed to this user is still the answer: another folder
// would hide an open rotation.
//
// An XDG_STATE_HOME that is not absolute is ignored (XDG Base Directory
// Specification 0.8). Without it and without a HOME there is an error.
func DefaultDir(getenv func(string) string, uid int) (string, error) {
	if uid == 0 {
		return SystemDir, nil
	}
	// Any answer but "not there" means that something is there.
	if _, err := os.Lstat(SystemDir); !errors.Is(err, fs.ErrNotExist) {
		return SystemDir, nil
	}
	if xdg := getenv("XDG_STATE_HOME"); filepath.IsAbs(xdg) {
		return filepath.Join(xdg, "blnkctl"), nil
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", hint.Add(ErrNowhere, "name one with --state-dir")
	}
	return filepath.Join(home, ".local", "state", "blnkctl"), nil
}

// A Dir is the state folder. It may not exist yet: the first write makes it.
type Dir struct{ path string }

// Open takes the folder at dir. It changes nothing. A folder that does not
// exist is fine; one that cannot be listed and entered is an error (wrapping
// fs.ErrPermission where that is why), one that others can enter, that belongs
// to neither this user nor root or that another user's link leads to is
// ErrUnsafe.
func Open(dir string) (*Dir, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open state folder: %w", err)
	}
	d := &Dir{path: path}
	if err := d.look(); err != nil {
		return nil, err
	}
	return d, nil
}

// look refuses a folder that is not ours alone.
func (d *Dir) look() error {
	const other = "name another one with --state-dir"
	path, err := ownfile.Resolve(d.path)
	var mode fs.FileMode
	if err == nil {
		mode, err = ownfile.DirMode(path)
	}
	if err == nil {
		// The mode is asked of the open folder, which needs the right to read; a
		// look at something inside needs the right to enter.
		if _, err = os.Lstat(filepath.Join(d.path, targetsName)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, ownfile.ErrForeign):
		err = hint.Add(fmt.Errorf("%w: %w", ErrUnsafe, err), other)
	case errors.Is(err, syscall.ENOTDIR):
		err = hint.Add(fmt.Errorf("%w: it is no folder", ErrUnsafe), other)
	case err == nil && mode.Perm()&0o077 != 0:
		err = hint.Add(fmt.Errorf("%w: its mode is %04o, want 0700", ErrUnsafe, mode.Perm()),
			"make it private with `%s`, or %s", hint.Command("chmod", "700", d.path), other)
	}
	if err != nil {
		return fmt.Errorf("open state folder %s: %w", d.path, err)
	}
	return nil
}

// Path is absolute.
func (d *Dir) Path() string { return d.path }

// CopyDir is where stores keep the copy of a file that they write in place.
// It may not exist.
func (d *Dir) CopyDir() string { return filepath.Join(d.path, "copies") }

// OpenTargets are the targets that have a journal, be it one that cannot be
// read. None, and no error, where the folder does not exist.
func (d *Dir) OpenTargets() ([]*Target, error) {
	folder := filepath.Join(d.path, targetsName)
	entries, err := readDir(folder)
	if err != nil {
		return nil, fmt.Errorf("look for open rotations: %w", err)
	}
	var open []*Target
	for _, e := range entries {
		t := &Target{dir: d, path: filepath.Join(folder, e.Name())}
		if _, err := os.Lstat(t.file(journalName)); err == nil {
			open = append(open, t)
		}
	}
	return open, nil
}

// readDir lists a folder; one that does not exist has nothing in it. A FIFO in its
// place is an error, and no wait.
func readDir(path string) ([]fs.DirEntry, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return f.ReadDir(-1)
}

// Make creates the folder (0700, durable) where it does not exist, and refuses
// one that became unsafe since Open.
func (d *Dir) Make() error {
	if err := atomicfile.MakeDir(d.path); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	return d.look()
}

// CheckFile says whether this user may write a file directly in the folder. It
// changes nothing. Whether there is room the write itself finds out.
func (d *Dir) CheckFile(name string) error {
	path := filepath.Join(d.path, name)
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("check state folder: %s is no regular file", path)
	}
	return errors.Join(checkWritable(path), checkWritable(d.path))
}

// checkWritable says whether the file at path may be written, or files may be
// made in the folder at path; where that does not exist, in the nearest folder
// above it.
func checkWritable(path string) error {
	info, err := os.Stat(path)
	for errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path) {
		path = filepath.Dir(path)
		info, err = os.Stat(path)
	}
	folder, name := filepath.Split(path)
	if err == nil && info.IsDir() {
		folder, name = path, "."
	}
	var dir *atomicfile.Dir
	if err == nil {
		dir, err = atomicfile.OpenDir(folder)
	}
	if err == nil {
		err = dir.Writable(name)
		dir.Close()
	}
	if err != nil {
		return fmt.Errorf("check state folder: %w", err)
	}
	return nil
}
