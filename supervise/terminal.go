package supervise

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

// A terminal is the controlling terminal of this process; nil is none.
//
// With it, SIGTTOU is ignored: who gives a terminal away from the background,
// or writes to it there, would be stopped.
type terminal struct{ fd int }

func openTerminal() *terminal {
	fd, err := syscall.Open("/dev/tty", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	signal.Ignore(syscall.SIGTTOU)
	return &terminal{fd}
}

// forks calls fork so that the child has SIGTTOU as usual: it would inherit that
// it is ignored, not that it is caught. (signal.Reset does not bring the usual
// action back for a signal that Go leaves to the system, go1.26.)
func (t *terminal) forks(fork func()) {
	if t == nil {
		fork()
		return
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTTOU)
	fork()
	signal.Ignore(syscall.SIGTTOU)
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
	to := int32(group)
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, uintptr(t.fd), syscall.TIOCSPGRP, uintptr(unsafe.Pointer(&to)))
}

// takeFrom takes the terminal back from a group that has ended.
func (t *terminal) takeFrom(group int) {
	if t != nil && t.foreground() == group {
		t.give(syscall.Getpgrp())
	}
}
