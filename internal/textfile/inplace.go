package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openInPlace opens the file for a write in place. Neither O_TRUNC, with which
// the file would be empty for a while, nor O_CREATE.
func openInPlace(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOFOLLOW|syscall.O_NOCTTY, 0)
}

// fill gives an open file the content data, over one of size was. The order
// keeps as much of it readable as can be: first the new bytes, in one call,
// then, once they are on the disk, the rest of a longer old content goes. It
// reads back what it wrote: a file system that is full or broken may say so
// only there.
func fill(file *os.File, data []byte, was int) error {
	if _, err := file.WriteAt(data, 0); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if was > len(data) {
		if err := file.Truncate(int64(len(data))); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
	}
	back, _, err := readFrom(file, file.Name())
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return fmt.Errorf("%s: %w", file.Name(), errReadBack)
	}
	return nil
}

var errReadBack = errors.New("reads back other than written")
