package textfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
)

// Check says, without any effect, whether Write could give the file a content
// of size bytes: permissions of the effective user, a file system mounted
// read-only, immutable files, room on the disk for the temporary file or the
// spare copy. It does not see quotas, or what a security module forbids.
func (f *File) Check(size int) error {
	if size > MaxSize {
		return tooLarge(f.path)
	}
	real, err := resolve(f.path)
	if err != nil {
		return err
	}
	folder := filepath.Dir(real)
	data, info, err := readFile(real)
	if errors.Is(err, fs.ErrNotExist) {
		return f.about("create", atomicfile.CheckDir(folder, size))
	}
	if err != nil {
		return err
	}
	if frozen(real) {
		return fmt.Errorf("%s: %w: it is immutable or append-only (chattr)", f.path, ErrNoWay)
	}
	why := mustStay(real, info)
	if why == "" {
		return f.about("replace", atomicfile.Room(folder, size))
	}
	if err := f.checkInPlace(real, why); err != nil {
		return err
	}
	if grow := size - len(data); grow > 0 {
		if err := atomicfile.Room(real, grow); err != nil {
			return f.about("write in place", err)
		}
	}
	return f.about("spare copy for", atomicfile.CheckDir(f.spareDir, spareSize(len(data), size)))
}

func (f *File) about(act string, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w", act, f.path, err)
	}
	return nil
}

// spareSize is the size of a spare copy: base64 of both contents, and the rest
// of it.
func spareSize(old, next int) int { return (old+next)*4/3 + 8<<10 }
