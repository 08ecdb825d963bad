//go:build !linux

package atomicfile

import "syscall"

// access answers for the real user, who is the effective one too: blnkctl is
// never set-user-ID.
func access(path string, mode uint32) error {
	return retry(func() error { return syscall.Access(path, mode) })
}

func blockSize(st *syscall.Statfs_t) uint64 { return uint64(st.Bsize) }
