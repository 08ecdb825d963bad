//go:build !linux

package leak

import "os"

// widen is for Linux.
func widen(*os.File) {}
