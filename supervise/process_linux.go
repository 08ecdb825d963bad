package supervise

import "syscall"

// groupOfItsOwn is how the command is started. When we die, the kernel sends it
// SIGTERM, so that a server does not go on beside the one that our own
// supervisor starts next. What the command leaves behind becomes our child, as
// it does anyway where we are process 1 of a container: a group of dead
// processes that nobody waits for would delay a restart.
func groupOfItsOwn() *syscall.SysProcAttr {
	const subreaper = 36 // PR_SET_CHILD_SUBREAPER (prctl(2)), which package syscall lacks
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, subreaper, 1, 0)
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
