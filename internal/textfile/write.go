package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// Write gives the file the content next, if its content still is old; else
// ErrChanged (wrapped), and nothing is written. With old nil the file must not
// exist, and is created with mode 0600; its folder must exist. The caller holds
// the lock.
//
// Mode, owner, group, extended attributes and links are kept; where they
// cannot be, nothing is written. What was written is durable when Write returns
// nil. After an error the file holds old or next, whole; or, after a write in
// place that could neither be ended nor taken back, ErrTorn until Repair.
func (f *File) Write(old, next []byte) error {
	if len(next) > MaxSize {
		return tooLarge(f.path)
	}
	p, err := f.locate()
	if err != nil {
		return err
	}
	defer p.Close()
	if old == nil {
		return p.create(next, 0o600, -1, -1)
	}
	now, err := p.look(p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: it is gone", f.path, ErrChanged)
	}
	if err != nil {
		return err
	}
	defer now.close()
	if !bytes.Equal(now.text, old) {
		return fmt.Errorf("%s: %w", f.path, ErrChanged)
	}
	why := p.mustStay(now.info)
	if why == "" {
		err := p.replace(now, next)
		if err == nil || !noRename(err) {
			return err
		}
		why = err.Error()
	}
	return f.overwrite(p, why, old, next)
}

// Check says, without any effect, whether Write would be let: permissions of
// the effective user, a file system mounted read-only, immutable files. What a
// quota, a full disk or a security module says to it only the write can tell.
func (f *File) Check() error {
	p, err := f.locate()
	if err != nil {
		return err
	}
	defer p.Close()
	now, err := p.look(p.name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := p.Writable("."); err != nil {
			return fmt.Errorf("create %s: %w", f.path, err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer now.close()
	if frozen(p, p.name) {
		return hint.Add(fmt.Errorf("%s: %w: it is immutable or append-only (chattr)", f.path, ErrUnwritable), "chattr -i -a %s", hint.Command(f.path))
	}
	if why := p.mustStay(now.info); why != "" {
		return f.checkInPlace(p, why)
	}
	return nil
}

func (p place) create(next []byte, mode fs.FileMode, uid, gid int) error {
	folder, err := p.Stat(".")
	if err == nil {
		err = p.ledBy(folder.Uid)
	}
	if err != nil {
		return err
	}
	temp, err := p.Create(p.name, next)
	if err != nil {
		return err
	}
	defer temp.Discard()
	// The umask may have taken bits away. A default ACL of the folder, which
	// the file inherits, lets nobody in: the mode's group bits are its mask.
	if err := temp.Seal(mode, uid, gid); err != nil {
		return err
	}
	err = temp.CommitNew()
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w: it exists now", p.path, ErrChanged)
	}
	return err
}

// replace puts a new file in the place of the one that was looked at.
func (p place) replace(now *snapshot, next []byte) error {
	temp, err := p.Create(p.name, next)
	if err != nil {
		return err
	}
	defer temp.Discard()
	// Attributes before the mode: a default ACL of the folder, inherited by
	// the temporary file, would be let loose by the mode's group bits.
	if err := copyAttributes(now.file, temp.File); err != nil {
		return err
	}
	st := statOf(now.info)
	if err := temp.Seal(permOf(now.info), int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	// The fsync took long. Somebody without the lock may have edited the
	// file, or changed its mode or owner, meanwhile.
	same, err := p.unchanged(now, p.name)
	if err != nil {
		return err
	}
	changed := !same
	if same {
		changed, err = temp.Exchange(func(old string) (bool, error) { return p.unchanged(now, old) })
		if errors.Is(err, errors.ErrUnsupported) {
			err = temp.Commit()
		}
	}
	if changed || errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s: %w", p.path, ErrChanged), err)
	}
	return err
}

// unchanged says whether the name leads to the file that was looked at, as it
// was then.
func (p place) unchanged(then *snapshot, name string) (bool, error) {
	now, err := p.look(name)
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer now.close()
	a, b := statOf(then.info), statOf(now.info)
	return bytes.Equal(then.text, now.text) && os.SameFile(then.info, now.info) &&
		a.Mode == b.Mode && a.Uid == b.Uid && a.Gid == b.Gid, nil
}

func permOf(info fs.FileInfo) fs.FileMode {
	return info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

// mustStay says why the file cannot be replaced by a rename and has to be
// written in place, or "" where nothing speaks against a rename. It only looks.
// A rename may still fail for a reason that cannot be seen beforehand.
func (p place) mustStay(info fs.FileInfo) string {
	st := statOf(info)
	switch {
	case st.Nlink > 1:
		// A rename would leave the other names with the old content.
		return "it has several hard links"
	case isMountPoint(p):
		return "it is mounted by itself"
	case p.Writable(".") != nil:
		return "its folder cannot be written"
	case frozen(p, "."):
		return "its folder is immutable or append-only"
	case os.Geteuid() != 0 && os.Geteuid() != int(st.Uid): // nor may another rename in a folder with the sticky bit
		return "its owner could not be kept"
	}
	return ""
}

// noRename says whether a failed attempt to replace the file means that it has
// to be written in place after all: nothing has been changed by it.
func noRename(err error) bool {
	for _, no := range []error{unix.EBUSY, unix.EACCES, unix.EPERM, unix.EROFS, unix.EXDEV, unix.ENAMETOOLONG} {
		if errors.Is(err, no) && !errors.Is(err, ErrChanged) {
			return true
		}
	}
	return false
}
