package supervise

import "syscall"

// endWithParent has the kernel send the command SIGTERM when we die, so that a
// server does not go on with nobody to look after it: its supervisor would
// start another beside it. SIGTERM, not SIGKILL, lets it answer what it was
// asked.
func endWithParent(sys *syscall.SysProcAttr) { sys.Pdeathsig = syscall.SIGTERM }

// prSetChildSubreaper is PR_SET_CHILD_SUBREAPER (prctl(2)), which package
// syscall lacks.
const prSetChildSubreaper = 36

// adoptOrphans makes what the command leaves behind our children. As process 1
// of a container we have them anyway, and nobody else would wait for them;
// elsewhere a group that is empty but for dead processes, which process 1 has
// not come to wait for, would delay a restart.
func adoptOrphans() bool {
	_, _, err := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
	return err == 0
}
