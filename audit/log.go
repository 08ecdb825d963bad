package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/state"
)

const (
	logName    = "audit.log"
	anchorName = "audit.head"
)

// lockWait is how long Append waits for other writers. They hold the lock for
// the time of a few fsyncs.
const lockWait = 30 * time.Second

// A Log is the audit log of a state folder. Its methods may be called by
// several goroutines and processes at once.
type Log struct {
	dir string
	now func() time.Time
}

// Open returns the log in the state folder dir, which may not exist yet.
// Nothing is read or made. now is the clock of the records.
func Open(dir string, now func() time.Time) *Log { return &Log{dir: dir, now: now} }

// Path is where the log is.
func (l *Log) Path() string { return filepath.Join(l.dir, logName) }

func (l *Log) anchorPath() string { return filepath.Join(l.dir, anchorName) }

// Check says whether Append could write: whether this user may, and whether
// there is room on the disk. It changes nothing.
func (l *Log) Check() error {
	dir, err := state.Open(l.dir)
	if err != nil {
		return fmt.Errorf("check audit log: %w", err)
	}
	if err := dir.CheckFile(logName); err != nil {
		return fmt.Errorf("check audit log: %w", err)
	}
	return nil
}

// Append adds the record to the log. When it returns nil the record is on the
// disk. After an error it may be there or not, and calling Append again is
// right: with Record.Once, a record of the same rotation with the same outcome
// that is there already is success.
//
// What an Append that crashed left behind is put right first. Damage that
// somebody else did to the log does not keep Append from writing, nor does it
// hide that damage from Verify.
func (l *Log) Append(ctx context.Context, r Record) error {
	dir, err := state.Open(l.dir)
	if err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	if err := dir.Make(); err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	unlock, err := flock.Lock(ctx, l.Path(), lockWait)
	if err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	defer unlock()
	file, err := os.OpenFile(l.Path(), os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := l.append(file, r); err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	return nil
}

// append does the work of Append, with the lock held.
func (l *Log) append(file *os.File, r Record) error {
	data, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	if data, err = mendEnd(file, data); err != nil {
		return err
	}
	last, err := l.catchUp(data)
	if err != nil {
		return err
	}
	if !holds(data, r) {
		r.Seq, r.Prev, r.Time = last.Seq+1, last.Hash, l.now().UTC()
		line, err := encode(&r)
		if err != nil {
			return err
		}
		if err := writeLine(file, line, int64(len(data))); err != nil {
			return err
		}
		last = anchor{Seq: r.Seq, Hash: r.Hash}
	} else if err := file.Sync(); err != nil {
		// The one who wrote it may have died before it was durable.
		return err
	}
	if last.Seq == 1 {
		// The log is new. Its name has to last too, before the anchor says that
		// there is something in it.
		if err := atomicfile.SyncDir(l.dir); err != nil {
			return err
		}
	}
	return writeAnchor(l.anchorPath(), last)
}

// writeLine adds the line behind the size bytes that stand in the file, whole
// or not at all, as far as the disk allows.
func writeLine(file *os.File, line []byte, size int64) error {
	if _, err := file.Write(line); err != nil {
		// A full disk takes a part. Should this fail too, the next Append cuts.
		return errors.Join(err, file.Truncate(size))
	}
	return file.Sync()
}

// mendEnd deals with a last line that has no end: an append that a crash cut
// short. Nobody was told that it is there, so it goes. If only the line end is
// missing, it is a record and stays: an editor may have taken it off.
func mendEnd(file *os.File, data []byte) ([]byte, error) {
	end := bytes.LastIndexByte(data, '\n') + 1
	if end == len(data) {
		return data, nil
	}
	if _, intact, err := decode(data[end:]); err == nil && intact {
		if err := writeLine(file, []byte("\n"), int64(len(data))); err != nil {
			return nil, err
		}
		return append(data, '\n'), nil
	}
	if err := file.Truncate(int64(end)); err != nil {
		return nil, err
	}
	return data[:end], file.Sync()
}

// catchUp returns what the next record follows: the last record of the log, or
// what the anchor says where that is as far or further. A log that was cut off
// or rewritten is so never continued as if nothing had happened.
//
// An anchor that a crash left behind the log follows first. So it is never
// more than one record behind, and one that is missing was taken away.
func (l *Log) catchUp(data []byte) (anchor, error) {
	head, err := readAnchor(l.anchorPath())
	if err != nil && !errors.Is(err, errBadAnchor) {
		return anchor{}, err
	}
	found := lastRecord(data)
	if head.Seq >= found.Seq {
		return head, nil
	}
	return found, writeAnchor(l.anchorPath(), found)
}

// lastRecord returns the last intact record, zero where there is none. Every
// line has its end.
func lastRecord(data []byte) anchor {
	for len(data) > 0 {
		begin := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
		if r, intact, err := decode(data[begin : len(data)-1]); err == nil && intact {
			return anchor{Seq: r.Seq, Hash: r.Hash}
		}
		data = data[:begin]
	}
	return anchor{}
}

// holds says whether a record with the rotation and the outcome of r is in
// the log.
func holds(data []byte, r Record) bool {
	if r.Rotation == "" || !r.Once {
		return false
	}
	for line := range bytes.Lines(data) {
		// Reading every line as JSON would take longer than the rest.
		if !bytes.Contains(line, []byte(r.Rotation)) {
			continue
		}
		old, intact, err := decode(bytes.TrimSuffix(line, []byte("\n")))
		if err == nil && intact && old.Rotation == r.Rotation && old.Outcome == r.Outcome {
			return true
		}
	}
	return false
}

// read returns the bytes of the log and its anchor. The anchor comes first: it
// follows the log, so it cannot be ahead of what is read after it.
func (l *Log) read() ([]byte, anchor, error) {
	if _, err := state.Open(l.dir); err != nil {
		return nil, anchor{}, err
	}
	head, badAnchor := readAnchor(l.anchorPath())
	if badAnchor != nil && !errors.Is(badAnchor, errBadAnchor) {
		return nil, anchor{}, badAnchor
	}
	data, err := os.ReadFile(l.Path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, anchor{}, err
	}
	return data, head, badAnchor
}
