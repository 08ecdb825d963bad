package screen

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// An Output is one that remembers its first failure, so that a command may
// print without looking each time.
type Output struct {
	io.Writer
	Begun bool // something was printed
	err   error
}

// Write writes.
func (s *Output) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	s.Begun = true
	s.err = cmp.Or(s.err, err)
	return n, err
}

// Failed returns the first failure.
func (s *Output) Failed() error {
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("write the output: %w", s.err)
}

// Lost is Failed, but for a reader who left early (`| head -1`).
func (s *Output) Lost() error {
	if errors.Is(s.err, syscall.EPIPE) {
		return nil
	}
	return s.Failed()
}

// Unread says that nobody reads it as it comes: a file, or a device such as /dev/null,
// which Go opens in the place of a stdout that is closed.
func (s *Output) Unread() bool {
	f, ok := s.Writer.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	_, noTerminal := unix.IoctlGetTermios(int(f.Fd()), getTermios)
	return err != nil || info.Mode().IsRegular() || info.Mode()&fs.ModeCharDevice != 0 && noTerminal != nil
}

// Shared says whether it is a file that everybody may read.
func (s *Output) Shared() bool {
	f, ok := s.Writer.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o004 != 0
}
