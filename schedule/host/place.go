package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ownfile"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/schedule"
)

// A place is where a text of a schedule stands; "" is none.
type place interface {
	String() string
	read(ctx context.Context) (string, error)
	// put gives it the next text where it still has the old one; else it is ErrChanged.
	put(ctx context.Context, old, next string) error
}

var (
	_ place = file("")
	_ place = table{}
)

// most is far more than a crontab or a unit of ours has.
const most = 1 << 20

// A file is the path of one that is a schedule's alone.
type file string

func (f file) String() string { return string(f) }

func (f file) read(context.Context) (string, error) {
	text, err := ownfile.Read(string(f), most)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case errors.Is(err, ownfile.ErrShape), errors.Is(err, ownfile.ErrForeign):
		err = hint.Add(fmt.Errorf("%s %w: %w", f, ErrForeign, err), "move it away")
	}
	return string(text), err
}

// put makes one that all may read: it holds no key.
func (f file) put(ctx context.Context, old, next string) error {
	folder, text := filepath.Dir(string(f)), textfile.Open(string(f), "")
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
	_, absent := dir.Stat(filepath.Base(string(f)))
	now, err := f.read(ctx)
	switch {
	case err != nil || now == next: // an earlier run got that far
		return err
	case now != old:
		err = textfile.ErrChanged
	case next == "":
		return dir.Remove(filepath.Base(string(f)))
	case absent != nil:
		err = text.Create([]byte(next), 0o644, false)
	default:
		err = text.Write([]byte(old), []byte(next))
	}
	if errors.Is(err, textfile.ErrChanged) {
		err = fmt.Errorf("%s: %w", f, ErrChanged)
	}
	return err
}

// A table is the part of a user's crontab that is of one target: between two lines of ours,
// since the others are not. Those are shown to nobody.
type table struct {
	env    []string
	target string
}

func (table) String() string { return "crontab -l" }

func (t table) marks() (begin, end string) {
	return "# BEGIN " + schedule.Name(t.target) + "\n", "# END " + schedule.Name(t.target) + "\n"
}

// block is a text between its marks.
func (t table) block(text string) string {
	begin, end := t.marks()
	return begin + text + end
}

// inside is the text of a block.
func (t table) inside(block string) string {
	begin, end := t.marks()
	return strings.TrimSuffix(strings.TrimPrefix(block, begin), end)
}

// errHalf: a person is needed.
var errHalf = hint.Add(errors.New("the lines of blnkctl schedule in the crontab have no end, or stand there twice"), "crontab -e")

// cut returns what stands before and behind our block of a crontab, and the block; "" for
// none.
func (t table) cut(all string) (before, ours, behind string, err error) {
	begin, end := t.marks()
	at := strings.Index("\n"+all, "\n"+begin)
	if at < 0 {
		return all, "", "", nil
	}
	before, rest := all[:at], all[at:]
	length := strings.Index("\n"+rest, "\n"+end)
	if length < 0 || strings.Contains("\n"+rest[len(begin):], "\n"+begin) {
		return "", "", "", errHalf
	}
	return before, rest[:length+len(end)], rest[length+len(end):], nil
}

// whole reads the crontab, and cuts it.
func (t table) whole(ctx context.Context) (before, ours, behind string, err error) {
	out, res, err := run.Cmd{Args: []string{"crontab", "-l"}, Env: t.env, Timeout: time.Minute, Most: most}.Read(ctx)
	if err == nil {
		return t.cut(out.Reveal())
	}
	for _, none := range []string{"no crontab for", "No such file"} { // cron's and cronie's; busybox's
		if res.Exit == 1 && strings.Contains(res.Output, none) {
			return "", "", "", nil
		}
	}
	return "", "", "", fmt.Errorf("crontab -l: %w", run.Saying(err, res.Output))
}

func (t table) read(ctx context.Context) (string, error) {
	_, ours, _, err := t.whole(ctx)
	return ours, err
}

// put hands the crontab with the next block to crontab(1), through a pipe: it may hold
// passwords. Somebody who edits in the instant between reading and that is not seen:
// crontab(1) has no lock.
func (t table) put(ctx context.Context, old, next string) error {
	before, ours, behind, err := t.whole(ctx)
	switch {
	case err != nil || ours == next:
		return err
	case ours != old:
		return fmt.Errorf("the crontab: %w", ErrChanged)
	}
	if next != "" && before != "" && !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	args, text := []string{"crontab", "-"}, before+next+behind
	if text == "" {
		args[1] = "-r"
	}
	if res, err := (run.Cmd{Args: args, Env: t.env, Timeout: time.Minute, Text: text}).Run(ctx); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), run.Saying(err, res.Output))
	}
	if ours, err = t.read(ctx); err == nil && ours != next {
		err = errors.New("crontab - ended well, but the crontab is not what it was given")
	}
	return err
}
