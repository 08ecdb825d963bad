package rotate

import (
	"context"
	"fmt"

	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
)

// resume ends the open rotation in the direction that its journal names, and
// stops there: it begins no second one.
func (w *walk) resume(ctx context.Context) error {
	w.takeFlags()
	w.note("finishing rotation %s, %s", w.rec.ID, w.rec.open().Begun())
	if w.rec.Row == rowFinish {
		return w.onward(ctx, rowFinish)
	}
	if err := w.repair(ctx); err != nil {
		return w.getStuck(ctx, err)
	}
	third, err := w.lookAround(ctx)
	if err != nil {
		return w.getStuck(ctx, err)
	}
	if !third.IsZero() {
		return w.abandon(ctx, third)
	}
	return w.onward(ctx, w.resumeAt(ctx))
}

// onward walks the journal's direction from a row.
func (w *walk) onward(ctx context.Context, from string) error {
	if w.undoing() {
		return w.backFrom(context.WithoutCancel(ctx), from, nil)
	}
	return w.forth(ctx, from)
}

// takeFlags: what the rotation was begun with stays true of it. A key that is
// known to others by now can be said to be so, as long as the way forward is
// open.
func (w *walk) takeFlags() {
	if w.Options.Compromised && !w.undoing() {
		w.rec.Compromised = true
	}
	w.Options.Compromised, w.Options.ServerDown = w.rec.Compromised, w.rec.ServerDown
	if w.Options.Timeout == 0 {
		w.Options.Timeout = w.rec.Timeout
	}
	if w.Options.RestartTimeout == 0 {
		w.Options.RestartTimeout = w.rec.RestartTimeout
	}
}

// lookAround asks, before anything is written, whether a journaled key can
// still work. A server that takes neither of the two, or takes any key, is for
// a person to explain. A third key that is in every store and live on every
// server is how a person repaired things: it is returned.
func (w *walk) lookAround(ctx context.Context) (third secret.Key, err error) {
	if key, err := w.agreedKey(ctx); err == nil && !key.Equal(w.rec.new()) && !w.isOld(key) {
		if w.allProve(ctx, key) == nil {
			return key, nil
		}
	}
	for _, s := range w.Servers {
		v, _ := s.Judge(ctx, w.rec.want(), w.rec.other())
		if v == proof.Open || v == proof.Rejected && !w.mayTakeAnother() {
			return secret.Key{}, w.notProved(s, v, nil)
		}
	}
	return secret.Key{}, nil
}

// mayTakeAnother: with --server-down, or in a sync, a server that was not
// restarted yet may run with a key that nobody knows.
func (w *walk) mayTakeAnother() bool {
	return (w.rec.ServerDown || w.rec.Live == "") && w.rec.Direction == forward && (w.rec.Row == rowSet || w.rec.Row == rowRestart)
}

func (w *walk) isOld(key secret.Key) bool {
	for _, s := range w.Stores {
		if key.Equal(w.rec.oldIn(s.String())) {
			return true
		}
	}
	return false
}

// allProve says whether a key is the live master key of every server.
func (w *walk) allProve(ctx context.Context, key secret.Key) error {
	for _, s := range w.Servers {
		switch v, reason := s.Judge(ctx, key, secret.Key{}); {
		case v == proof.Live:
		case reason != nil:
			return fmt.Errorf("the key %s of the stores is not proved: %w", key.Name(), reason)
		default:
			return fmt.Errorf("%s does not prove the key %s of the stores: %w", s, key.Name(), ErrNotLive)
		}
	}
	return nil
}

// resumeAt finds the row to go on from. Stores and servers can be looked at;
// whether the workers restarted only the journal knows.
func (w *walk) resumeAt(ctx context.Context) string {
	if !w.storesHold(ctx) {
		return rowSet
	}
	if w.rec.Row != rowTest {
		return w.rec.Row
	}
	// The driver had succeeded. It is asked once more only where a server is
	// silent, or still (or again) runs with the other key.
	for _, s := range w.Servers {
		if v, _ := s.Judge(ctx, w.rec.want(), w.rec.other()); v == proof.Unknown || v == proof.OtherLive {
			return rowRestart
		}
	}
	return rowTest
}

// storesHold says whether every store holds the key of this direction's end.
func (w *walk) storesHold(ctx context.Context) bool {
	for _, s := range w.Stores {
		want := w.rec.new()
		if w.undoing() {
			want = w.rec.oldIn(s.String())
		}
		key, _, err := s.Get(ctx)
		if err != nil || !key.Equal(want) {
			return false
		}
	}
	return true
}

// Abort undoes the open rotation. Without one, the outcome is None.
func (r *Rotation) Abort(ctx context.Context) (Result, error) {
	w, unlock, err := r.enterTarget(ctx)
	if err != nil {
		return Result{Outcome: Refused}, err
	}
	defer unlock()
	if w.rec == nil {
		return Result{Outcome: None}, nil
	}
	w.takeFlags()
	if why := w.rec.noWayBack(); why != "" {
		err = w.getStuck(ctx, fmt.Errorf("there is no way back from rotation %s: %s", w.rec.ID, why))
		return w.res, err
	}
	err = w.abort(ctx)
	return w.res, err
}

func (w *walk) abort(ctx context.Context) error {
	if w.rec.Row == rowFinish {
		return w.abortProved(ctx)
	}
	w.note("undoing rotation %s", w.rec.ID)
	w.rec.Aborted = true
	if err := w.repair(ctx); err != nil {
		return w.getStuck(ctx, err)
	}
	third, err := w.lookAround(ctx)
	switch {
	case err != nil:
		return w.getStuck(ctx, err)
	case !third.IsZero():
		return w.abandon(ctx, third)
	case w.undoing():
		return w.onward(ctx, w.resumeAt(ctx))
	case !w.touched(ctx):
		if err := w.Journal.ForgetJournal(); err != nil {
			return w.getStuck(ctx, err)
		}
		w.res.Outcome = RolledBack
		w.record(ctx, RolledBack, nil)
		return nil
	default:
		return w.back(ctx, nil)
	}
}

// abortProved: what was proved is not open any more, it only lacks its record.
func (w *walk) abortProved(ctx context.Context) error {
	if w.undoing() {
		w.rec.Aborted = true
		return w.onward(ctx, rowFinish)
	}
	if err := w.onward(ctx, rowFinish); err != nil {
		return err
	}
	return fmt.Errorf("rotation %s: %w", w.rec.ID, ErrTooLate)
}

// Abandon forgets the open rotation after a person repaired things: where all
// stores agree and every server proves that key. Where that is not so, confirm
// is shown why and decides; nil refuses.
func (r *Rotation) Abandon(ctx context.Context, confirm func(why error) error) (Result, error) {
	unlock, err := r.Lock(ctx)
	if err != nil {
		return Result{Outcome: Refused}, err
	}
	defer unlock()
	w := &walk{Rotation: r}
	data, err := r.Journal.LoadJournal()
	if err != nil && !unreadable(err) {
		return Result{Outcome: Refused}, err
	}
	if data == nil && err == nil {
		return Result{Outcome: None}, nil
	}
	// A journal that cannot be read can still be abandoned.
	if rec, err := parseRecord(data); err == nil {
		w.adopt(rec)
	}
	key, err := w.repairedKey(ctx)
	if err == nil {
		err = w.allProve(ctx, key)
	}
	if err != nil && confirm != nil {
		err = confirm(err)
	}
	if err != nil {
		w.res.Outcome = Refused
		return w.res, err
	}
	err = w.abandon(ctx, key)
	return w.res, err
}

// repairedKey is agreedKey after what a crash left in the stores was put right:
// a forgotten rotation leaves nothing behind that holds a key.
func (w *walk) repairedKey(ctx context.Context) (secret.Key, error) {
	if err := w.repair(ctx); err != nil {
		return secret.Key{}, err
	}
	return w.agreedKey(ctx)
}

// abandon records that the rotation came to nothing, and forgets it.
func (w *walk) abandon(ctx context.Context, key secret.Key) error {
	w.res.Outcome = Abandoned
	w.record(ctx, Abandoned, nil)
	if err := w.Journal.ForgetJournal(); err != nil {
		return w.getStuck(ctx, err)
	}
	w.warn("rotation %s was abandoned: the key in force is %s", w.res.Rotation, key.Name())
	if !w.workersHave(key) {
		w.warn("workers not proved: restart them, unless that was done with this key")
	}
	return nil
}

// workersHave says whether the journal tells that the workers run with key: it
// was theirs and no restart was begun, or the restart with it succeeded.
func (w *walk) workersHave(key secret.Key) bool {
	switch {
	case w.rec == nil:
		return false
	case w.rec.Row == rowSet && !w.undoing():
		return key.Equal(w.rec.old())
	default:
		restarted := w.rec.Row == rowTest || w.rec.Row == rowFinish
		return restarted && w.WorkersProved && key.Equal(w.rec.want())
	}
}
