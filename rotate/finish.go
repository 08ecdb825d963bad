package rotate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// finish records what was proved and forgets the journal. Each part may be
// done again: a crash between them leaves a journal that says "proved".
func (r *run) finish(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	// The audit log has the same word for the same rotation, however many runs it
	// took, so that it is recorded once.
	end := events[r.rec.Event].done
	r.report.written = !r.proves()
	r.report.keyOnly = r.report.written && len(r.Settings) == 0
	switch {
	case r.undoing():
		end = RolledBack
	case !r.proves() && r.rec.Event == Init:
		end = Written
	}
	if !r.undoing() {
		for _, s := range r.Set {
			// After the proof that the compromised key is dead, and before the journal
			// is forgotten, so that a crash in between is followed by another try.
			if p, ok := s.(store.Purger); ok && r.rec.Compromised {
				if err := p.Purge(ctx, r.rec.old(s.String())); err != nil {
					r.incomplete("old versions of %s still hold the compromised key: %v", s, err)
				}
			}
		}
		r.report.Warnings = append(r.report.Warnings, r.rec.Cautions...)
		if err := r.keepPrevious(ctx); err != nil { // before the history forgets its age
			r.incomplete("the previous key: %v", err)
		}
	}
	if err := r.remember(); err != nil {
		return r.unrecorded(err)
	}
	err := r.env.Recorder.Append(ctx, r.auditRecord(end, nil))
	if err != nil && r.undoing() {
		r.warn("the audit log could not be written: %v", err)
		err = nil
	}
	if err == nil {
		err = r.State.ForgetJournal()
	}
	if err != nil {
		return r.unrecorded(err)
	}
	if r.rec.Compromised && !r.undoing() && r.env.LeftBehind != nil {
		r.report.Warnings = append(r.report.Warnings, r.env.LeftBehind(ctx, r.rec.next())...)
	}
	if r.report.Outcome = end; r.resumed && !r.undoing() {
		r.report.Outcome = Resumed
	}
	return nil
}

// unrecorded: the key is live and proved, but a record of it is missing.
func (r *run) unrecorded(err error) error {
	r.report.Outcome = Stuck
	end := r.end(ErrUnrecorded, err)
	r.situation(context.Background(), end)
	return end
}

// writeCopies writes a key into write-only copies, and returns the references of
// those that could not be written. A run that enters the row again writes again:
// there is nothing to look at.
func (r *run) writeCopies(ctx context.Context, copies []store.Copy, key secret.Key) (failed []string) {
	for _, c := range copies {
		if err := c.Write(ctx, key); err != nil {
			has := ""
			if r.rec.Compromised {
				has = "; it may still hold the compromised key"
			}
			r.incomplete("the copy in %s could not be written: %v%s", c, err, has)
			failed = append(failed, c.String())
		}
	}
	if r.report.Unwritten = failed; len(failed) > 0 {
		r.report.Help = "when it can be written: blnkctl sync" + r.env.Stores + hint.Flags("--restart", slices.Concat(r.Spec.Restart, r.unused)) +
			" (it restarts nothing where only copies are behind)"
	}
	return failed
}

// remember writes what the next run has to know: since when the key is proved,
// or that a rotation failed.
func (r *run) remember() error {
	before, err := r.State.LoadHistory()
	if err != nil {
		return err
	}
	history, next := before, r.rec.next()
	switch {
	case r.rec.Event == Rollback && !r.undoing(): // its age is its own
		history = state.History{Key: state.Mark(next), ProvedAt: r.rec.NextProved, SeenAt: r.rec.NextSeen, Rotation: r.rec.Rotation, RolledBackAt: r.env.Now().UTC()}
	case r.rec.Event != Rotate && (r.undoing() || history.Of(next)):
		// A sync that failed is no reason to put off a rotation.
	case r.rec.Event == Sync, r.rec.Live == r.rec.New, !r.proves(): // a key that was not proved, or stood there already, is seen
		history = state.History{Key: state.Mark(next), SeenAt: r.env.Now().UTC(), Rotation: r.rec.Rotation}
	case !r.undoing():
		history = state.History{Key: state.Mark(next), ProvedAt: r.env.Now().UTC(), Rotation: r.rec.Rotation}
	case history.Rotation == r.rec.Rotation || r.rec.Aborted:
		// counted already, or no failure
	default:
		history.Rotation = r.rec.Rotation
		history.Failures++
		history.FailedAt = r.env.Now().UTC()
		history.FailedRefs = digest(r.Spec)
	}
	// Of other copies than this rotation's stays known what was known.
	history.Unwritten = nil
	for _, ref := range before.Unwritten {
		if !slices.Contains(r.Spec.Stores, ref) {
			history.Unwritten = append(history.Unwritten, ref)
		}
	}
	history.Unwritten = append(history.Unwritten, r.rec.Unwritten...)
	if (r.undoing() || r.rec.Event != Rotate) && reflect.DeepEqual(history, before) {
		return nil
	}
	return r.State.SaveHistory(history)
}

// digest tells targets apart; the waiting after a rollback is for the same one.
func digest(spec target.Spec) string {
	spec.Timeout, spec.RestartTimeout = 0, 0
	data, _ := json.Marshal(spec) // strings only: cannot fail
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// refuse ends a run in which nothing was changed.
func (r *run) refuse(ctx context.Context, err error) error {
	err = r.advised(ctx, err)
	r.report.Outcome = Refused
	r.record(ctx, Refused, err)
	return err
}

// record writes an outcome into the audit log where failing to do so must not
// change the outcome.
func (r *run) record(ctx context.Context, o Outcome, cause error) {
	err := r.env.Recorder.Append(context.WithoutCancel(ctx), r.auditRecord(o, cause))
	if err != nil {
		r.warn("the audit log could not be written: %v", err)
	}
}

func (r *run) auditRecord(o Outcome, cause error) audit.Record {
	a := audit.Record{
		Event: r.in.Event, Rotation: r.report.Rotation, Outcome: string(o),
		Old: r.report.Old, New: r.report.New,
		Stores: r.Places().Names(), Servers: r.Spec.Servers, Restart: r.Spec.Restart,
		Compromised: r.in.Compromised,
		Actor:       r.env.Who, Reason: r.in.Reason, Warnings: r.report.Warnings,
	}
	if cause != nil {
		a.Error = oneLine(cause.Error())
	}
	if r.rec != nil {
		a.Event, a.Reason, a.Compromised = r.rec.Event, r.rec.Reason, r.rec.Compromised
		if cause == nil {
			a.Error = r.rec.FirstError
		}
	}
	return a
}
