//go:build !linux

package supervise

import "syscall"

// groupOfItsOwn is how the command is started.
func groupOfItsOwn() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
