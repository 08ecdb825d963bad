package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/ownfile"
	"github.com/blnkctl/blnkctl/state"
)

const (
	logName    = "audit.log"
	anchorName = "audit.head"
	lockWait   = 30 * time.Second // other writers hold the lock for a few fsyncs
	// endBytes is how much of the end of the log Append looks at: thousands of
	// records. Where none is intact in it, it looks at more, up to mostBytes.
	endBytes  = 1 << 20
	mostBytes = 64 << 20
)

// A Log is the audit log of a state folder, for any number of goroutines and
// processes.
type Log struct {
	dir string
	now func() time.Time
}

// Open returns the log in the state folder dir, which may not exist yet.
func Open(dir string, now func() time.Time) *Log { return &Log{dir: dir, now: now} }

// Path is the file with the records.
func (l *Log) Path() string { return filepath.Join(l.dir, logName) }

func (l *Log) anchorPath() string { return filepath.Join(l.dir, anchorName) }

// Check says whether this user may write what Append writes. It changes nothing.
func (l *Log) Check() error {
	dir, err := state.Open(l.dir)
	if err == nil {
		err = dir.CheckFile(logName)
	}
	if err != nil {
		return fmt.Errorf("check audit log: %w", err)
	}
	return nil
}

// Append adds the record to the log. When it returns nil the record is on the
// disk. After an error it may be there or not, and calling Append again is
// right: with Record.Once, a record of the same rotation with the same outcome
// that is there already, among the last thousand, is success. An attempt that
// changed nothing and only says again what the last record says is counted, and
// no record more.
//
// What an Append that crashed left is put right first. Other damage does not
// keep Append from writing, nor is it hidden from Verify.
func (l *Log) Append(ctx context.Context, r Record) error {
	dir, err := state.Open(l.dir)
	if err == nil {
		err = dir.Make()
	}
	var unlock func()
	if err == nil {
		unlock, err = flock.Lock(ctx, l.Path(), lockWait)
	}
	if err == nil {
		err = l.append(r)
		unlock()
	}
	if err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	return nil
}

// append does the work of Append, with the lock held.
func (l *Log) append(r Record) error {
	file, err := os.OpenFile(l.Path(), os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	end, err := readEnd(file)
	if err != nil {
		return err
	}
	last := lastRecord(end)
	head, err := l.catchUp(last)
	if err != nil {
		return err
	}
	switch {
	case holds(end, r):
		// The one who wrote it may have died before it was durable.
		if err := file.Sync(); err != nil {
			return err
		}
	case last.Hash == head.Hash && head.Seq > 0 && sameAttempt(last, r):
		head.Repeated, head.Last = head.Repeated+1, l.now().UTC()
	default:
		r.Seq, r.Prev, r.Time = head.Seq+1, head.Hash, l.now().UTC()
		r.PrevRepeated, r.PrevLast = head.Repeated, head.Last
		line, err := encode(&r)
		if err != nil {
			return err
		}
		if err := writeLine(file, line); err != nil {
			return err
		}
		head = anchor{Seq: r.Seq, Hash: r.Hash}
	}
	if head.Seq == 1 {
		// The log is new. Its name has to last too, before the anchor says that
		// there is something in it.
		if err := atomicfile.SyncDir(l.dir); err != nil {
			return err
		}
	}
	return l.writeAnchor(head)
}

// writeLine adds the line at the end of the file, whole or not at all, as far as
// the disk allows.
func writeLine(file *os.File, line []byte) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if _, err := file.Write(line); err != nil {
		// A full disk takes a part. Should this fail too, the next Append cuts.
		return errors.Join(err, file.Truncate(info.Size()))
	}
	return file.Sync()
}

// readEnd returns the last lines of the log, whole ones, with an intact record
// among them if there is one to be found.
func readEnd(file *os.File) ([]byte, error) {
	for most := int64(endBytes); ; most *= 2 {
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		from := max(0, info.Size()-most)
		data := make([]byte, info.Size()-from)
		if _, err := file.ReadAt(data, from); err != nil {
			return nil, err
		}
		if from > 0 {
			data = data[bytes.IndexByte(data, '\n')+1:] // 0 where there is none: one line, cut
		}
		if data, err = mendEnd(file, data, info.Size()); err != nil {
			return nil, err
		}
		if from == 0 || most >= mostBytes || lastRecord(data).Seq > 0 {
			return data, nil
		}
	}
}

// mendEnd deals with a last line that has no end: an append that a crash cut
// short. Nobody was told that it is there, so it goes. If only the line end is
// missing, it is a record and stays: an editor may have taken it off.
func mendEnd(file *os.File, data []byte, size int64) ([]byte, error) {
	end := bytes.LastIndexByte(data, '\n') + 1
	if end == len(data) {
		return data, nil
	}
	if _, intact, err := decode(data[end:]); err == nil && intact {
		return append(data, '\n'), writeLine(file, []byte("\n"))
	}
	if err := file.Truncate(size - int64(len(data)-end)); err != nil {
		return nil, err
	}
	return data[:end], file.Sync()
}

// lastRecord returns the last intact record, zero where there is none. Every
// line has its end.
func lastRecord(data []byte) Record {
	for len(data) > 0 {
		begin := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
		if r, intact, err := decode(data[begin : len(data)-1]); err == nil && intact {
			return r
		}
		data = data[:begin]
	}
	return Record{}
}

// holds says whether a record with the rotation and the outcome of r stands in
// these lines.
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

// An anchor says what the last record of the log is. It is written after the
// record is on the disk, so it never runs ahead of an honest log; after a
// crash it may be one behind.
type anchor struct {
	Seq      int       `json:"seq"`
	Hash     string    `json:"hash"`
	Repeated int       `json:"repeated,omitempty"` // see Record
	Last     time.Time `json:"last,omitzero"`
}

var errBadAnchor = errors.New("not an anchor")

// readAnchor returns the zero anchor where there is no file, and errBadAnchor
// (wrapped) where it holds something else.
func (l *Log) readAnchor() (anchor, error) {
	data, err := ownfile.Read(l.anchorPath(), 1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return anchor{}, nil
	}
	if err != nil && !errors.Is(err, ownfile.ErrShape) {
		return anchor{}, fmt.Errorf("read audit anchor: %w", err)
	}
	var a anchor
	if err != nil || json.Unmarshal(data, &a) != nil || a.Seq < 1 || len(a.Hash) != hashDigits {
		return anchor{}, fmt.Errorf("read audit anchor %s: %w", l.anchorPath(), errBadAnchor)
	}
	return a, nil
}

func (l *Log) writeAnchor(a anchor) error {
	data, err := json.Marshal(a)
	if err == nil {
		err = atomicfile.Replace(l.anchorPath(), append(data, '\n'), atomicfile.Private())
	}
	if err != nil {
		return fmt.Errorf("write audit anchor: %w", err)
	}
	return nil
}

// catchUp returns what the next record follows: the last record of the log, or
// what the anchor says where that is as far or further. A log that was cut off
// or rewritten is so never continued as if nothing had happened.
//
// An anchor that a crash left behind the log follows first. So it is never
// more than one record behind, and one that is missing was taken away.
func (l *Log) catchUp(last Record) (anchor, error) {
	head, err := l.readAnchor()
	if err != nil && !errors.Is(err, errBadAnchor) {
		return anchor{}, err
	}
	if head.Seq >= last.Seq {
		return head, nil
	}
	head = anchor{Seq: last.Seq, Hash: last.Hash}
	return head, l.writeAnchor(head)
}
