//go:build !linux

package cmd

import "syscall"

// noCoreDumps keeps keys out of core files. Only the soft limit is lowered:
// what a restart command starts inherits it, and may raise it again.
func noCoreDumps() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil {
		limit.Cur = 0
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit)
	}
}
