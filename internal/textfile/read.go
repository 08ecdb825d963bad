package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Read returns the content. fs.ErrNotExist (wrapped) where there is no file;
// ErrNotSafe where it is nothing to edit; ErrTorn where an earlier write in
// place was cut short. It changes nothing, not even for a torn file.
func (f *File) Read() ([]byte, error) {
	real, err := resolve(f.path)
	if err != nil {
		return nil, err
	}
	data, _, err := readFile(real)
	if err != nil {
		return nil, err
	}
	sp, err := f.loadSpare(real)
	if err != nil {
		return nil, err
	}
	if sp != nil && sp.tears(data) {
		return nil, fmt.Errorf("%s: %w", f.path, ErrTorn)
	}
	if err := checkMark(f.path, data); err != nil {
		return nil, err
	}
	return data, nil
}

// readFile reads a regular file and says what it is. Looking and reading go
// through one descriptor, so that nothing can be swapped in between.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	// O_NONBLOCK: opening a FIFO for reading would wait for a writer. It has
	// no effect on a regular file.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, openError(path, err)
	}
	defer func() { _ = file.Close() }()
	return readFrom(file, path)
}

func readFrom(file *os.File, path string) ([]byte, fs.FileInfo, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if err := checkKind(path, info); err != nil {
		return nil, nil, err
	}
	// One byte more than allowed, and not what Stat said: the file may grow.
	data := make([]byte, 0, info.Size()+1)
	buf := bytes.NewBuffer(data)
	if _, err := buf.ReadFrom(io.LimitReader(io.NewSectionReader(file, 0, MaxSize+1), MaxSize+1)); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	if buf.Len() > MaxSize {
		return nil, nil, tooLarge(path)
	}
	return buf.Bytes(), info, nil
}

// openError names what cannot even be opened: a socket, and a device without a
// driver, fail with ENXIO before Stat could tell their kind.
func openError(path string, err error) error {
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EOPNOTSUPP) {
		if info, serr := os.Stat(path); serr == nil {
			if kerr := checkKind(path, info); kerr != nil {
				return kerr
			}
		}
	}
	return err
}

func checkKind(path string, info fs.FileInfo) error {
	mode := info.Mode()
	kind := "not a regular file"
	switch {
	case mode.IsRegular():
		if info.Size() > MaxSize {
			return tooLarge(path)
		}
		return nil
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a FIFO"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("%s: %w: %s", path, ErrNotSafe, kind)
}

func tooLarge(path string) error {
	return fmt.Errorf("%s: %w: larger than %d MiB", path, ErrNotSafe, MaxSize>>20)
}

// marks are the byte order marks, the longer one of two that start alike
// first (Unicode standard, section 23.8).
var marks = [...]struct{ bytes, name string }{
	{"\xef\xbb\xbf", "UTF-8"},
	{"\xff\xfe\x00\x00", "UTF-32 little-endian"},
	{"\x00\x00\xfe\xff", "UTF-32 big-endian"},
	{"\xff\xfe", "UTF-16 little-endian"},
	{"\xfe\xff", "UTF-16 big-endian"},
}

// checkMark refuses a byte order mark by its name: it is invisible in an
// editor, and the reader of the file fails on it with a text that nobody
// understands.
func checkMark(path string, data []byte) error {
	for _, m := range marks {
		if bytes.HasPrefix(data, []byte(m.bytes)) {
			return fmt.Errorf("%s:1: %w: starts with a %s byte order mark", path, ErrNotSafe, m.name)
		}
	}
	return nil
}
