package run

import (
	"os"
	"syscall"
)

// nameless makes a file that never has a name, so that not even a kill leaves
// one. Some file systems cannot.
func nameless(dir string) (*os.File, error) {
	const tmpfile = 0x400000 | syscall.O_DIRECTORY // O_TMPFILE (open(2)), which package syscall lacks
	return os.OpenFile(dir, os.O_RDWR|os.O_APPEND|tmpfile, 0o600)
}
