package leak

import (
	"os"
	"syscall"
)

// widen lets a pipe hold a mebibyte, as much as anybody may ask for
// (/proc/sys/fs/pipe-max-size), instead of 64 KiB: git and we wait for each other less.
func widen(pipe *os.File) {
	const setSize = 1031 // F_SETPIPE_SZ (fcntl(2)), which package syscall lacks
	if raw, err := pipe.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, setSize, 1<<20) })
	}
}
