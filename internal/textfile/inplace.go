package textfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ownfile"
)

// checkInPlace says whether the file could be written in place. why is the
// reason why it must be.
func (f *File) checkInPlace(p place, why string) error {
	if st, err := p.Stat(p.name); err == nil && st.Nlink == 0 { // a mount keeps what has no name any more
		return hint.Add(fmt.Errorf("%s: %w: it was replaced or removed outside after it was mounted here, so that the next mount has another one",
			f.path, ErrUnwritable), "mount it anew (start the container anew), then run this again")
	}
	if f.copyDir == "" {
		return fmt.Errorf("%s: %w: %s, and there is no folder for a copy of it", f.path, ErrUnwritable, why)
	}
	if err := p.Writable(p.name); err != nil {
		return fmt.Errorf("%s: %w: %s, and it cannot be written in place: %w", f.path, ErrUnwritable, why, err)
	}
	return nil
}

// overwrite writes the file in place. Until it is done a copy of both contents
// lies in the private folder.
func (f *File) overwrite(p place, why string, old, next []byte) error {
	if err := f.checkInPlace(p, why); err != nil {
		return err
	}
	// Neither O_TRUNC, with which the file would be empty for a while, nor
	// O_CREATE.
	file, err := p.Open(p.name, unix.O_RDWR)
	if err != nil {
		return fmt.Errorf("%s: %w: %s, and it cannot be written in place: %w", f.path, ErrUnwritable, why, err)
	}
	defer func() { _ = file.Close() }()
	if err := f.saveCopy(&savedCopy{1, p.real, old, next}); err != nil {
		return fmt.Errorf("%s: copy before a write in place: %w", f.path, err)
	}
	now, err := p.snapshotOf(file)
	if err == nil && !bytes.Equal(now.text, old) {
		err = fmt.Errorf("%s: %w", f.path, ErrChanged)
	}
	if err != nil {
		return errors.Join(err, f.dropCopy(p.real))
	}
	if err := p.fill(file, next, len(old)); err != nil {
		err = fmt.Errorf("write in place: %w", err)
		if back := p.fill(file, old, len(next)); back != nil {
			// The copy stays for Repair.
			return fmt.Errorf("%s: %w: %w; taking it back: %w", f.path, ErrTorn, err, back)
		}
		return errors.Join(err, f.dropCopy(p.real))
	}
	return f.dropCopy(p.real)
}

// fill gives an open file the content data, over one of size was. The order
// keeps as much of it readable as can be: first the new bytes, in one call,
// then, once they are on the disk, the rest of a longer old content goes. It
// reads back what it wrote: a file system that is full or broken may say so
// only there.
func (p place) fill(file *os.File, data []byte, was int) error {
	if _, err := file.WriteAt(data, 0); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if was > len(data) {
		if err := file.Truncate(int64(len(data))); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
	}
	back, err := p.snapshotOf(file)
	if err == nil && !bytes.Equal(back.text, data) {
		err = fmt.Errorf("%s reads back other than written", file.Name())
	}
	return err
}

// A savedCopy is on the disk while a file is written in place: what the file
// held and what it is to hold, so that a half written file can be told from one
// that somebody else wrote. JSON, because it may have to be read by a person
// too.
type savedCopy struct {
	Version int    `json:"version"`
	Path    string `json:"path"` // the real path of the file
	Old     []byte `json:"old"`
	Next    []byte `json:"next"`
}

// copyPath is named after the path, not the inode: device numbers do not
// outlive a reboot.
func (f *File) copyPath(real string) string {
	sum := sha256.Sum256([]byte(real))
	return filepath.Join(f.copyDir, hex.EncodeToString(sum[:16])+".copy")
}

// saveCopy is durable when it returns: the first byte of the file is
// overwritten after it.
func (f *File) saveCopy(c *savedCopy) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := atomicfile.MakeDir(f.copyDir); err != nil {
		return err
	}
	return atomicfile.Replace(f.copyPath(c.Path), text)
}

// loadCopy returns nil where there is no copy: the usual case.
func (f *File) loadCopy(real string) (*savedCopy, error) {
	if f.copyDir == "" {
		return nil, nil
	}
	text, err := ownfile.Read(f.copyPath(real), 4*MaxSize)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("copy of %s: %w", f.path, err)
	}
	var c savedCopy
	if err := json.Unmarshal(text, &c); err != nil || c.Version != 1 || c.Path != real {
		// It was put in place whole, so somebody touched it. Without it
		// nobody can tell whether the file is whole.
		return nil, fmt.Errorf("%s: %w, or was: its copy %s is damaged or of another version", f.path, ErrTorn, f.copyPath(real))
	}
	return &c, nil
}

// dropCopy removes the copy: there is a key in it.
func (f *File) dropCopy(real string) error {
	err := os.Remove(f.copyPath(real))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the copy of %s: %w", f.path, err)
	}
	return nil
}

// tornInto says whether text is a half of Next over Old: as long as the one,
// the other or something between, and each byte is that of one of them, or a
// zero that the file system left where data had not reached the disk. A whole
// Old or Next is not torn. Anything else was written by somebody else.
func (c *savedCopy) tornInto(text []byte) bool {
	if bytes.Equal(text, c.Old) || bytes.Equal(text, c.Next) {
		return false
	}
	shorter, longer := min(len(c.Old), len(c.Next)), max(len(c.Old), len(c.Next))
	if len(text) < shorter || len(text) > longer {
		return false
	}
	for i, b := range text {
		isOld := i < len(c.Old) && c.Old[i] == b
		isNext := i < len(c.Next) && c.Next[i] == b
		if !isOld && !isNext && b != 0 {
			return false
		}
	}
	return true
}

// Repair puts right what a crash left: a stale temporary file is removed, a
// file torn in the middle of a write in place gets its old content back from
// its copy, and what a killed Write had put in place becomes durable. A copy
// whose file is whole, or was rewritten by somebody else since, is removed and
// the file left alone. While the file is missing (not mounted yet?) its copy
// stays. The caller holds the lock.
func (f *File) Repair() error {
	p, err := f.locate()
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Close()
	now, err := p.look(p.name)
	if err == nil {
		defer now.close()
	}
	if err == nil || len(p.linkOwners) == 0 {
		if derr := p.Discard(p.name); derr != nil {
			return derr
		}
	}
	if isGone(err) {
		return nil // Read says so better
	}
	if err != nil {
		return fmt.Errorf("repair %s: %w", f.path, err)
	}
	saved, err := f.loadCopy(p.real)
	if err != nil {
		return err
	}
	if saved != nil && saved.tornInto(now.text) {
		if err := p.putBack(saved.Old, len(now.text)); err != nil {
			return fmt.Errorf("repair %s: %w", f.path, err)
		}
	}
	// Whole is not yet durable: the crash may have come between the write and
	// its fsync, and the next one could be a power cut. Where nothing is pending
	// that takes a tenth of a millisecond.
	err = now.file.Sync()
	if err == nil {
		err = p.Sync()
	}
	if err != nil {
		return fmt.Errorf("repair %s: %w", f.path, err)
	}
	if saved == nil {
		return nil
	}
	return f.dropCopy(p.real)
}

func (p place) putBack(old []byte, was int) error {
	file, err := p.Open(p.name, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return p.fill(file, old, was)
}
