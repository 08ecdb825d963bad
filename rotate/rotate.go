package rotate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/blnkctl/blnkctl/state"
)

// A walk is one run: the rotation, the journal record it works on and what
// happened so far.
type walk struct {
	*Rotation
	rec *record
	res Result
	// resumed: the journal was there when the run began.
	resumed bool
	// put: a store of this run may hold a key that was written in it.
	put bool
	// syncing: the run began as a sync.
	syncing bool
	// asked is how long a person took to answer.
	asked time.Duration
	// stuck collects what keeps an undo from being complete; the run goes on
	// and says it in the end.
	stuck []string
	// durable: the journal holds rec as it is now.
	durable bool
	// unproved is the restart error of an undo that went on all the same.
	unproved error
}

// A step is a row of the table: a name that the journal knows, and its deed.
// Every deed looks before it acts, so that it may be done again.
type step struct {
	row string
	do  func(*walk, context.Context) error
}

// steps are the story after "create", there and back.
func steps(direction string) []step {
	set := (*walk).set
	if direction == undo {
		set = (*walk).unset
	}
	return []step{
		{rowSet, set},
		{rowRestart, (*walk).restart},
		{rowTest, (*walk).test},
		{rowFinish, (*walk).finish},
	}
}

// Run rotates the key: it finishes an open rotation and stops, or makes a new
// one from its first step to its last. An error that is no *EndError means that
// nothing was changed.
func (r *Rotation) Run(ctx context.Context) (Result, error) {
	w, unlock, err := r.enterTarget(ctx)
	if err != nil {
		return Result{Outcome: Refused}, err
	}
	defer unlock()
	if w.rec != nil {
		err = w.resume(ctx)
	} else {
		err = w.begin(ctx)
	}
	return w.res, err
}

// enterTarget takes the lock and reads the journal.
func (r *Rotation) enterTarget(ctx context.Context) (*walk, func(), error) {
	unlock, err := r.Lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	w := &walk{Rotation: r}
	if err := w.load(); err != nil {
		unlock()
		return nil, nil, err
	}
	return w, unlock, nil
}

// load reads the journal and refuses one that is about something else.
func (w *walk) load() error {
	data, err := w.Journal.LoadJournal()
	if unreadable(err) {
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	if err != nil {
		return err
	}
	rec, err := parseRecord(data)
	if err != nil {
		return err
	}
	if rec == nil {
		return nil
	}
	if !rec.Refs.same(w.Refs) {
		return ErrOtherReferences
	}
	w.adopt(rec)
	return nil
}

// unreadable says whether there is a journal that cannot be read as it was
// written; any other error says nothing about it.
func unreadable(err error) bool {
	return errors.Is(err, state.ErrDamaged) || errors.Is(err, state.ErrOtherVersion)
}

// adopt makes the open rotation this run's.
func (w *walk) adopt(rec *record) {
	w.rec, w.resumed, w.durable = rec, true, true
	w.res.Rotation = rec.ID
	w.res.Old, w.res.New = rec.old().Fingerprint(), rec.new().Fingerprint()
}

// begin is step "create", and then all the others.
func (w *walk) begin(ctx context.Context) error {
	started := w.started(rowCreate)
	plan, err := w.survey(ctx, true)
	if err == nil && !plan.Due.Yes {
		w.ended(rowCreate, started, nil)
		return w.notDue(plan)
	}
	if err == nil {
		err = w.start(ctx, plan, func() (*record, error) { return w.rotateRecord(plan) })
	}
	w.ended(rowCreate, started, err)
	if err != nil {
		return w.refuse(ctx, err)
	}
	return w.forth(ctx, rowSet)
}

// start ends step "create": a person's yes, and the journal, from which on a
// crash loses nothing.
func (w *walk) start(ctx context.Context, plan Plan, fill func() (*record, error)) error {
	if w.Confirm != nil {
		asked := time.Now()
		err := w.Confirm(ctx, plan)
		w.asked = time.Since(asked)
		if err != nil {
			return err
		}
	}
	rec, err := fill()
	if err != nil {
		return err
	}
	rec.Cautions = plan.Cautions
	if ctx.Err() != nil {
		return w.interrupted(ctx)
	}
	if err := w.open(rec); err != nil {
		return err
	}
	if ctx.Err() != nil { // nothing has happened yet but the journal
		return errors.Join(w.interrupted(ctx), w.Journal.ForgetJournal())
	}
	return nil
}

// forth walks the steps of the way forward; where one fails, it goes back.
func (w *walk) forth(ctx context.Context, from string) error {
	err := w.walk(ctx, from)
	var end *EndError
	if err == nil || errors.As(err, &end) {
		return err
	}
	return w.back(ctx, err)
}

// walk does the steps of the journal's direction, starting at a row.
func (w *walk) walk(ctx context.Context, from string) error {
	begun := false
	for _, s := range steps(w.rec.Direction) {
		if begun = begun || s.row == from; !begun {
			continue
		}
		if err := w.enter(s.row); err != nil {
			return err
		}
		started, stuck := w.started(s.row), len(w.stuck)
		err := s.do(w, ctx)
		if err == nil && s.row != rowTest && s.row != rowFinish && ctx.Err() != nil {
			err = w.interrupted(ctx)
		}
		shown := err
		if err == nil && len(w.stuck) > stuck { // the others go on, and this did not go well
			shown = errors.New(w.stuck[stuck])
		}
		w.ended(s.row, started, shown)
		if err != nil {
			return err
		}
	}
	return nil
}

// enter is the write-ahead: the journal says which row is entered before
// anything happens in it. The way back does not depend on it: whoever resumes
// from an older row looks again.
func (w *walk) enter(row string) error {
	if w.rec.Direction == undo && w.unproved != nil {
		return nil // "test" would claim that the restart succeeded
	}
	if w.rec.Row == row && w.durable {
		return nil
	}
	w.rec.Row = row
	err := w.save()
	switch {
	case w.rec.Direction == undo:
		return nil
	case err != nil && row == rowFinish:
		return w.unrecorded(err)
	default:
		return err
	}
}

func (w *walk) save() error {
	data, err := w.rec.bytes()
	if err != nil {
		return err
	}
	err = w.Journal.SaveJournal(data)
	w.durable = err == nil
	return err
}

func (w *walk) interrupted(ctx context.Context) error {
	cause := context.Cause(ctx)
	if cause == nil || errors.Is(cause, context.Canceled) {
		return ErrInterrupted
	}
	return &interruption{cause}
}

// started and ended tell progress and measure.
func (w *walk) started(row string) time.Time {
	w.tell(Event{Step: row, Undo: w.undoing(), Kind: Started})
	return time.Now()
}

func (w *walk) ended(row string, started time.Time, err error) {
	e := Event{Step: row, Undo: w.undoing(), Kind: Done, Took: time.Since(started)}
	if row == rowCreate {
		e.Took -= w.asked
	}
	if err != nil {
		e.Kind, e.Text = Failed, err.Error()
	}
	name := row
	if e.Undo {
		name = "undo " + row
	}
	w.res.Steps = append(w.res.Steps, StepTime{Name: name, Took: e.Took})
	w.tell(e)
}

func (w *walk) note(format string, args ...any) {
	w.tell(Event{Undo: w.undoing(), Kind: Note, Text: fmt.Sprintf(format, args...)})
}

func (w *walk) tell(e Event) {
	if w.Tell != nil {
		w.Tell(e)
	}
}

func (w *walk) undoing() bool { return w.rec != nil && w.rec.Direction == undo }

func (w *walk) warn(format string, args ...any) {
	w.res.Warnings = append(w.res.Warnings, fmt.Sprintf(format, args...))
}
