package textfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
)

// mustStay says why the file at path cannot be replaced by a rename and has to
// be written in place, or "" where nothing speaks against a rename. It only
// looks. A rename may still fail for a reason that cannot be seen beforehand.
func mustStay(path string, info fs.FileInfo) string {
	st, ok := statOf(info)
	if !ok {
		return "" // no Unix: cannot happen where this builds
	}
	folder := filepath.Dir(path)
	switch {
	case st.Nlink > 1:
		// A rename would leave the other names with the old content.
		return "it has several hard links"
	case isMountPoint(path, folder):
		return "it is mounted by itself"
	case atomicfile.Writable(folder) != nil:
		return "its folder cannot be written"
	case frozen(folder):
		return "its folder is immutable or append-only"
	case !mayOwn(st.Uid, st.Gid):
		return "its owner could not be kept"
	}
	return ""
}

// mayOwn says whether we could create a file of this owner and group: root
// may, others only as themselves and for a group that they are in (chown(2)).
// It also covers folders with the sticky bit, where only the owner may rename.
func mayOwn(uid, gid uint32) bool {
	me := os.Geteuid()
	if me == 0 {
		return true
	}
	if uint32(me) != uid {
		return false
	}
	if uint32(os.Getegid()) == gid {
		return true
	}
	groups, err := os.Getgroups()
	return err == nil && slices.Contains(groups, int(gid))
}

// checkInPlace says whether the file at path could be written in place. why is
// the reason why it must be.
func (f *File) checkInPlace(path, why string) error {
	if f.spareDir == "" {
		return fmt.Errorf("%s: %w: %s, and there is no folder for a spare copy", f.path, ErrNoWay, why)
	}
	if err := atomicfile.Writable(path); err != nil {
		return fmt.Errorf("%s: %w: %s, and it cannot be written in place: %w", f.path, ErrNoWay, why, err)
	}
	return nil
}

// noRename says whether a failed attempt to replace the file means that it has
// to be written in place after all: nothing has been changed by it.
func noRename(err error) bool {
	for _, no := range []error{syscall.EBUSY, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EXDEV, syscall.ENAMETOOLONG} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

func statOf(info fs.FileInfo) (*syscall.Stat_t, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, ok
}
