package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"syscall"

	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ownfile"
	"github.com/blnkctl/blnkctl/state"
)

// ErrAltered means that the log is not as it was written.
var ErrAltered = errors.New("altered")

// Err is the error of a report: ErrAltered, or nil.
func (l *Log) Err(r Report) error {
	p, place := r.Problem, l.Path()
	if p == nil {
		return nil
	}
	if p.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, p.Line)
	}
	return hint.As(ErrAltered, "%s: %s: %s", place, p.Kind, p.Text)
}

// The kinds of problems.
const (
	notRecord  = "not a record"         // the line is nothing that blnkctl writes
	changed    = "changed record"       // the record is not what was written
	gap        = "gap"                  // records are missing before the line, or stand in another order
	truncated  = "truncated tail"       // the line is the first missing one
	incomplete = "incomplete last line" // a crash leaves that, and the next Append puts it right
	noAnchor   = "no anchor"            // so nobody can tell whether the last records are there; the line is 0
)

// A Problem is the first thing that is wrong with a log.
type Problem struct {
	Kind string `json:"kind"`
	Line int    `json:"line"` // counts from 1; 0: not about a line
	Text string `json:"text"` // for people; holds nothing of the line
}

// A Report is what Verify found.
type Report struct {
	Records int      `json:"records"` // how many are right, up to the first problem
	Problem *Problem `json:"problem"` // nil where there is none
}

// Verify reads the whole log and checks it. The error is only about reading; a
// log that was tampered with is a Report with a Problem, one that does not
// exist is an empty one.
func (l *Log) Verify() (Report, error) {
	report, err := l.verify()
	if err != nil || report.Problem == nil || report.Problem.Kind != incomplete && report.Problem.Kind != noAnchor {
		return report, err
	}
	// A record, or the first anchor, may be being written at this moment: look
	// again when nobody writes.
	unlock, err := flock.Lock(context.Background(), l.Path(), lockWait)
	if err != nil {
		return report, nil // the first look stands
	}
	defer unlock()
	return l.verify()
}

func (l *Log) verify() (Report, error) {
	var c chain
	var problem *Problem
	lines := 0
	badAnchor, err := l.walk(&c.head, 0, func(line []byte, whole bool) bool {
		lines++
		problem = c.follow(line, whole, lines)
		return problem == nil
	})
	if err != nil {
		return Report{}, fmt.Errorf("verify audit log: %w", err)
	}
	if problem == nil {
		problem = c.end(lines, badAnchor)
	}
	return Report{Records: c.records, Problem: problem}, nil
}

// walk reads the anchor, and then hands on line by line, without its end, until
// more says no: all lines, or where last is not 0 only so many of the last ones. The
// anchor comes first: it follows the log, so it cannot be ahead of what is read after it.
func (l *Log) walk(head *anchor, last int, more func(line []byte, whole bool) bool) (badAnchor bool, err error) {
	if _, err := state.Open(l.dir); err != nil {
		return false, err
	}
	*head, err = l.readAnchor()
	if badAnchor = errors.Is(err, errBadAnchor); err != nil && !badAnchor {
		return false, err
	}
	file, _, err := ownfile.Open(l.Path(), math.MaxInt64)
	if errors.Is(err, fs.ErrNotExist) {
		return badAnchor, nil
	}
	if err != nil {
		return badAnchor, err
	}
	defer func() { _ = file.Close() }()
	if last > 0 {
		if err := seekLast(file, last); err != nil {
			return badAnchor, err
		}
	}
	in := bufio.NewReaderSize(file, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) { // far longer than any record
			line = line[:1]
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return badAnchor, err
		}
		if len(line) > 0 && !more(bytes.TrimSuffix(line, []byte("\n")), err == nil) || err != nil {
			return badAnchor, nil
		}
	}
}

// seekLast goes to where the last so many lines of a file begin, and reads no more of it:
// a log of years is long, and each run looks at its end.
func seekLast(file *os.File, lines int) error {
	to, err := file.Seek(-1, io.SeekEnd) // before the end of the last line
	if errors.Is(err, syscall.EINVAL) {  // it is empty
		return nil
	}
	begin, block := int64(0), make([]byte, 4<<10)
	for to > 0 && lines > 0 && err == nil {
		part := block[:min(to, int64(len(block)))]
		to -= int64(len(part))
		_, err = file.ReadAt(part, to)
		if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
			to += int64(at)
			if lines--; lines == 0 {
				begin = to + 1
			}
		}
	}
	if err == nil {
		_, err = file.Seek(begin, io.SeekStart)
	}
	return err
}

// A chain walks along the records.
type chain struct {
	head    anchor
	last    link // the last record that was right
	records int
}

// follow takes the next line.
func (c *chain) follow(line []byte, whole bool, number int) *Problem {
	r, intact, err := decodeLink(line)
	switch {
	case !whole && (err != nil || !intact):
		return &Problem{incomplete, number, "the last line was not written to its end"}
	case err != nil:
		return &Problem{notRecord, number, "the line is not a record"}
	case !intact:
		return &Problem{changed, number, "the record is not what its hash says"}
	case r.Seq > c.last.Seq+1:
		return &Problem{gap, number, fmt.Sprintf("record %d follows record %d: %d missing", r.Seq, c.last.Seq, r.Seq-c.last.Seq-1)}
	case r.Seq <= c.last.Seq:
		return &Problem{gap, number, fmt.Sprintf("record %d follows record %d: not in order", r.Seq, c.last.Seq)}
	case r.Prev != c.last.Hash:
		// Both lines are right by themselves: the one before was replaced by
		// another that has its own hash.
		c.records = max(0, c.records-1)
		return &Problem{changed, max(1, number-1), fmt.Sprintf("record %d is not the one that record %d follows", c.last.Seq, r.Seq)}
	case r.Seq == c.head.Seq && r.Hash != c.head.Hash:
		return &Problem{changed, number, fmt.Sprintf("record %d is not the one that the anchor names", r.Seq)}
	case !whole:
		return &Problem{incomplete, number, "the last record has no line end"}
	}
	c.last = r
	c.records++
	return nil
}

// end judges a log whose lines are all right.
func (c *chain) end(lines int, badAnchor bool) *Problem {
	switch {
	case c.head.Seq > c.last.Seq:
		return &Problem{truncated, lines + 1, fmt.Sprintf("the log ends with record %d, the anchor names record %d", c.last.Seq, c.head.Seq)}
	case badAnchor:
		return &Problem{noAnchor, 0, "the anchor cannot be read"}
	case c.head.Seq < c.last.Seq-1: // a crash leaves it one behind
		return &Problem{noAnchor, 0, "the anchor is missing, or was set back"}
	}
	return nil
}

// Records hands on all records that can be read, oldest first, or, where last is
// not 0, only so many of the last ones, whether they were changed or not. Lines that
// are none are left out: Verify tells of them. What each returns ends the walk.
func (l *Log) Records(last int, each func(Record) error) error {
	var head anchor
	// How often an attempt came again stands in one of the next records.
	var stop error
	var waiting []Record
	counted := func(repeats []Repeat) {
		for _, again := range repeats {
			for i := range waiting {
				if r := &waiting[i]; r.Seq == again.Seq {
					r.Repeated, r.Last = r.Repeated+again.Count, again.Last
				}
			}
		}
	}
	pass := func(most int) {
		for ; len(waiting) > most && stop == nil; waiting = waiting[1:] {
			stop = each(waiting[0])
		}
	}
	_, err := l.walk(&head, last, func(line []byte, _ bool) bool {
		if r, intact, err := decode(line); err == nil {
			counted(r.Repeats)
			r.Repeats, r.Changed = nil, !intact
			waiting = append(waiting, r)
			pass(mostBetween)
		}
		return stop == nil
	})
	if err != nil {
		return fmt.Errorf("read audit log: %w", err)
	}
	if n := len(waiting); n > 0 && waiting[n-1].Hash == head.Hash {
		counted(head.Repeats)
	}
	pass(0)
	return stop
}

// LastAttempt is the last record of an attempt to change the key of a store; the zero Record
// where there is none among the last of all targets. A rollback that was refused is none:
// that there is no way back is no fault.
func (l *Log) LastAttempt(store string) (last Record, err error) {
	const most = 1000 // far more than there are in a day
	err = l.Records(most, func(r Record) error {
		changes := slices.Contains(Attempts, r.Event)
		if changes && slices.Contains(r.Stores, store) && !(r.Event == "rollback" && r.Outcome == Refused) {
			last = r
		}
		return nil
	})
	return last, err
}
