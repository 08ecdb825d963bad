package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// A run is one process that works on a rotation: its target, what it is for,
// the journal's record, and what happened so far.
type run struct {
	*target.Target
	in      Intent
	env     Env
	rec     *record // nil: no rotation is open
	report  Report
	resumed bool // the journal was there when the run began
	damaged bool // it cannot be read
	saved   bool // the journal holds rec as it is now
	// entered is rec as of the row that was entered last, for whoever sends a signal.
	entered atomic.Pointer[Open]
	// wrote: a store may hold, or have held, a key that this run wrote.
	wrote bool
	// stuck collects what keeps an undo from being complete; the run goes on
	// and says it in the end.
	stuck []string
	// why is what Env.Why found when a proof failed.
	why error
	// leaving are the processes that have the key which is replaced.
	leaving []listener.Mark
	// unused is what restarts the target, where a run writes nothing but copies.
	unused []string
	// unproved is the restart error of an undo that went on all the same.
	unproved error
}

// Run finishes an open rotation and stops, or makes a new one from its first step
// to its last. An error that is none of ErrUndone, ErrStuck and ErrUnrecorded means that
// nothing was changed.
func Run(ctx context.Context, t *target.Target, in Intent, env Env) (Report, error) {
	r, unlock, err := start(ctx, t, in, env)
	if err != nil {
		return Report{Outcome: Refused}, err
	}
	defer unlock()
	defer r.heedSignals(ctx)()
	if r.rec == nil && !r.damaged && (in.Abort || in.Abandon) {
		r.report.Outcome = None
		if current, err := r.Set.Agreed(ctx); err == nil {
			r.offerBack(ctx, current)
		}
		return r.report, nil
	}
	err = r.env.Settle(ctx, r.RestartTimeout, r.note)
	if r.rec != nil && err == nil {
		r.entered.Store(r.rec.open())
	}
	switch {
	case err != nil && r.rec == nil:
		err = r.refuse(ctx, err)
	case err != nil:
		err = r.getStuck(ctx, err)
	case r.rec == nil && !in.Abandon:
		err = r.begin(ctx)
	case in.Abandon:
		err = r.forget(ctx)
	default:
		err = r.resume(ctx)
	}
	return r.report, err
}

// start takes the lock and reads the journal.
func start(ctx context.Context, t *target.Target, in Intent, env Env) (*run, func(), error) {
	unlock, err := env.Lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	r := &run{Target: t, in: in, env: env}
	rec, err := load(t.State, env.Named)
	r.damaged = errors.Is(err, ErrJournal)
	switch {
	case rec != nil && !in.Abandon && !rec.Target.SameStores(t.Spec):
		err = hint.Add(fmt.Errorf("%w: it was begun with%s", ErrOtherStores, rec.Target.Args()), "blnkctl rotate%s finishes it as it was begun", byStore(env.Named, rec.Target))
	case r.damaged && in.Abandon:
		err = nil
	case rec != nil:
		r.adopt(rec)
		r.resumed, r.saved = true, true
		if in.Event == Rollback && rec.Event != Rollback && !r.undoing() { // its end would be the newer key
			err = r.unfinished()
		}
	}
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return r, unlock, nil
}

// byStore is what names a target by its first store: its name may stand for other ones.
func byStore(named string, spec target.Spec) string {
	if strings.HasPrefix(named, " --store") {
		return named
	}
	return hint.Flags("--store", spec.Stores[:1])
}

// begin is step "create", and then all the others.
func (r *run) begin(ctx context.Context) error {
	started := r.started(rowCreate)
	p, err := r.prepare(ctx, true)
	if err != nil && r.in.Compromised && ctx.Err() == nil {
		// Whatever was wrong beforehand: what is known of the key stays known.
		err = errors.Join(err, r.markCompromised(p.Current))
	}
	act := err == nil && p.Due.Yes
	if act {
		asked := time.Now()
		err = r.confirm(ctx, p)
		started = started.Add(time.Since(asked)) // which is no work of the step
	}
	if act && err == nil {
		err = r.create(ctx, p)
		r.ended(rowCreate, started, err)
	} else { // what was refused was not begun
		r.progress(Progress{Step: rowCreate, Kind: Idle})
	}
	switch {
	case err != nil:
		return r.refuse(ctx, err)
	case act:
		return r.forward(ctx, rowSet)
	default:
		return r.notDue(ctx, p)
	}
}

// forward walks the way forward; where a step fails, everything is put back.
func (r *run) forward(ctx context.Context, from string) error {
	err := r.walk(ctx, from)
	if _, ended := errors.AsType[*endError](err); err == nil || ended {
		return err
	}
	return r.turn(ctx, err)
}

// walk does the steps after "create" in the journal's direction, starting at a
// row. Every step looks before it acts, so that it may be done again.
func (r *run) walk(ctx context.Context, from string) error {
	type step struct {
		row string
		do  func(context.Context) error
	}
	steps := []step{{rowSet, r.set}, {rowRestart, r.restart}, {rowTest, r.test}, {rowFinish, r.finish}}
	if !r.proves() {
		steps = []step{{rowSet, r.set}, {rowFinish, r.finish}}
	}
	for _, s := range steps[slices.IndexFunc(steps, func(s step) bool { return s.row == from }):] {
		if err := r.enter(s.row); err != nil {
			return err
		}
		started, stuck := r.started(s.row), len(r.stuck)
		err := s.do(ctx)
		if err == nil && s.row != rowTest && s.row != rowFinish && ctx.Err() != nil {
			err = interrupted(ctx)
		}
		shown := err
		if err == nil && len(r.stuck) > stuck { // the others go on, and this did not go well
			shown = errors.New(r.stuck[stuck])
		}
		r.ended(s.row, started, shown)
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) change() *store.Change {
	called := events[r.rec.Event]
	return &store.Change{
		NewCalled: called.next, OldCalled: called.other,
		Set: r.Set, Old: r.rec.old, New: r.rec.next(),
		Settings: r.Settings, Values: r.rec.wanted, Absence: func(ref string) string { return r.rec.Absent[ref] },
	}
}

// proves says whether it restarts anything; else there is nothing to prove.
func (r *run) proves() bool { return len(r.Drivers) > 0 }

// set puts the new key into every store, and reads it back. In an undo it puts
// the old key back into every store that holds the new one: a store that cannot
// be put back, or holds something else, is reported, and the others go on.
func (r *run) set(ctx context.Context) error {
	c := r.change()
	if r.undoing() {
		for _, err := range c.PutBack(ctx) {
			if errors.Is(err, store.ErrKept) {
				r.warn("%v", err)
			} else {
				r.stuck = append(r.stuck, err.Error())
			}
		}
		if r.rec.live().IsZero() { // a copy cannot be emptied
			return nil
		}
		r.rec.Unwritten = r.writeCopies(ctx, r.Copies, r.rec.live())
		return nil
	}
	err := c.Put(ctx)
	r.wrote = r.wrote || c.Wrote
	if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
		return interrupted(ctx)
	}
	if err == nil {
		r.rec.Unwritten = r.writeCopies(ctx, r.Copies, r.rec.next())
	}
	return err
}

// restart lets the drivers finish whatever signal comes: a restart cut in half
// is worse than one too many. In an undo its failure is remembered, and
// the proof decides; nothing is restarted there that could only lose.
func (r *run) restart(ctx context.Context) error {
	if spared, err := r.spared(ctx); spared {
		return err
	}
	beside := context.WithoutCancel(ctx) // the looks take nothing of the restart's time
	var look func(context.Context, secret.Key) error
	if r.env.Observe != nil {
		look = r.env.Observe(beside)
	}
	if r.undoing() && r.env.Holders != nil {
		r.leaving = slices.DeleteFunc(r.env.Holders(beside, r.rec.next()), func(m listener.Mark) bool { return slices.ContainsFunc(r.rec.Holders, m.Same) })
	}
	ctx, cancel := context.WithTimeoutCause(beside, r.RestartTimeout, fmt.Errorf("not done within %s", r.RestartTimeout))
	defer cancel()
	failed := func(err error) error {
		r.keepOutput(err)
		if err != nil && r.undoing() {
			r.note("this restart failed; the proof decides")
			r.unproved, err = err, nil
		}
		return err
	}
	for _, d := range r.Drivers {
		err := d.Restart(ctx)
		if err != nil {
			err = failed(fmt.Errorf("restart with '%s': %w", d, err))
		}
		if err != nil {
			return err
		}
	}
	if err := r.kept(ctx); err != nil || look == nil || r.unproved != nil {
		return err
	}
	return failed(look(beside, r.rec.goal().key))
}

// test proves the wanted key on every server, and that the stores still hold it.
func (r *run) test(ctx context.Context) error {
	if g := r.rec.goal(); !g.open && !blnk.Sendable(g.key) {
		return fmt.Errorf("the %s key is not known, or cannot be sent: nothing to prove", g.name)
	}
	verdicts, err := r.await(ctx)
	if err == nil {
		r.outlast(ctx)
	}
	r.reportServers(verdicts, err == nil)
	switch {
	case err != nil && ctx.Err() != nil:
		return interrupted(ctx)
	case err != nil && r.env.Why != nil && !errors.Is(err, errNotRestarted):
		r.why = r.env.Why(ctx) // as they are now: an undo replaces them
		return err
	case err != nil:
		return err
	case r.undoing() && len(r.stuck) > 0:
		return errors.New("the servers are as before again, but not every store is")
	}
	return r.kept(ctx)
}

// kept fails the way forward where a store does not hold the new key any more: a
// start may write a configuration anew from its template.
func (r *run) kept(ctx context.Context) error {
	if r.undoing() {
		return nil
	}
	for _, s := range r.Places() {
		key, _, err := s.Get(context.WithoutCancel(ctx))
		if err != nil {
			return fmt.Errorf("read %s after the restart: %w", s, err)
		}
		if !key.Equal(r.rec.wanted(s.String())) {
			return hint.Add(fmt.Errorf("%s: %w during the restart: it holds %s", s, store.ErrConflict, key.Name()),
				"find what writes it at a start (a template, a configuration manager), and let that have the key from one of the stores")
		}
	}
	return nil
}

// started and ended are the progress and the measure of a step.
func (r *run) started(row string) time.Time {
	r.progress(Progress{Step: row, Kind: Started})
	return time.Now()
}

func (r *run) ended(row string, started time.Time, err error) {
	p := Progress{Step: row, Undo: r.undoing(), Kind: Done, Duration: time.Since(started)}
	if err != nil {
		p.Kind, p.Text = Failed, err.Error()
	}
	r.report.Steps = append(r.report.Steps, StepTime{p.Name(), p.Duration})
	r.progress(p)
}

func (r *run) note(format string, args ...any) {
	r.progress(Progress{Kind: Note, Text: fmt.Sprintf(format, args...)})
}

func (r *run) progress(p Progress) {
	p.Undo = r.undoing()
	r.env.Progress(p)
}

func (r *run) undoing() bool { return r.rec != nil && r.rec.Direction == undo }

func (r *run) warn(format string, args ...any) {
	r.report.Warnings = append(r.report.Warnings, fmt.Sprintf(format, args...))
}

// incomplete warns of something that failed and does not undo a proved rotation.
func (r *run) incomplete(format string, args ...any) {
	r.report.Incomplete = r.report.Incomplete || !r.undoing()
	r.warn(format, args...)
}
