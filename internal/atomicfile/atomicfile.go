// Package atomicfile replaces a file so that a crash at any instant leaves the
// old content or the new one, whole, and a reader never finds the file missing.
//
// All work is done below a folder that was opened once: whoever owns it, or a
// folder above it, may put a link in its place at any moment, and must not lead
// us elsewhere by that.
//
// It does not promise to keep two writers apart (see package flock: the caller
// holds the lock of the folder, the name of the temporary file relies on it), or
// to keep what belongs to the inode that it replaces: hard links, extended
// attributes, open descriptors. Package textfile does that for files that are
// not ours.
package atomicfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Replace gives path the content data and the mode 0600. When it returns nil, that
// is durable. After an error path is what it was, except that after a failed fsync of
// the folder it may already be the new one.
//
// A symbolic link at path is replaced itself, not followed. The folder must
// exist and be writable.
func Replace(path string, data []byte) error {
	d, err := OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Replace(filepath.Base(path), data, 0o600)
}

// Replace is that for a file of the folder, with a mode of the caller's own.
func (d *Dir) Replace(name string, data []byte, mode fs.FileMode) error {
	t, err := d.Create(name, data)
	if err != nil {
		return err
	}
	defer t.Discard()
	if err := t.Seal(mode, -1, -1); err != nil {
		return err
	}
	return t.Commit()
}

// longest is the longest name with which the temporary file can still have its
// own: some file systems stop at 143 characters (eCryptfs), most at 255.
const longest = 100

// TempName is the name of the temporary file for path: fixed, beside it, so
// that one left by a crash is found again instead of piling up with a key in
// it.
func TempName(path string) string {
	folder, name := filepath.Split(path)
	if len(name) > longest {
		sum := sha256.Sum256([]byte(name))
		name = hex.EncodeToString(sum[:16])
	}
	return folder + "." + name + ".blnkctl.tmp"
}

// SyncDir makes the names in a folder durable: fsync of a file says nothing
// about the entry that leads to it. A file system that cannot do so for a
// folder (EINVAL, ENOTSUP: some network and FUSE file systems), and a folder that
// we may not list (EACCES), are no error: there is nothing more that could be
// done.
func SyncDir(dir string) error {
	d, err := OpenDir(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	return d.Sync()
}

// MakeDir is os.MkdirAll with the mode 0700 whose folders survive a crash of the
// machine. What stands there already is judged by who uses it.
func MakeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := MakeDir(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// A Dir is a folder, opened once. Names given to its methods have no slash.
type Dir struct {
	fd   int
	path string // for errors
}

// OpenDir opens a folder; to reach into it, no permission to list it is needed.
func OpenDir(path string) (*Dir, error) {
	fd, err := openAt(unix.AT_FDCWD, path, dirFlags|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Dir{fd, path}, nil
}

// OpenRealDir opens a folder by an absolute path without links in it. Where
// there is one now, somebody has put it there since the path was looked at, and
// it is not followed.
func OpenRealDir(path string) (*Dir, error) {
	d, err := OpenDir("/")
	if err != nil {
		return nil, err
	}
	d.path = path
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name == "" {
			continue
		}
		fd, err := openAt(d.fd, name, dirFlags|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		d.Close()
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		d.fd = fd
	}
	return d, nil
}

// Close ends it.
func (d *Dir) Close() { _ = unix.Close(d.fd) }

// Open opens a file, which is not followed if it is a link, and not waited for
// if it is a FIFO.
func (d *Dir) Open(name string, flags int) (*os.File, error) { return d.open(name, flags, 0) }

func (d *Dir) open(name string, flags int, mode uint32) (*os.File, error) {
	path := filepath.Join(d.path, name)
	fd, err := openAt(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, mode)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func openAt(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

// Stat says what is at name, a link itself.
func (d *Dir) Stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		err = &fs.PathError{Op: "stat", Path: filepath.Join(d.path, name), Err: err}
	}
	return st, err
}

// Writable says whether the effective user may write the file, or with the name
// "." make files in the folder. The kernel is asked, which knows about
// capabilities, access lists, read-only mounts and the immutable flag.
func (d *Dir) Writable(name string) error {
	mode := uint32(unix.W_OK)
	if name == "." {
		mode |= unix.X_OK
	}
	if err := retry(func() error { return unix.Faccessat(d.fd, name, mode, unix.AT_EACCESS) }); err != nil {
		return &fs.PathError{Op: "write to", Path: filepath.Join(d.path, name), Err: err}
	}
	return nil
}

// Sync is SyncDir.
func (d *Dir) Sync() error {
	fd, err := openAt(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.EACCES) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sync folder: %w", &fs.PathError{Op: "open", Path: d.path, Err: err})
	}
	defer func() { _ = unix.Close(fd) }()
	err = retry(func() error { return unix.Fsync(fd) })
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("sync folder: %w", &fs.PathError{Op: "fsync", Path: d.path, Err: err})
	}
	return nil
}

// Remove removes a file of the folder, not a folder, and what a crash left beside it.
// There being none is no error. It is durable when it returns nil.
func (d *Dir) Remove(name string) error {
	// The stale copy first: as long as the file stands, a crash in between is followed
	// by another try.
	err := d.Discard(name)
	if err == nil {
		err = d.unlink(name)
	}
	if err == nil {
		err = d.Sync()
	}
	return err
}

func (d *Dir) unlink(name string) error {
	err := retry(func() error { return unix.Unlinkat(d.fd, name, 0) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "remove", Path: filepath.Join(d.path, name), Err: err}
	}
	return nil
}

// markName is a second name of a temporary file while it is exchanged. A crash that
// leaves it behind may have left somebody's edit under the temporary name.
func markName(name string) string { return TempName(name + ".new") }

// Discard removes a temporary file of name that a crash left behind. There being none is
// no error. Where an Exchange was cut short before the old file was looked at, that one
// comes back.
func (d *Dir) Discard(name string) error {
	if ours, err := d.Stat(markName(name)); err == nil {
		now, err := d.Stat(name)
		switch {
		case err == nil && now.Ino == ours.Ino && now.Dev == ours.Dev:
			err = exchangeAt(d.fd, TempName(name), name)
		case errors.Is(err, fs.ErrNotExist):
			err = unix.Renameat(d.fd, TempName(name), d.fd, name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("put back what was there: %w", &fs.PathError{Op: "rename", Path: filepath.Join(d.path, name), Err: err})
		}
		if err := d.unlink(markName(name)); err != nil {
			return err
		}
	}
	// In a folder that we cannot write, there being nothing is no error.
	if _, err := d.Stat(TempName(name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.unlink(TempName(name))
}

// A Temp is the next content of a file, written but not in its place yet. The
// steps are Create, Seal and one of Commit, CommitNew and Exchange; between them a
// caller may set attributes of File, or look a last time at what it is about to
// replace. Discard ends it at any point.
type Temp struct {
	File *os.File
	dir  *Dir
	name string // what it is to become
	done bool   // moved into place, or removed
}

// Create writes data to a new temporary file beside name, with mode 0600. A
// stale one that a crash left is removed: the caller holds the folder's lock, so
// nobody is writing it.
func (d *Dir) Create(name string, data []byte) (*Temp, error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL // nobody else's file or link takes the content
	f, err := d.open(TempName(name), flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		if err := d.Discard(name); err != nil {
			return nil, err
		}
		f, err = d.open(TempName(name), flags, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("create temporary file: %w", err)
	}
	t := &Temp{File: f, dir: d, name: name}
	if _, err := f.Write(data); err != nil {
		t.Discard()
		return nil, fmt.Errorf("write temporary file: %w", err)
	}
	return t, nil
}

// Seal gives the file its owner, group and mode, in this order: a change of owner
// clears setuid bits, and the content must not be open to the wrong owner, not even for
// an instant. -1 leaves what the kernel gave. The umask plays no part.
//
// Then it makes all of that durable and closes the file. That must come before Commit:
// a rename can reach the disk before the data that it puts in place, and a crash would
// then leave an empty file.
func (t *Temp) Seal(mode fs.FileMode, uid, gid int) error {
	if uid >= 0 || gid >= 0 {
		if err := t.File.Chown(uid, gid); err != nil {
			return fmt.Errorf("keep the owner: %w", err)
		}
	}
	if err := t.File.Chmod(mode); err != nil {
		return fmt.Errorf("keep the mode: %w", err)
	}
	err := t.File.Sync()
	// Some network file systems report a failed write only here.
	if cerr := t.File.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync temporary file: %w", err)
	}
	return nil
}

// Commit moves the file into place and makes the move durable. A rename is
// atomic: whoever opens the path finds the old file or the new one.
func (t *Temp) Commit() error {
	err := retry(func() error { return unix.Renameat(t.dir.fd, TempName(t.name), t.dir.fd, t.name) })
	if err != nil {
		return fmt.Errorf("move temporary file into place: %w", t.fault("rename", err))
	}
	t.done = true
	return t.dir.Sync()
}

// CommitNew is Commit for a path that must not exist: fs.ErrExist (wrapped)
// where something is there, a dangling link among it. After an error nothing of ours is
// there. Where the file system can neither rename so nor link, something that appears in
// the instant of the rename is replaced.
func (t *Temp) CommitNew() error {
	err := retry(func() error { return renameNewAt(t.dir.fd, TempName(t.name), t.name) })
	if unsupported(err) {
		err = retry(func() error { return unix.Linkat(t.dir.fd, TempName(t.name), t.dir.fd, t.name, 0) })
		if errors.Is(err, unix.EPERM) || unsupported(err) {
			if _, err := t.dir.Stat(t.name); err == nil {
				return fmt.Errorf("create file: %w", t.fault("link", fs.ErrExist))
			}
			return t.Commit()
		}
	}
	if err != nil {
		return fmt.Errorf("create file: %w", t.fault("rename", err))
	}
	t.Discard()
	if err = t.dir.Sync(); err != nil {
		_ = t.dir.unlink(t.name)
	}
	return err
}

// Exchange is Commit for a file that somebody without the lock may change in the
// instant of the rename: the two files change places in one step, and expected
// looks at the old one, which has the temporary file's name now. If it is not
// what was expected, the two change back, and changed is true. errors.ErrUnsupported
// (wrapped) where the system or the file system cannot do it.
func (t *Temp) Exchange(expected func(old string) (bool, error)) (changed bool, err error) {
	ours, err := t.dir.Stat(TempName(t.name))
	if err != nil {
		return false, err
	}
	// Without a second name an exchange that is cut short is taken as one that is done.
	unmark := func() error { return t.dir.unlink(markName(t.name)) }
	_ = unix.Linkat(t.dir.fd, TempName(t.name), t.dir.fd, markName(t.name), 0)
	if err := t.exchange(); err != nil {
		_ = unmark()
		return false, err
	}
	good, err := expected(TempName(t.name))
	if err != nil || !good {
		if back := t.exchange(); back != nil {
			t.done = true // what stands there is somebody's edit
			return false, errors.Join(err, back)
		}
		// Somebody replaced ours meanwhile: theirs is the newest.
		if now, serr := t.dir.Stat(TempName(t.name)); serr == nil && (now.Ino != ours.Ino || now.Dev != ours.Dev) {
			err = errors.Join(err, t.exchange())
		}
		_ = unmark()
		t.Discard()
		return true, errors.Join(err, t.dir.Sync())
	}
	err = unmark() // while it stands, Discard puts the old file back
	t.Discard()
	return false, errors.Join(err, t.dir.Sync())
}

func (t *Temp) exchange() error {
	err := retry(func() error { return exchangeAt(t.dir.fd, TempName(t.name), t.name) })
	if unsupported(err) {
		return errors.ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("move temporary file into place: %w", t.fault("rename", err))
	}
	return nil
}

// unsupported says that the system or the file system does not have the call.
func unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP)
}

func (t *Temp) fault(op string, err error) error {
	return &fs.PathError{Op: op, Path: filepath.Join(t.dir.path, t.name), Err: err}
}

// Discard removes the temporary file unless it has been moved into place. An
// error is not reported: what stays behind is found by the next Create.
func (t *Temp) Discard() {
	_ = t.File.Close()
	if !t.done {
		t.done = true
		_ = t.dir.Discard(t.name)
	}
}

// retry repeats a system call that a signal interrupted: the Go runtime's own
// signals do that on some file systems.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
