//go:build !linux

package textfile

import (
	"io/fs"
	"syscall"
)

// Bits for access, as in access(2).
const (
	accessWrite  = 2
	accessSearch = 1
)

// access asks the kernel. It answers for the real user, who is the effective
// one unless blnkctl is installed setuid.
func access(path string, mode uint32) error {
	if err := syscall.Access(path, mode); err != nil {
		return &fs.PathError{Op: "access", Path: path, Err: err}
	}
	return nil
}

// isMountPoint: only Linux mounts single files.
func isMountPoint(_, _ string) bool { return false }

// frozen: an immutable file is found when it is written.
func frozen(string) bool { return false }

// copyAttributes keeps none: see the package's doc.
func copyAttributes(_, _ string) error { return nil }
