package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
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
	// endBytes is how much of the end of the log Append reads. Where no record in it
	// is intact, it goes by the anchor.
	endBytes = maxLine
	// mostBetween is how many attempts are looked at for the same one, since some
	// targets may be refused in turn; mostSince how many records for an end.
	mostBetween = 16
	mostSince   = 500
)

// A Log is the audit log of a state folder, for any number of goroutines and
// processes.
type Log struct {
	dir string
	now func() time.Time
	// Syslog gets each new record, too; nil: nothing does.
	Syslog *Syslog
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
// right: where the end of the same rotation is there already, among the last
// hundreds, that is success. An attempt that changed nothing and says again what
// one of the last said, with no end in between, is counted, and no record more.
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
	var line []byte
	if err == nil {
		line, err = l.append(&r)
		unlock()
	}
	if line != nil && l.Syslog != nil {
		l.Syslog.add(r, line)
	}
	if err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	return nil
}

// append does the work of Append, with the lock held. written is the line that is new.
func (l *Log) append(r *Record) (written []byte, err error) {
	file, err := os.OpenFile(l.Path(), os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	end, err := readEnd(file)
	if err != nil {
		return nil, err
	}
	last := Record{}
	for last = range lastFirst(end) {
		break
	}
	head, err := l.catchUp(last)
	if err != nil {
		return nil, err
	}
	again := find(end, *r)
	switch {
	case again > 0 && r.isAttempt() && last.Hash == head.Hash: // else records are missing
		head.count(again, l.now().UTC())
	case again > 0 && !r.isAttempt():
		// The one who wrote it may have died before it was durable.
		if err := file.Sync(); err != nil {
			return nil, err
		}
	default:
		r.Seq, r.Prev, r.Time, r.Repeats = head.Seq+1, head.Hash, l.now().UTC(), head.Repeats
		line, err := encode(r)
		if err == nil && len(line) > maxLine/2 { // nobody could read it
			r.Reason, r.Error, r.Warnings = "", "", []string{"reason, error and warnings were too long for a record"}
			line, err = encode(r)
		}
		if err != nil {
			return nil, err
		}
		if err := writeLine(file, line); err != nil {
			return nil, err
		}
		written, head = line, anchor{Seq: r.Seq, Hash: r.Hash}
	}
	if head.Seq == 1 {
		// The log is new. Its name has to last too, before the anchor says that
		// there is something in it.
		if err := atomicfile.SyncDir(l.dir); err != nil {
			return written, err
		}
	}
	return written, l.writeAnchor(head)
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

// readEnd returns the last lines of the log, whole ones.
func readEnd(file *os.File) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-endBytes)
	data := make([]byte, info.Size()-from)
	if _, err := file.ReadAt(data, from); err != nil {
		return nil, err
	}
	if from == 0 {
		return mendEnd(file, data, info.Size())
	}
	if cut := bytes.IndexByte(data, '\n') + 1; cut > 0 {
		return mendEnd(file, data[cut:], info.Size())
	}
	return nil, writeLine(file, []byte("\n")) // far longer than any of ours: it stays, by itself
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

// lastFirst are the intact records among lines that all have their end.
func lastFirst(lines []byte) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for rest := lines; len(rest) > 0; {
			begin := bytes.LastIndexByte(rest[:len(rest)-1], '\n') + 1
			if r, intact, err := decode(rest[begin : len(rest)-1]); err == nil && intact && !yield(r) {
				return
			}
			rest = rest[:begin]
		}
	}
}

// find returns the number of the record that r would only say again, 0 where there
// is none: the end of the same rotation; or the same attempt, where only other
// attempts came since, and not many.
func find(lines []byte, r Record) int {
	n := 0
	for old := range lastFirst(lines) {
		if old.Outcome == Requested {
			continue
		}
		n++
		switch {
		case r.isAttempt() && (!old.isAttempt() || n > mostBetween), n > mostSince:
			return 0
		case r.isAttempt() && same(old, r),
			!r.isAttempt() && r.Rotation != "" && old.Rotation == r.Rotation && old.Outcome == r.Outcome:
			return old.Seq
		}
	}
	return 0
}

// An anchor says what the last record of the log is. It is written after the
// record is on the disk, so it never runs ahead of an honest log; after a
// crash it may be one behind.
type anchor struct {
	Seq     int      `json:"seq"`
	Hash    string   `json:"hash"`
	Repeats []Repeat `json:"repeats,omitempty"` // since that record
	Sum     string   `json:"sum,omitempty"`     // of the rest, while no record vouches for Repeats
}

func (a anchor) sum() string {
	if a.Sum = ""; len(a.Repeats) == 0 {
		return ""
	}
	data, _ := json.Marshal(a) // it cannot fail
	return sumOf(data)
}

// count says that the attempt with a number came once more.
func (a *anchor) count(seq int, now time.Time) {
	at := slices.IndexFunc(a.Repeats, func(r Repeat) bool { return r.Seq == seq })
	if at < 0 {
		at = len(a.Repeats)
		a.Repeats = append(a.Repeats, Repeat{Seq: seq})
	}
	a.Repeats[at].Count, a.Repeats[at].Last = a.Repeats[at].Count+1, now
}

var errBadAnchor = errors.New("not an anchor")

// readAnchor returns the zero anchor where there is no file, and errBadAnchor
// (wrapped) where it holds something else.
func (l *Log) readAnchor() (anchor, error) {
	data, err := ownfile.Read(l.anchorPath(), 16<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return anchor{}, nil
	}
	if err != nil && !errors.Is(err, ownfile.ErrShape) {
		return anchor{}, fmt.Errorf("read audit anchor: %w", err)
	}
	var a anchor
	if err != nil || json.Unmarshal(data, &a) != nil || a.Seq < 1 || len(a.Hash) != hashDigits || a.Sum != a.sum() {
		return anchor{}, fmt.Errorf("read audit anchor %s: %w", l.anchorPath(), errBadAnchor)
	}
	return a, nil
}

func (l *Log) writeAnchor(a anchor) error {
	a.Sum = a.sum()
	data, err := json.Marshal(a)
	if err == nil {
		err = atomicfile.Replace(l.anchorPath(), append(data, '\n'))
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
// An anchor that a crash left behind the log follows first. So it is never more than
// one record behind: one that is missing, or further behind, was taken away or set
// back, and records perhaps with it. The next one leaves a gap then, for Verify.
func (l *Log) catchUp(last Record) (anchor, error) {
	head, err := l.readAnchor()
	if err != nil && !errors.Is(err, errBadAnchor) {
		return anchor{}, err
	}
	switch {
	case head.Seq >= last.Seq:
		return head, nil
	case head.Seq < last.Seq-1:
		return anchor{Seq: last.Seq + 1}, nil // a number that is left out
	}
	head = anchor{Seq: last.Seq, Hash: last.Hash}
	return head, l.writeAnchor(head)
}
