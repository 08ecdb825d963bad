package rotate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/secret"
)

// The sweep: for every pair of faults at every pair of touches, a rotation is
// run, run again as long as there are faults left and a journal, and resumed
// once without a fault. Then there is one key in every store, in the server
// and in the worker, and no journal.

// A tally counts what a sweep saw.
type tally struct {
	cases   int
	stuck   int
	excused int // the worker was left behind, and the outcome said so
	ends    map[string]int
	broken  []string // the first few, with their story
}

func (s *tally) note(w *world, problem string) {
	const most = 3
	if problem == "" {
		return
	}
	if len(s.broken) < most {
		s.broken = append(s.broken, problem+"\n    "+strings.Join(w.trace, "\n    "))
	} else {
		s.broken = append(s.broken, problem)
	}
}

type sweepCase struct {
	opt    Intent
	setup  func(*world)                   // what differs from the start of a rotation
	first  func(*process) (Report, error) // what the first process does
	audits Outcome                        // what the audit log calls a success, if not Rotated
	or     func(*process) (Report, error) // what the last process does in a copy of the world, if anything
	mangle func(before, after []byte) []byte
}

func (c sweepCase) sweep(s *tally) {
	s.ends = map[string]int{}
	step := 1
	if needs.Raced {
		step = 17 // of the first faults: each does the same concurrent things
	}
	length := c.one(s, nil)
	for i := 1; i <= length; i += step {
		for k := range kinds {
			if c.mangle != nil && len(s.broken) > 0 {
				return // one is enough to show that the sweep notices
			}
			first := fault{i, k}
			after := c.one(s, []fault{first})
			for j := i; j <= after; j++ {
				for k2 := range kinds {
					c.one(s, []fault{first, {j, k2}})
				}
			}
		}
	}
}

// one plays a single case and returns how many touches it took.
func (c sweepCase) one(s *tally, faults []fault) int {
	w := newWorld(faults...)
	w.mangle = c.mangle
	if c.setup != nil {
		c.setup(w)
	}
	first := c.first
	if first == nil {
		first = forwards
	}
	const most = 5
	res, crashed, err := w.run(first, c.opt)
	for i := 0; i < most && w.journal != nil && len(w.faults) > 0; i++ {
		touches := w.touches
		res, crashed, err = w.run(forwards, c.opt)
		if w.touches == touches {
			break
		}
	}
	w.faults = nil
	if w.journal != nil {
		if c.or != nil {
			other := w.copy()
			res, crashed, err := other.run(c.or, c.opt)
			c.tell(s, other, res, crashed, err)
		}
		res, crashed, err = w.run(forwards, c.opt)
	}
	c.tell(s, w, res, crashed, err)
	return w.touches
}

// tell counts a case that has come to its end.
func (c sweepCase) tell(s *tally, w *world, res Report, crashed bool, err error) {
	s.cases++
	s.ends[ending(res, crashed, err)]++
	if errors.Is(err, ErrStuck) {
		s.stuck++
	}
	if !w.worker.key.Equal(w.keys[1]) && saysWorkers(res) {
		s.excused++
	}
	s.note(w, c.check(w, res, crashed, err))
}

func ending(res Report, crashed bool, err error) string {
	switch {
	case crashed:
		return "crashed before the journal, or after it"
	case err != nil && errors.Is(err, ErrUndone):
		return "undone"
	case err != nil:
		return string(res.Outcome) + " with an error"
	default:
		return string(res.Outcome)
	}
}

// check returns which promise was broken, or "".
func (c sweepCase) check(w *world, res Report, crashed bool, err error) string {
	story := fmt.Sprintf("faults %v: ended %q, %v", w.met, ending(res, crashed, err), err)
	switch {
	case len(w.broken) > 0:
		return story + ": " + w.broken[0]
	case errors.Is(err, ErrStuck):
		return story + ": stuck, though both keys can work"
	case w.journal != nil:
		return story + ": the journal is still there"
	case w.secures && (w.secure.IsZero() != w.keys[0].IsZero() || w.server.lax != w.secure.IsZero()):
		return story + ": secure mode is neither on with the key nor off without"
	case c.audits == "" && !w.keys[0].Equal(w.keys[1]):
		return story + ": the stores hold different keys"
	case c.audits == Synced && !w.keys[0].Equal(newKey):
		return story + ": the source of truth was changed"
	case !w.server.key.Equal(w.keys[1]) && !w.server.dead:
		return story + ": the server does not run the key of the stores"
	case w.made > 1:
		return story + ": a second key was made"
	case !w.worker.key.Equal(w.keys[1]) && !saysWorkers(res):
		return story + ": the worker does not run the key of the stores"
	case c.opt.Compromised && w.turned:
		return story + ": a way back to a compromised key"
	}
	if problem := c.checkPrevious(w, res, crashed); problem != "" {
		return story + problem
	}
	return w.checkAudit(c.audits, story)
}

// checkPrevious: after a rotation the key before is kept, and nothing else; where it could
// not be, the outcome says so, if the process lived to say it.
func (c sweepCase) checkPrevious(w *world, res Report, crashed bool) string {
	kept, want, next := w.previous.Key, w.kept, oldKey
	if w.keys[1].Equal(newKey) {
		want, next = oldKey, newKey
		if c.opt.Compromised || c.opt.Event == Init || c.opt.Event == Rollback {
			want = secret.Key{}
		}
	}
	switch {
	case kept.Equal(want) && (want.IsZero() || w.previous.Next == next.Fingerprint()), crashed, res.Incomplete:
		return ""
	}
	return ": the previous key is " + kept.Name() + ", want " + want.Name()
}

// saysWorkers: the restart failed on the way back, the old key was proved, and
// the outcome says that the workers were not.
func saysWorkers(res Report) bool {
	return res.Outcome == RolledBack && strings.Contains(strings.Join(res.Warnings, "\n"), "workers not proved")
}

func (w *world) checkAudit(success Outcome, story string) string {
	if success == "" {
		success = Rotated
	}
	rotated, back := 0, 0
	for _, r := range w.audit {
		switch Outcome(r.Outcome) {
		case success:
			rotated++
		case RolledBack:
			back++
		}
	}
	newEverywhere := w.keys[1].Equal(newKey)
	switch {
	case rotated+back > 1:
		return story + ": two final audit records"
	case rotated == 1 && !newEverywhere, newEverywhere && back == 1:
		return story + ": the audit log tells another end"
	case newEverywhere && rotated == 0:
		return story + ": the new key is in force and the audit log does not say so"
	case newEverywhere != (w.history.Key == newKey.Fingerprint()):
		return story + ": the history says another end"
	}
	return ""
}

// The numbers of cases are asserted so that a sweep that silently covers less
// is noticed. A change of the engine's touches changes them.
func TestSweepPairsOfFaults(t *testing.T) {
	for name, c := range map[string]struct {
		sweepCase
		cases, excused int
	}{
		"rotate, or abort": {sweepCase{setup: keeping, or: aborts}, 37214, 40},
		"compromised":      {sweepCase{opt: Intent{Compromised: true}, setup: keeping}, 30661, 0},
		"server down":      {sweepCase{opt: Intent{ServerDown: true}}, 27182, 40},
		"rollback":         {sweepCase{opt: Intent{Event: Rollback}, setup: rotated, audits: Restored}, 28358, 40},
		"init, or abort":   {sweepCase{opt: Intent{Event: Init}, setup: securing, audits: Secured, or: aborts}, 44209, 48},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var s tally
				c.sweep(&s)
				for i, b := range s.broken {
					if i < 3 {
						t.Error(b)
					}
				}
				if s.stuck != 0 || len(s.broken) != 0 {
					t.Errorf("%d cases, %d stuck, %d broken; ends: %v", s.cases, s.stuck, len(s.broken), s.ends)
				}
				if !needs.Raced && (s.cases != c.cases || s.excused != c.excused) {
					t.Errorf("%d cases, want %d; %d excused, want %d", s.cases, c.cases, s.excused, c.excused)
				}
				t.Logf("%d cases, %d excused; ends: %v", s.cases, s.excused, s.ends)
			})
		})
	}
}

// A sweep that cannot fail proves nothing: each of these journals lacks one
// thing that the story rests on, and the sweep must see it.
func TestSweepNoticesAMissingMark(t *testing.T) {
	if needs.Raced {
		t.Skip("a sample may miss it")
	}
	for name, mangle := range map[string]func(before, after []byte) []byte{
		"no mark of the way back": func(before, after []byte) []byte {
			if rec := mustParse(after); rec.Direction == undo {
				return before
			}
			return after
		},
		"no write-ahead of the first effect": func(before, after []byte) []byte {
			if rec := mustParse(after); rec.Direction == forward && rec.Row == rowSet {
				return before
			}
			return after
		},
		"no write-ahead of the restart": func(_, after []byte) []byte {
			rec := mustParse(after)
			if rec.Row == rowRestart {
				rec.Row = rowTest // as if the driver had succeeded already
			}
			return mustBytes(rec)
		},
		"no record of the driver's success": func(before, after []byte) []byte {
			if rec := mustParse(after); rec.Row == rowTest {
				return before
			}
			return after
		},
		"a redacted key": func(_, after []byte) []byte {
			rec := mustParse(after)
			rec.New = secret.Redacted
			return mustBytes(rec)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var s tally
				sweepCase{mangle: mangle}.sweep(&s)
				if len(s.broken) == 0 {
					t.Errorf("%d cases, and none noticed", s.cases)
				}
				t.Logf("%d cases, %d broken, such as: %.300s", s.cases, len(s.broken), append(s.broken, "")[0])
			})
		})
	}
}

func mustParse(data []byte) *record {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		panic(err)
	}
	return &r
}

func mustBytes(r *record) []byte {
	data, err := r.bytes()
	if err != nil {
		panic(err)
	}
	return data
}
