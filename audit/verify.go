package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/blnkctl/blnkctl/internal/flock"
)

// ErrDamaged means that the log has a line that is not a record.
var ErrDamaged = errors.New("damaged")

// A Kind is what is wrong with a log.
type Kind string

// The kinds of problems.
const (
	// NotRecord: the line is nothing that blnkctl writes.
	NotRecord Kind = "not a record"
	// Changed: the record is not what was written.
	Changed Kind = "changed record"
	// Gap: records are missing before the line, or stand in another order.
	Gap Kind = "gap"
	// Truncated: the last records are missing. The line is the first missing
	// one.
	Truncated Kind = "truncated tail"
	// Incomplete: the last line has no end. A crash leaves that, and the next
	// Append puts it right.
	Incomplete Kind = "incomplete last line"
	// NoAnchor: the anchor is missing or unreadable, so that nobody can tell
	// whether the last records are. The line is 0.
	NoAnchor Kind = "no anchor"
)

// A Problem is the first thing that is wrong with a log.
type Problem struct {
	Kind Kind
	Line int    // counts from 1
	Text string // for people; holds nothing of the line
}

// A Report is what Verify found.
type Report struct {
	Records int      // how many are right, up to the first problem
	Problem *Problem // nil where there is none
}

// Verify reads the whole log and checks it. The error is only about reading; a
// log that was tampered with is a Report with a Problem, one that does not
// exist is an empty one.
func (l *Log) Verify() (Report, error) {
	report, err := l.verify()
	if err != nil || report.Problem == nil || report.Problem.Kind != Incomplete && report.Problem.Kind != NoAnchor {
		return report, err
	}
	// A record, or the first anchor, may be being written at this moment: look
	// again when nobody writes.
	unlock, err := flock.Lock(context.Background(), l.Path(), time.Second)
	if err != nil {
		return report, nil // the first look stands
	}
	defer unlock()
	return l.verify()
}

func (l *Log) verify() (Report, error) {
	data, head, err := l.read()
	badAnchor := errors.Is(err, errBadAnchor)
	if err != nil && !badAnchor {
		return Report{}, fmt.Errorf("verify audit log: %w", err)
	}
	chain := chain{head: head}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if problem := chain.follow(line, number); problem != nil {
			return Report{Records: chain.records, Problem: problem}, nil
		}
	}
	return Report{Records: chain.records, Problem: chain.end(number, badAnchor)}, nil
}

// A chain walks along the records.
type chain struct {
	head    anchor
	last    anchor // the last record that was right
	records int
}

// follow takes the next line, with its line end.
func (c *chain) follow(line []byte, number int) *Problem {
	text, whole := bytes.CutSuffix(line, []byte("\n"))
	r, intact, err := decode(text)
	switch {
	case !whole && (err != nil || !intact):
		return &Problem{Incomplete, number, "the last line was not written to its end"}
	case err != nil:
		return &Problem{NotRecord, number, "the line is not a record"}
	case !intact:
		return &Problem{Changed, number, "the record is not what its hash says"}
	case r.Seq > c.last.Seq+1:
		return &Problem{Gap, number, fmt.Sprintf("record %d follows record %d: %d missing", r.Seq, c.last.Seq, r.Seq-c.last.Seq-1)}
	case r.Seq <= c.last.Seq:
		return &Problem{Gap, number, fmt.Sprintf("record %d follows record %d: not in order", r.Seq, c.last.Seq)}
	case r.Prev != c.last.Hash:
		// Both lines are right by themselves: the one before was replaced by
		// another that has its own hash.
		c.records = max(0, c.records-1)
		return &Problem{Changed, max(1, number-1), fmt.Sprintf("record %d is not the one that record %d follows", c.last.Seq, r.Seq)}
	case r.Seq == c.head.Seq && r.Hash != c.head.Hash:
		return &Problem{Changed, number, fmt.Sprintf("record %d is not the one that the anchor names", r.Seq)}
	case !whole:
		return &Problem{Incomplete, number, "the last record has no line end"}
	}
	c.last = anchor{Seq: r.Seq, Hash: r.Hash}
	c.records++
	return nil
}

// end judges a log whose lines are all right.
func (c *chain) end(lines int, badAnchor bool) *Problem {
	switch {
	case c.head.Seq > c.last.Seq:
		return &Problem{Truncated, lines + 1, fmt.Sprintf("the log ends with record %d, the anchor names record %d", c.last.Seq, c.head.Seq)}
	case badAnchor:
		return &Problem{NoAnchor, 0, "the anchor cannot be read"}
	case c.head.Seq == 0 && c.records > 1:
		// With a single record it may be a crash before the first anchor.
		return &Problem{NoAnchor, 0, "the anchor is missing"}
	}
	return nil
}

// Records returns all records that can be read, oldest first, whether they
// were changed or not: Verify tells. A line that is no record is left out, and
// the error is ErrDamaged (wrapped) with the number of the first one. An
// incomplete last line is left out without an error.
func (l *Log) Records() ([]Record, error) {
	data, _, err := l.read()
	if err != nil && !errors.Is(err, errBadAnchor) {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	var records []Record
	var damage error
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text, whole := bytes.CutSuffix(line, []byte("\n"))
		r, _, err := decode(text)
		switch {
		case err == nil:
			records = append(records, r)
		case whole && damage == nil:
			damage = fmt.Errorf("read audit log: %s:%d: %w", l.Path(), number, ErrDamaged)
		}
	}
	return records, damage
}
