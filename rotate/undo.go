package rotate

import (
	"context"
	"errors"
)

// back takes a rotation that failed on its way forward back to the old key.
// Where nothing was touched it only forgets the journal. No signal stops it.
func (w *walk) back(ctx context.Context, cause error) error {
	ctx = context.WithoutCancel(ctx)
	if !w.touched(ctx) {
		if err := w.Journal.ForgetJournal(); err != nil {
			return w.getStuck(ctx, errors.Join(cause, err))
		}
		return w.refuse(ctx, cause)
	}
	if w.rec.noWayBack() != "" {
		return w.getStuck(ctx, cause)
	}
	w.rec.Direction, w.rec.Row = undo, rowSet
	if w.rec.FirstError == "" && cause != nil {
		w.rec.FirstError = oneLine(cause.Error())
	}
	// Without this mark a resume would go forward again, look, and end well
	// too: so its failure does not stop the way back.
	_ = w.save()
	return w.backFrom(ctx, rowSet, cause)
}

// backFrom walks the way back. The stores come first, then the restart,
// whatever became of the stores: the server may need nothing but those that
// are back.
func (w *walk) backFrom(ctx context.Context, from string, cause error) error {
	if cause == nil && w.rec.FirstError != "" {
		cause = errors.New(w.rec.FirstError)
	}
	err := w.walk(ctx, from)
	var end *EndError
	switch {
	case errors.As(err, &end):
		return err
	case err != nil:
		w.stuck = append(w.stuck, "undo: "+err.Error())
		if w.unproved != nil {
			w.stuck = append(w.stuck, w.unproved.Error())
		}
		return w.getStuck(ctx, cause)
	case w.rec.Aborted:
		return nil
	default:
		return &EndError{State: ErrUndone, Cause: cause}
	}
}

// touched says whether anything outside of the journal may have changed, so
// that a process may have loaded the new key. Reading a store that holds the
// old key tells that nothing happened there; a store that holds something else
// was changed by somebody else if this run never wrote anything.
func (w *walk) touched(ctx context.Context) bool {
	if w.rec.Row != rowSet {
		return true
	}
	for _, s := range w.Stores {
		key, _, err := s.Get(ctx)
		if err == nil && key.Equal(w.rec.oldIn(s.String())) {
			continue
		}
		if err == nil && key.Equal(w.rec.new()) || w.put || w.resumed {
			return true
		}
	}
	return false
}

// getStuck ends a run that a person has to look at. The journal stays.
func (w *walk) getStuck(ctx context.Context, cause error) error {
	w.res.Outcome = Stuck
	end := &EndError{State: ErrStuck, Cause: cause, Details: w.stuck}
	if w.rec.FirstError == "" {
		w.rec.FirstError = oneLine(end.Error())
		_ = w.save()
	}
	w.record(ctx, Stuck, end)
	return end
}
