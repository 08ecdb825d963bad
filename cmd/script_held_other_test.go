//go:build !linux

package cmd_test

// heldCmds: there is no strace.
func heldCmds() map[string]scriptCmd { return nil }
