package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// isMountPoint compares the mounts that the file and its folder belong to. That
// also finds what has the same device number: a bind mount within one file
// system. Where the kernel does not tell (before 5.8), a rename fails with
// EBUSY.
func isMountPoint(p place) bool {
	a, errA := p.Statx(p.name)
	b, errB := p.Statx(".")
	return errA == nil && errB == nil && a.Mask&b.Mask&unix.STATX_MNT_ID != 0 && a.Mnt_id != b.Mnt_id
}

// frozen says whether the immutable or the append-only flag is set (chattr(1)),
// which stop root too.
func frozen(p place, name string) bool {
	st, err := p.Statx(name)
	return err == nil && st.Attributes&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0
}

// hasACL says whether an access control list belongs to an open file (acl(5)).
func hasACL(file *os.File) bool {
	n, err := unix.Fgetxattr(int(file.Fd()), "system.posix_acl_access", nil)
	return err == nil && n > 0
}

// copyAttributes gives one open file the extended attributes of another, ACLs
// and security labels among them, and takes away those that the other has not (a
// default ACL of the folder is inherited by a new file). Attributes that belong
// to the content itself are left alone.
func copyAttributes(from, to *os.File) error {
	want, err := attributes(from)
	if err != nil {
		return err
	}
	have, err := attributes(to)
	if err != nil {
		return err
	}
	for name, value := range want {
		if old, ok := have[name]; ok && bytes.Equal(old, value) {
			continue
		}
		if err := unix.Fsetxattr(int(to.Fd()), name, value, 0); err != nil {
			return fmt.Errorf("keep the attribute %s: %w", name, refusal(to, err))
		}
	}
	for name := range have {
		if _, ok := want[name]; ok || strings.HasPrefix(name, "security.") {
			continue // a label that the kernel itself gave cannot be taken away
		}
		if err := unix.Fremovexattr(int(to.Fd()), name); err != nil && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("take away the attribute %s: %w", name, refusal(to, err))
		}
	}
	return nil
}

// refusal makes an attribute that the new file cannot have a reason to write
// in place, where the old file keeps it.
func refusal(file *os.File, err error) error {
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EINVAL) {
		err = unix.EPERM
	}
	return &fs.PathError{Op: "setxattr", Path: file.Name(), Err: err}
}

func attributes(file *os.File) (map[string][]byte, error) {
	fd := int(file.Fd())
	list, err := xattr(func(buf []byte) (int, error) { return unix.Flistxattr(fd, buf) })
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", &fs.PathError{Op: "listxattr", Path: file.Name(), Err: err})
	}
	all := map[string][]byte{}
	for name := range strings.SplitSeq(string(list), "\x00") {
		// Hashes of the content, which the kernel keeps itself.
		if name == "" || name == "security.ima" || name == "security.evm" {
			continue
		}
		value, err := xattr(func(buf []byte) (int, error) { return unix.Fgetxattr(fd, name, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the attribute %s: %w", name, &fs.PathError{Op: "getxattr", Path: file.Name(), Err: err})
		}
		all[name] = value
	}
	return all, nil
}

// xattr calls with a buffer that holds any list and any value (xattr(7)).
func xattr(call func([]byte) (int, error)) ([]byte, error) {
	buf := make([]byte, 64<<10)
	n, err := call(buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}
