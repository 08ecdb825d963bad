package rotate

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// resume ends the open rotation and stops there: in the direction that its
// journal names, or by undoing it.
func (r *run) resume(ctx context.Context) error {
	abort := r.in.Abort
	if !abort {
		r.note("finishing rotation %s, %s", r.rec.Rotation, r.rec.Begun())
	}
	err := r.retarget()
	if err == nil {
		err = r.learn()
	}
	if why := r.rec.noUndo(); abort && why != "" {
		err = fmt.Errorf("there is no way back from rotation %s: %s", r.rec.Rotation, why)
	}
	if err == nil {
		err = r.onlyForward()
	}
	switch {
	case err != nil:
		return r.getStuck(ctx, err)
	case r.rec.Row == rowFinish: // proved, and only lacks its record
		r.rec.Aborted = r.rec.Aborted || abort && r.undoing()
		if err := r.onward(ctx, rowFinish); err != nil || !abort || r.undoing() {
			return err
		}
		return fmt.Errorf("rotation %s: %w", r.rec.Rotation, ErrTooLate)
	case abort:
		r.note("undoing rotation %s", r.rec.Rotation)
		r.rec.Aborted = true
	}
	var third secret.Key
	if err = r.Places().Repair(ctx); err == nil {
		third, err = r.inspect(ctx)
	}
	switch {
	case err != nil:
		return r.getStuck(ctx, err)
	case !third.IsZero():
		if abort {
			r.warn("nothing was put back: a person has put another key everywhere, and every server proves it")
		}
		return r.abandon(ctx, third)
	case r.undoing() || !abort:
		return r.onward(ctx, r.resumeAt(ctx))
	}
	return r.turn(ctx, nil)
}

// retarget: another restart, server or time than the journal's replaces it, since
// a wrong one is a usual reason for an open rotation. The journal first: whoever
// comes next goes on with these.
func (r *run) retarget() error {
	old := r.rec.Target
	if reflect.DeepEqual(old, r.Spec) {
		return nil
	}
	for _, c := range []struct {
		what     string
		old, now []string
	}{{"--restart", old.Restart, r.Spec.Restart}, {"--server", old.Servers, r.Spec.Servers}} {
		if !reflect.DeepEqual(c.old, c.now) {
			r.note("with %s %q in place of %q", c.what, c.now, c.old)
		}
	}
	r.rec.Target = r.Spec
	return r.save()
}

// onward walks the journal's direction from a row.
func (r *run) onward(ctx context.Context, from string) error {
	if r.undoing() {
		return r.undo(context.WithoutCancel(ctx), from, nil)
	}
	return r.forward(ctx, from)
}

// inspect asks, before anything is written, whether a journaled key can
// still work. A server that takes neither of the two, or takes any key, is for
// a person to explain. A third key that is in every store and live on every
// server is how a person repaired things: it is returned.
func (r *run) inspect(ctx context.Context) (third secret.Key, err error) {
	known := r.rec.open().Keys
	if !r.proves() {
		return third, nil
	}
	if key, err := r.Set.Agreed(ctx); err == nil && !slices.ContainsFunc(known, key.Equal) && r.proveLive(ctx, key) == nil {
		return key, nil
	}
	// With --server-down, or in a sync, a server that was not restarted yet may run
	// with a key that nobody knows.
	another := (r.rec.ServerDown || r.rec.Live == "") && !r.undoing() && (r.rec.Row == rowSet || r.rec.Row == rowRestart)
	for i, v := range r.ask(ctx) {
		if v == proof.Open || v == proof.Rejected && !another {
			_, _, err := r.meaning(r.Servers[i], v, nil)
			return secret.Key{}, err
		}
	}
	return secret.Key{}, nil
}

// resumeAt finds the row to go on from. Stores and servers can be looked at;
// whether the workers restarted only the journal knows.
func (r *run) resumeAt(ctx context.Context) string {
	for _, s := range r.Places() {
		want := r.rec.wanted(s.String())
		if r.undoing() {
			want = r.rec.old(s.String())
		}
		if key, err := store.Held(ctx, s); err != nil || !key.Equal(want) {
			return rowSet
		}
	}
	if r.rec.Row != rowTest {
		return r.rec.Row
	}
	// The driver had succeeded. It is asked once more only where a server is
	// silent, or still (or again) runs with the other key.
	for _, v := range r.ask(ctx) {
		if v == proof.Unknown || v == proof.OtherLive {
			return rowRestart
		}
	}
	return rowTest
}

// forget is Intent.Abandon.
func (r *run) forget(ctx context.Context) error {
	// What a crash left is put right: a forgotten rotation leaves no file
	// that holds a key.
	var key secret.Key
	err := r.Places().Repair(ctx)
	if err == nil {
		key, err = r.Set.Agreed(ctx)
	}
	if err == nil {
		err = r.proveLive(ctx, key)
	}
	if err != nil && r.env.Forget != nil {
		err = r.env.Forget(ctx, err)
	} else if err != nil && r.rec != nil {
		err = hint.Add(err, "%s; on a terminal --abandon asks", r.rec.open().Ways(r.env.Named))
	}
	if err != nil {
		r.report.Outcome = Refused
		return err
	}
	return r.abandon(ctx, key)
}

// abandon records that the rotation came to nothing, and forgets it.
func (r *run) abandon(ctx context.Context, key secret.Key) error {
	r.report.Outcome, r.report.New = Abandoned, key.Fingerprint() // in force, not the one that was made
	r.warn("rotation %s was abandoned: the key in force is %s", r.report.Rotation, key.Name())
	if err := r.env.refuse(key); err != nil {
		r.warn("%v; replace it with blnkctl rotate --compromised%s", err, r.env.Named)
	}
	if !r.workersHave(key) {
		r.warn("workers not proved: restart them, unless that was done with this key")
	}
	r.record(ctx, Abandoned, nil)
	if err := r.State.ForgetJournal(); err != nil {
		return r.getStuck(ctx, err)
	}
	return nil
}

// workersHave says whether the journal tells that the workers run with key: it
// was theirs and no restart was begun, or the restart with it succeeded.
func (r *run) workersHave(key secret.Key) bool {
	switch {
	case r.rec == nil:
		return false
	case r.rec.Row == rowSet && !r.undoing():
		return key.Equal(r.rec.live())
	default:
		restarted := r.rec.Row == rowTest || r.rec.Row == rowFinish
		return restarted && r.WorkersProved && key.Equal(r.rec.goal().key)
	}
}

// turn puts a rotation that failed on its way forward, or that a person wants undone
// (no cause), back to the old key. Where nothing was touched it only forgets the
// journal. No signal stops it.
func (r *run) turn(ctx context.Context, cause error) error {
	ctx = context.WithoutCancel(ctx)
	if !r.touched(ctx) {
		if err := r.State.ForgetJournal(); err != nil {
			return r.getStuck(ctx, errors.Join(cause, err))
		}
		if cause != nil {
			return r.refuse(ctx, cause)
		}
		r.report.Outcome = RolledBack
		r.record(ctx, RolledBack, nil)
		return nil
	}
	_ = r.learn() // what was known before still counts
	if r.rec.noUndo() != "" {
		return r.getStuck(ctx, cause)
	}
	r.rec.Direction, r.rec.Row = undo, rowSet
	if r.rec.FirstError == "" && cause != nil {
		r.rec.FirstError = oneLine(cause.Error())
	}
	// Without this mark a resume would go forward again, look, and end well
	// too: so its failure does not stop the undo.
	_ = r.save()
	return r.undo(ctx, rowSet, cause)
}

// undo walks the steps that put everything back. The stores come first, then the
// restart: where not every store could be put back, the server may need nothing but
// those that are.
func (r *run) undo(ctx context.Context, from string, cause error) error {
	if cause == nil && r.rec.FirstError != "" {
		cause = errors.New(r.rec.FirstError)
	}
	err := r.walk(ctx, from)
	if _, ended := errors.AsType[*endError](err); ended {
		return err
	}
	switch {
	case err != nil:
		r.stuck = append(r.stuck, "undo: "+err.Error())
		if r.unproved != nil {
			r.stuck = append(r.stuck, r.unproved.Error())
		}
		return r.getStuck(ctx, cause)
	case r.rec.Aborted:
		return nil
	case !r.proves():
		r.report.Outcome = Refused // nothing is changed
		return cause
	default:
		return r.end(ErrUndone, cause)
	}
}

// spared says whether an undo restarts nothing: a store holds neither key, or cannot be
// read or written, and a start with what is there could put in force what nobody here
// knows. So the servers stay as they are where they are as before, and where no store is.
func (r *run) spared(ctx context.Context) (spared bool, err error) {
	if !r.undoing() || len(r.stuck) == 0 {
		return false, nil
	}
	r.leaving = nil // of the way forward
	back := func(s store.Store) bool {
		key, _, err := s.Get(ctx)
		return key.Equal(r.rec.old(s.String())) && (err == nil || errors.Is(err, store.ErrNotFound))
	}
	replaced := func(v proof.Verdict) bool { return !v.Proves() }
	switch none := !slices.ContainsFunc(r.Set, back); {
	case !slices.ContainsFunc(r.ask(ctx), replaced):
		r.note("not restarted: the servers are as before, and not every store is")
		r.unproved = errors.New("not restarted")
		return true, nil
	case none:
		return true, errors.New("not restarted: no store is as before")
	}
	return false, nil
}

// touched says whether anything outside of the journal may have changed, so
// that a process may have loaded the new key. Reading a store that holds the
// old key tells that nothing happened there; a store that holds something else
// was changed by somebody else if this run never wrote anything.
func (r *run) touched(ctx context.Context) bool {
	if r.rec.Row != rowSet {
		return true
	}
	for _, s := range r.Places() {
		key, err := store.Held(ctx, s)
		if err == nil && key.Equal(r.rec.old(s.String())) {
			continue
		}
		if err == nil && key.Equal(r.rec.wanted(s.String())) || r.wrote || r.resumed {
			return true
		}
	}
	return false
}

// getStuck ends a run that a person has to look at. The journal stays.
func (r *run) getStuck(ctx context.Context, cause error) error {
	r.report.Outcome = Stuck
	end := r.end(ErrStuck, cause)
	if r.rec != nil && r.rec.FirstError == "" {
		r.rec.FirstError = oneLine(end.Error())
		_ = r.save()
	}
	r.record(ctx, Stuck, end)
	r.situation(ctx, end)
	return end
}
