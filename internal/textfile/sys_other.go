//go:build !linux

package textfile

// isMountPoint: only Linux mounts single files.
func isMountPoint(_, _ string) bool { return false }

// frozen: an immutable file is found when it is written.
func frozen(string) bool { return false }

// copyAttributes keeps none: see the package's doc.
func copyAttributes(_, _ string) error { return nil }
