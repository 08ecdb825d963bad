//go:build !linux

// Package coredump keeps keys out of the core files of this process.
package coredump

import "syscall"

// Never keeps keys out of core files. Only the soft limit is lowered:
// what a restart command starts inherits it, and may raise it again. allow puts
// it back, for the program that exec becomes.
func Never() (allow func()) {
	var before syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &before) != nil {
		return func() {}
	}
	lowered := before
	lowered.Cur = 0
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &lowered)
	return func() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &before) }
}
