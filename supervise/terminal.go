package supervise

import (
	"os/signal"
	"syscall"
	"unsafe"
)

// A terminal is the controlling terminal of this process; nil is none.
type terminal struct{ fd int }

func openTerminal() *terminal {
	fd, err := syscall.Open("/dev/tty", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &terminal{fd}
}

func (t *terminal) close() {
	if t != nil {
		_ = syscall.Close(t.fd)
	}
}

// foreground returns the process group that ^C goes to, as tcgetpgrp(3); 0
// where that is unknown.
func (t *terminal) foreground() int {
	var group int32
	_, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(t.fd), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	if err != 0 {
		return 0
	}
	return int(group)
}

// ours says whether our group has the terminal, so that it is ours to give.
func (t *terminal) ours() bool { return t != nil && t.foreground() == syscall.Getpgrp() }

// give makes a group the one in the foreground, as tcsetpgrp(3).
func (t *terminal) give(group int) {
	// Who asks from the background is stopped by SIGTTOU, unless it is ignored.
	// It must not stay so: a command that is started inherits it.
	signal.Ignore(syscall.SIGTTOU)
	defer signal.Reset(syscall.SIGTTOU)
	to := int32(group)
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, uintptr(t.fd), syscall.TIOCSPGRP, uintptr(unsafe.Pointer(&to)))
}

// takeFrom takes the terminal back from a group that has ended.
func (t *terminal) takeFrom(group int) {
	if t != nil && t.foreground() == group {
		t.give(syscall.Getpgrp())
	}
}
