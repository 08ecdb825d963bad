//go:build !linux

package supervise

import "syscall"

// endWithParent does nothing: this system has no such service.
func endWithParent(*syscall.SysProcAttr) {}

// adoptOrphans leaves them to launchd.
func adoptOrphans() bool { return false }
