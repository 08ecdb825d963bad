package screen

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// HideTyping switches the echo of a terminal off, and returns what brings it back:
// the caller must call that, nobody else does. Call it before the question is
// shown: what answers it may be a program, or a person who pastes.
func HideTyping(terminal *os.File) (show func() error, err error) {
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the terminal: %w", err)
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, setTermios, &hidden); err != nil {
		return nil, fmt.Errorf("switch the terminal's echo off: %w", err)
	}
	return func() error { return unix.IoctlSetTermios(fd, setTermios, before) }, nil
}
