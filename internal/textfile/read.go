package textfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// Read returns the content. fs.ErrNotExist (wrapped) where there is no file;
// ErrNotSafe where it is nothing to edit; ErrTorn where an earlier write in
// place was cut short. It changes nothing, not even for a torn file.
func (f *File) Read() ([]byte, error) {
	p, now, err := f.open()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	now.close()
	saved, err := f.loadCopy(p.real)
	if err != nil {
		return nil, err
	}
	if saved != nil && saved.tornInto(now.text) {
		return nil, fmt.Errorf("%s: %w", f.path, ErrTorn)
	}
	return now.text, checkMark(f.path, now.text)
}

// A snapshot is a file as it was when it was looked at, held open, so that
// nothing can be swapped between one look and the next.
type snapshot struct {
	file *os.File
	info fs.FileInfo
	text []byte
}

func (s *snapshot) close() { _ = s.file.Close() }

// look reads a regular file of the folder. The caller closes it.
func (p place) look(name string) (*snapshot, error) {
	// Looked at before it is opened, because to open a device may have an
	// effect; what was opened is looked at again.
	st, err := p.Stat(name)
	if err != nil {
		return nil, err
	}
	if err := checkKind(p.real, uint32(st.Mode), st.Size); err != nil {
		return nil, err
	}
	file, err := p.Open(name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	s, err := p.snapshotOf(file)
	if err != nil {
		_ = file.Close()
	}
	return s, err
}

func (p place) snapshotOf(file *os.File) (*snapshot, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkKind(p.real, uint32(statOf(info).Mode), info.Size()); err != nil {
		return nil, err
	}
	if err := p.ledBy(statOf(info).Uid); err != nil {
		return nil, err
	}
	// One byte more than allowed, and not what Stat said: the file may grow.
	buf := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	if _, err := buf.ReadFrom(io.NewSectionReader(file, 0, MaxSize+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", p.real, err)
	}
	if buf.Len() > MaxSize {
		return nil, tooLarge(p.real)
	}
	return &snapshot{file, info, buf.Bytes()}, nil
}

func checkKind(path string, mode uint32, size int64) error {
	kind := map[uint32]string{
		unix.S_IFDIR: "a directory", unix.S_IFIFO: "a FIFO", unix.S_IFSOCK: "a socket", unix.S_IFLNK: "a symbolic link",
		unix.S_IFCHR: "a device", unix.S_IFBLK: "a device",
	}[mode&unix.S_IFMT]
	switch {
	case kind != "":
		return hint.Add(fmt.Errorf("%s: %w: %s", path, ErrNotSafe, kind), "name the file itself that the server reads, with --store")
	case size > MaxSize:
		return tooLarge(path)
	}
	return nil
}

func tooLarge(path string) error {
	return fmt.Errorf("%s: %w: larger than %d MiB", path, ErrNotSafe, MaxSize>>20)
}

// checkMark refuses a byte order mark by its name: it is invisible in an editor, and
// the reader of the file fails on it with a text that nobody understands.
func checkMark(path string, data []byte) error {
	for mark, name := range map[string]string{"\xef\xbb\xbf": "UTF-8", "\xff\xfe": "UTF-16", "\xfe\xff": "UTF-16"} {
		if bytes.HasPrefix(data, []byte(mark)) {
			return fmt.Errorf("%s:1: %w: starts with a %s byte order mark", path, ErrNotSafe, name)
		}
	}
	return nil
}

// Glance reads a file for somebody who only looks: through links, whoever made them, but
// never waiting. What is no regular file, is empty, or longer than most bytes, has no
// text; so has a file of the kernel, whose length is 0, and some of which never end.
func Glance(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil, err // a device may do something when it is opened
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err = file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > most {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, most))
}

// isGone says that somebody took the file away, or put something else there.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotSafe) || errors.Is(err, unix.ELOOP)
}
