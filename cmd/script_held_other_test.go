//go:build !linux

package cmd_test

// heldCmds and mountCmds: there is neither strace nor a tmpfs.
func heldCmds() map[string]scriptCmd  { return nil }
func mountCmds() map[string]scriptCmd { return nil }
