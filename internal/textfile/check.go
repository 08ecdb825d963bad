package textfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
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
		if err := access(folder, accessWrite|accessSearch); err != nil {
			return fmt.Errorf("create %s: %w", f.path, err)
		}
		return room(folder, size)
	}
	if err != nil {
		return err
	}
	if frozen(real) {
		return fmt.Errorf("%s: %w: it is immutable or append-only (chattr)", f.path, ErrNoWay)
	}
	why := mustStay(real, info)
	if why == "" {
		return room(folder, size)
	}
	if err := f.checkInPlace(real, why); err != nil {
		return err
	}
	if grow := size - len(data); grow > 0 {
		if err := room(real, grow); err != nil {
			return err
		}
	}
	return checkSpareDir(f.spareDir, spareSize(len(data), size))
}

// spareSize is the size of a spare copy: base64 of both contents, and the rest
// of it.
func spareSize(old, next int) int { return (old+next)*4/3 + 8<<10 }

// checkSpareDir looks at the nearest folder above that exists: that is where
// it would be created.
func checkSpareDir(dir string, size int) error {
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("folder for a spare copy: %s is no folder", dir)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("folder for a spare copy: %w", err)
		}
		dir = filepath.Dir(dir)
	}
	if err := access(dir, accessWrite|accessSearch); err != nil {
		return fmt.Errorf("folder for a spare copy: %w", err)
	}
	return room(dir, size)
}

// room says whether the file system of path has room for one more file of size
// bytes: blocks for it and one for a longer folder, and an inode.
func room(path string, size int) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return fmt.Errorf("room on the disk: %w", &fs.PathError{Op: "statfs", Path: path, Err: err})
	}
	block := max(uint64(st.Bsize), 1)
	free := uint64(st.Bavail)
	if os.Geteuid() == 0 {
		free = st.Bfree // root may use what is reserved
	}
	need := (uint64(size)+block-1)/block + 1
	if free < need {
		return fmt.Errorf("%s: %w: %d bytes free, %d needed", path, syscall.ENOSPC, free*block, need*block)
	}
	// A file system without a fixed number of inodes says 0 of 0 (btrfs).
	if st.Files > 0 && st.Ffree == 0 {
		return fmt.Errorf("%s: %w: no inode free", path, syscall.ENOSPC)
	}
	return nil
}
