package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
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
	real, err := resolve(f.path)
	if err != nil {
		return err
	}
	if old == nil {
		return f.create(real, next)
	}
	now, info, err := readFile(real)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: it is gone", f.path, ErrChanged)
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(now, old) {
		return fmt.Errorf("%s: %w", f.path, ErrChanged)
	}
	why := mustStay(real, info)
	if why == "" {
		err := f.replace(real, info, old, next)
		if err == nil || !noRename(err) {
			return err
		}
		why = err.Error()
	}
	return f.overwrite(real, why, old, next)
}

func (f *File) create(real string, next []byte) error {
	temp, err := atomicfile.Create(real, next)
	if err != nil {
		return err
	}
	defer temp.Discard()
	// The umask may have taken bits away. A default ACL of the folder, which
	// the file inherits, lets nobody in: the mode's group bits are its mask.
	if err := temp.Chown(atomicfile.Private()); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	err = temp.CommitNew()
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w: it exists now", f.path, ErrChanged)
	}
	return err
}

// replace puts a new file in the place of the one that info describes.
func (f *File) replace(real string, info fs.FileInfo, old, next []byte) error {
	st, _ := statOf(info)
	temp, err := atomicfile.Create(real, next)
	if err != nil {
		return err
	}
	defer temp.Discard()
	// Attributes before the mode: a default ACL of the folder, inherited by
	// the temporary file, would be let loose by the mode's group bits.
	err = copyAttributes(real, temp.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: it is gone", f.path, ErrChanged)
	}
	if err != nil {
		return err
	}
	if err := temp.Chown(atomicfile.Perm{Mode: permOf(info), UID: int(st.Uid), GID: int(st.Gid)}); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	// The fsync took long. Somebody without the lock may have edited the
	// file, or changed its mode or owner, meanwhile.
	now, late, err := readFile(real)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !bytes.Equal(now, old) || !samePlace(info, late) {
		return fmt.Errorf("%s: %w", f.path, ErrChanged)
	}
	return temp.Commit()
}

func samePlace(a, b fs.FileInfo) bool {
	sa, oka := statOf(a)
	sb, okb := statOf(b)
	return oka && okb && os.SameFile(a, b) && a.Mode() == b.Mode() && sa.Uid == sb.Uid && sa.Gid == sb.Gid
}

func permOf(info fs.FileInfo) fs.FileMode {
	return info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}

// overwrite writes the file in place. Until it is done a spare copy of both
// contents lies in the spare folder.
func (f *File) overwrite(real, why string, old, next []byte) error {
	if err := f.checkInPlace(real, why); err != nil {
		return err
	}
	file, err := openInPlace(real)
	if err != nil {
		return fmt.Errorf("%s: %w: %s, and it cannot be written in place: %w", f.path, ErrNoWay, why, err)
	}
	defer func() { _ = file.Close() }()
	sp := spare{path: real, old: old, next: next}
	if err := f.saveSpare(sp); err != nil {
		return fmt.Errorf("%s: spare copy before a write in place: %w", f.path, err)
	}
	now, _, err := readFrom(file, real)
	if err != nil || !bytes.Equal(now, old) {
		derr := f.dropSpare(real)
		if err == nil {
			err = fmt.Errorf("%s: %w", f.path, ErrChanged)
		}
		return errors.Join(err, derr)
	}
	if err := fill(file, next, len(old)); err != nil {
		return f.takeBack(file, real, sp, err)
	}
	return f.dropSpare(real)
}

// takeBack writes the old content again after a write in place has failed. If
// that fails too, the spare copy stays for Repair.
func (f *File) takeBack(file *os.File, real string, sp spare, cause error) error {
	if err := fill(file, sp.old, len(sp.next)); err != nil {
		return fmt.Errorf("%s: %w: write in place: %w; taking it back: %w", f.path, ErrTorn, cause, err)
	}
	return errors.Join(fmt.Errorf("write in place: %w", cause), f.dropSpare(real))
}
