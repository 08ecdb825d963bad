// Package coredump keeps keys out of the core files of this process.
package coredump

import "syscall"

// Never keeps keys out of core files. PR_SET_DUMPABLE also holds where a
// program takes the core over a pipe (systemd-coredump), which RLIMIT_CORE does
// not (core(5)); it keeps other processes of the same user from reading our
// memory; and it ends at an execve (prctl(2)), so that allow has nothing to do.
func Never() (allow func()) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0)
	return func() {}
}
