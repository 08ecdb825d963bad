package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// isMountPoint compares the mounts that the file and its folder belong to, as
// the kernel tells them of an open descriptor (proc_pid_fdinfo(5), mnt_id). It
// also finds what has the same device number: a bind mount within one file
// system. Where /proc does not tell, a rename will fail with EBUSY.
func isMountPoint(path, folder string) bool {
	a, errA := mountID(path)
	b, errB := mountID(folder)
	return errA == nil && errB == nil && a != b
}

func mountID(path string) (string, error) {
	// O_PATH opens nothing: no permission on the file needed, no effect.
	const oPath = 0x200000
	f, err := os.OpenFile(path, oPath, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := os.ReadFile(filepath.Join("/proc/self/fdinfo", strconv.Itoa(int(f.Fd()))))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if id, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strings.TrimSpace(id), nil
		}
	}
	return "", errors.New("no mount ID")
}

// frozen says whether a file has the immutable or the append-only flag
// (ioctl_iflags(2), chattr(1)), which stop root too. A file system without
// flags has none.
func frozen(path string) bool {
	const (
		immutable  = 0x10 // FS_IMMUTABLE_FL
		appendOnly = 0x20 // FS_APPEND_FL
		// FS_IOC_GETFLAGS is _IOR('f', 1, long).
		getFlags = 2<<30 | unsafe.Sizeof(uintptr(0))<<16 | 'f'<<8 | 1
	)
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	var flags uintptr // the kernel writes 32 bits of it, whatever its type says
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), getFlags, uintptr(unsafe.Pointer(&flags)))
	return errno == 0 && uint32(flags)&(immutable|appendOnly) != 0
}

// copyAttributes gives the file at to the extended attributes of from, ACLs
// and security labels among them, and takes away those that from has not (a
// default ACL of the folder is inherited by a new file). Attributes that belong
// to the content itself are left alone.
func copyAttributes(from, to string) error {
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
		if err := syscall.Setxattr(to, name, value, 0); err != nil {
			return fmt.Errorf("keep the attribute %s: %w", name, refusal(to, err))
		}
	}
	for name := range have {
		if _, ok := want[name]; ok || strings.HasPrefix(name, "security.") {
			continue // a label that the kernel itself gave cannot be taken away
		}
		if err := syscall.Removexattr(to, name); err != nil && !errors.Is(err, syscall.ENODATA) {
			return fmt.Errorf("take away the attribute %s: %w", name, refusal(to, err))
		}
	}
	return nil
}

// refusal makes an attribute that the new file cannot have a reason to write
// in place, where the old file keeps it.
func refusal(path string, err error) error {
	if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EINVAL) {
		err = syscall.EPERM
	}
	return &fs.PathError{Op: "setxattr", Path: path, Err: err}
}

func attributes(path string) (map[string][]byte, error) {
	list, err := grow(func(buf []byte) (int, error) { return syscall.Listxattr(path, buf) })
	if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", &fs.PathError{Op: "listxattr", Path: path, Err: err})
	}
	all := map[string][]byte{}
	for name := range strings.SplitSeq(string(list), "\x00") {
		// Hashes of the content, which the kernel keeps itself.
		if name == "" || slices.Contains([]string{"security.ima", "security.evm"}, name) {
			continue
		}
		value, err := grow(func(buf []byte) (int, error) { return syscall.Getxattr(path, name, buf) })
		if errors.Is(err, syscall.ENODATA) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the attribute %s: %w", name, &fs.PathError{Op: "getxattr", Path: path, Err: err})
		}
		all[name] = value
	}
	return all, nil
}

// grow calls with larger buffers until the answer fits (64 KiB is the limit of
// both a list and a value, xattr(7)).
func grow(call func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := call(buf)
		if errors.Is(err, syscall.ERANGE) && size <= 64<<10 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}
