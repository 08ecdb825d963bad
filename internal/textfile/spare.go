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
	"syscall"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
)

// A spare is the copy that is on the disk while a file is written in place:
// what the file held and what it is to hold, so that a half written file can
// be told from one that somebody else wrote.
type spare struct {
	path      string // the real path of the file
	old, next []byte
}

// spareFormat is the spare copy as a file: JSON, because it may have to be
// read by a person too.
type spareFormat struct {
	Version int    `json:"version"`
	Path    string `json:"path"`
	Old     []byte `json:"old"`
	Next    []byte `json:"next"`
}

const spareVersion = 1

// sparePath is named after the path, not the inode: device numbers do not
// outlive a reboot.
func (f *File) sparePath(real string) string {
	sum := sha256.Sum256([]byte(real))
	return filepath.Join(f.spareDir, hex.EncodeToString(sum[:16])+".spare")
}

// saveSpare is durable when it returns: the first byte of the file is
// overwritten after it.
func (f *File) saveSpare(sp spare) error {
	text, err := json.Marshal(spareFormat{spareVersion, sp.path, sp.old, sp.next})
	if err != nil {
		return err
	}
	if _, err := os.Stat(f.spareDir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(f.spareDir, 0o700); err != nil {
			return err
		}
		// The entry of the new folder has to be durable too.
		if err := atomicfile.SyncDir(filepath.Dir(f.spareDir)); err != nil {
			return err
		}
	}
	return atomicfile.Replace(f.sparePath(sp.path), text, atomicfile.Private())
}

// loadSpare returns nil where there is no spare copy: the usual case.
func (f *File) loadSpare(real string) (*spare, error) {
	if f.spareDir == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.sparePath(real))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("spare copy of %s: %w", f.path, err)
	}
	var in spareFormat
	if err := json.Unmarshal(text, &in); err != nil || in.Version != spareVersion || in.Path != real {
		// It was put in place whole, so somebody touched it. Without it
		// nobody can tell whether the file is whole.
		return nil, fmt.Errorf("%s: %w, or was: its spare copy %s is damaged or of another version", f.path, ErrTorn, f.sparePath(real))
	}
	return &spare{path: real, old: in.Old, next: in.Next}, nil
}

// dropSpare removes the copy: there is a key in it.
func (f *File) dropSpare(real string) error {
	err := os.Remove(f.sparePath(real))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove spare copy of %s: %w", f.path, err)
	}
	return nil
}

// tears says whether data is a half of sp.next over sp.old: as long as the one,
// the other or something between, and each byte is that of one of them, or a
// zero that the file system left where data had not reached the disk. A whole
// old or next is not torn. Anything else was written by somebody else.
func (sp *spare) tears(data []byte) bool {
	if bytes.Equal(data, sp.old) || bytes.Equal(data, sp.next) {
		return false
	}
	shorter, longer := min(len(sp.old), len(sp.next)), max(len(sp.old), len(sp.next))
	if len(data) < shorter || len(data) > longer {
		return false
	}
	for i, b := range data {
		isOld := i < len(sp.old) && sp.old[i] == b
		isNext := i < len(sp.next) && sp.next[i] == b
		if !isOld && !isNext && b != 0 {
			return false
		}
	}
	return true
}

// Repair puts right what a crash left: a stale temporary file is removed, a
// file torn in the middle of a write in place gets its old content back from
// the spare copy, and what a killed Write had put in place becomes durable. A
// spare copy whose file is whole, or was rewritten by somebody else since, is
// removed and the file left alone. While the file is missing (not mounted
// yet?) its spare copy stays. The caller holds the lock.
func (f *File) Repair() error {
	real, err := resolve(f.path)
	if err != nil {
		return err
	}
	if err := discardStale(real); err != nil {
		return err
	}
	data, _, err := readFile(real)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotSafe) {
		return nil // Read says so better
	}
	if err != nil {
		return fmt.Errorf("repair %s: %w", f.path, err)
	}
	sp, err := f.loadSpare(real)
	if err != nil {
		return err
	}
	if sp != nil && sp.tears(data) {
		if err := putBack(real, sp.old, len(data)); err != nil {
			return fmt.Errorf("repair %s: %w", f.path, err)
		}
	}
	// Whole is not yet durable: the crash may have come between the write and
	// its fsync, and the next one could be a power cut.
	if err := settle(real); err != nil {
		return fmt.Errorf("repair %s: %w", f.path, err)
	}
	if sp == nil {
		return nil
	}
	return f.dropSpare(real)
}

// settle makes durable what stands at path. Where nothing is pending that
// takes a tenth of a millisecond.
func settle(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := file.Sync(); err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

func putBack(real string, old []byte, was int) error {
	file, err := openInPlace(real)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return fill(file, old, was)
}

// discardStale looks before it removes: in a folder that we cannot write, and
// on a read-only file system, there being nothing to remove is no error.
func discardStale(real string) error {
	if _, err := os.Lstat(atomicfile.TempName(real)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return atomicfile.Discard(real)
}
