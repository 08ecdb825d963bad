// Package fleet runs one command for many targets, one after the other or some at once,
// and sums up. What fails for one stops no other.
//
// It does not know what the command does: that prints a JSON document and ends with an
// exit status.
package fleet

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/screen"
)

// Unnamed is what the target is called that has no name.
const Unnamed = "(unnamed)"

// A Fleet is what is run for which targets.
type Fleet struct {
	Names    []string // "": the target without a name
	Parallel int      // how many at once; at least 1
	// Do runs the command for one target. It prints one JSON document on out, or none,
	// and lines on talk, each at once, and returns an exit status. Several run at once.
	Do func(ctx context.Context, name string, out, talk io.Writer) int
	// Say takes a line of talk, behind the name of its target; one at a time.
	Say func(line string)
}

// A Result is what became of one target.
type Result struct {
	Target string `json:"target"`
	Exit   int    `json:"exit_code"`
	Result string `json:"result"`
	Old    string `json:"old,omitempty"` // fingerprints
	New    string `json:"new,omitempty"`
	Note   string `json:"note,omitempty"`
	// Report is the document that was printed.
	Report json.RawMessage `json:"report,omitempty"`
}

// Results are in the order of the names.
type Results []Result

// Run runs it for all of them. Where ctx ends, what runs hears of it, and nothing more begins.
func (f Fleet) Run(ctx context.Context) Results {
	results := make(Results, len(f.Names))
	slots := make(chan struct{}, max(1, f.Parallel))
	var all sync.WaitGroup
	var talking sync.Mutex
	for i, name := range f.Names {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			results[i] = f.one(ctx, name, &talking)
		})
	}
	all.Wait()
	return results
}

func (f Fleet) one(ctx context.Context, name string, talking *sync.Mutex) Result {
	r := Result{Target: cmp.Or(name, Unnamed)}
	if ctx.Err() != nil {
		r.Exit, r.Result, r.Note = interrupt.Exit, "not begun", "interrupted before"
		return r
	}
	var out bytes.Buffer
	talk := lines(func(line string) {
		if text, ok := strings.CutPrefix(line, "error: "); ok {
			r.Note = text
		}
		talking.Lock()
		defer talking.Unlock()
		f.Say(r.Target + ": " + line)
	})
	r.Exit = f.Do(ctx, name, &out, talk)
	var doc struct {
		Result, Would, Old, New, Error, Why string
		Warnings                            []string
	}
	if json.Unmarshal(out.Bytes(), &doc) == nil {
		r.Report, r.Old, r.New = bytes.Clone(out.Bytes()), doc.Old, doc.New
		r.Note = cmp.Or(doc.Error, r.Note, doc.Why, strings.Join(doc.Warnings, "; "))
	}
	if r.Result = doc.Result; doc.Would != "" {
		r.Result = "would: " + doc.Would
	}
	if r.Exit == 2 { // nothing was begun
		r.Result = cmp.Or(r.Result, "refused")
	}
	r.Result = cmp.Or(r.Result, "failed")
	return r
}

// worst are the exit statuses, the one that needs a person most first.
var worst = []int{4, 3, 1, 2, 6, 5, 8, interrupt.Exit, 0}

// Worst is the exit status that needs a person most, and who did not end well.
func (r Results) Worst() (exit int, who []string) {
	rank := func(exit int) int { // one that stands nowhere is as bad as any
		return slices.Index(worst, exit)
	}
	for _, one := range r {
		if one.Exit != 0 {
			who = append(who, fmt.Sprintf("%s (%d)", one.Target, one.Exit))
		}
		if rank(one.Exit) < rank(exit) {
			exit = one.Exit
		}
	}
	return exit, who
}

// Text is the summary: what did not end well last, where it is seen. On a terminal, which
// is too narrow for them, the notes of those stand below.
func (r Results) Text(look screen.Look) string {
	sorted, notes := slices.Clone(r), ""
	slices.SortStableFunc(sorted, func(a, b Result) int { return cmp.Compare(min(a.Exit, 1), min(b.Exit, 1)) })
	table := [][]string{{"TARGET", "RESULT", "KEY", "NOTE"}}
	for _, one := range sorted {
		key := one.Old
		if one.New != "" && one.New != one.Old && one.Result != "rolled_back" {
			key = cmp.Or(one.Old, "weak") + " -> " + one.New
		}
		table = append(table, []string{one.Target, one.Result, key, one.Note})
		if one.Exit != 0 {
			notes += look.Fold(one.Target+": "+screen.CleanLine(one.Note)) + "\n"
		}
	}
	if !look.Terminal() {
		return look.Table(table, paint)
	}
	for i := range table {
		table[i] = table[i][:3]
	}
	return look.Table(table, paint) + notes
}

func paint(cell string) screen.Colour {
	switch cell {
	case "rotated", "resumed", "synced", "adopted", "in_sync", "not_due":
		return screen.Green
	case "rolled_back", "not begun":
		return screen.Yellow
	case "stuck", "refused", "failed":
		return screen.Red
	}
	return screen.Plain
}

// lines hands on what is written, line by line: each Write is of whole ones.
type lines func(line string)

// Write writes.
func (say lines) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		say(strings.TrimSuffix(line, "\n"))
	}
	return len(p), nil
}
