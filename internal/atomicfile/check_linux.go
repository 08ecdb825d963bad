package atomicfile

import "syscall"

// access is access(2) for the effective user, not the real one: the two may
// differ in their capabilities.
func access(path string, mode uint32) error {
	const (
		atFdcwd   = -0x64 // AT_FDCWD
		atEaccess = 0x200 // AT_EACCESS
	)
	return retry(func() error { return syscall.Faccessat(atFdcwd, path, mode, atEaccess) })
}

// blockSize is the unit of the block counts. Bsize may be a larger one, that of
// the best transfers (FUSE, NFS).
func blockSize(st *syscall.Statfs_t) uint64 {
	if st.Frsize > 0 {
		return uint64(st.Frsize)
	}
	return uint64(st.Bsize)
}
