//go:build !linux

package textfile

import "os"

// isMountPoint: only Linux mounts single files.
func isMountPoint(place) bool { return false }

// frozen: an immutable file is found when it is written.
func frozen(place, string) bool { return false }

// hasACL: see the package's doc.
func hasACL(*os.File) bool { return false }

// copyAttributes keeps none: see the package's doc.
func copyAttributes(_, _ *os.File) error { return nil }
