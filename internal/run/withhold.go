package run

import (
	"os"
	"strconv"
	"syscall"
)

// Withhold keeps from every command what this process has inherited besides stdin, stdout
// and stderr: a daemon that a restart leaves behind would hold it open (a lock, a pipe), or
// could read again what a key came from. This process goes on using it. Where /dev/fd
// cannot be listed, nothing is kept.
func Withhold() {
	names, _ := os.ReadDir("/dev/fd")
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
