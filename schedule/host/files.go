package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
)

// most is far more than a crontab or a unit of ours has.
const most = 1 << 20

// read returns the text of a file; "" where there is none.
func read(path string) (string, error) {
	dir, err := atomicfile.OpenDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer dir.Close()
	return readIn(dir, filepath.Base(path))
}

func readIn(dir *atomicfile.Dir, name string) (string, error) {
	f, err := dir.Open(name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", cmp.Or(err, hint.Add(fmt.Errorf("%s %w: it is no file", f.Name(), ErrForeign), "move it away"))
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	return string(text), err
}

// write gives a file its next text, or takes it away, where it still has the old one.
// All may read it: it holds no key.
func (c change) write(ctx context.Context) error {
	folder, name := filepath.Split(c.path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	unlock, err := flock.Lock(ctx, folder, 0)
	if err != nil {
		return err
	}
	defer unlock()
	dir, err := atomicfile.OpenDir(folder)
	if err != nil {
		return err
	}
	defer dir.Close()
	switch now, err := readIn(dir, name); {
	case err != nil:
		return err
	case now == c.next: // an earlier run got that far
		return nil
	case now != c.old:
		return fmt.Errorf("%s: %w", c.path, ErrChanged)
	case c.next == "":
		if err := os.Remove(c.path); err != nil {
			return err
		}
		return dir.Sync()
	}
	_, absent := dir.Stat(name)
	empty := absent == nil // it was read above
	temp, err := dir.Create(name, []byte(c.next))
	if err != nil {
		return err
	}
	defer temp.Discard()
	err = temp.Seal(0o644, -1, -1)
	if err == nil && c.old == "" && !empty {
		err = temp.CommitNew()
	} else if err == nil {
		err = temp.Commit()
	}
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s: %w", c.path, ErrChanged)
	}
	return err
}
