package rotate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/state"
)

// finish records what was proved and forgets the journal. Each part may be
// done again: a crash between them leaves a journal that says "proved".
func (w *walk) finish(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	w.purge(ctx)
	if !w.undoing() {
		w.res.Warnings = append(w.res.Warnings, w.rec.Cautions...)
	}
	if err := w.remember(); err != nil {
		return w.unrecorded(err)
	}
	if err := w.Recorder.Append(ctx, w.auditRecord(w.final(), nil)); err != nil && !w.undoing() {
		return w.unrecorded(err)
	} else if err != nil {
		w.warn("the audit log could not be written: %v", err)
	}
	if err := w.Journal.ForgetJournal(); err != nil {
		return w.unrecorded(err)
	}
	w.res.Outcome = w.final()
	if w.resumed && !w.undoing() {
		w.res.Outcome = Resumed
	}
	return nil
}

// final is how the audit log calls this end, however many runs it took: the
// same word for the same rotation, so that it is recorded once.
func (w *walk) final() Outcome {
	switch {
	case w.undoing():
		return RolledBack
	case w.rec.Event == eventSync:
		return Synced
	default:
		return Rotated
	}
}

// unrecorded: the key is live and proved, but a record of it is missing.
func (w *walk) unrecorded(err error) error {
	w.res.Outcome = Stuck
	return &EndError{State: ErrUnrecorded, Cause: err}
}

// remember writes what the next run has to know: since when the key is proved,
// or that a rotation failed.
func (w *walk) remember() error {
	before, err := w.Memory.LoadFacts()
	if err != nil {
		return err
	}
	facts := before
	switch {
	case w.rec.Event == eventSync:
		facts = w.syncedFacts(facts)
	case !w.undoing():
		facts = state.Facts{Key: w.rec.new().Fingerprint(), ProvedAt: w.Now().UTC(), Rotation: w.rec.ID}
	case facts.Rotation == w.rec.ID || w.rec.Aborted:
		// counted already, or no failure
	default:
		facts.Rotation = w.rec.ID
		facts.Failures++
		facts.FailedAt = w.Now().UTC()
		facts.FailedRefs = w.Refs.digest()
	}
	facts.Behind = w.behind(before.Behind, w.rec.Behind)
	if (w.undoing() || w.rec.Event == eventSync) && reflect.DeepEqual(facts, before) {
		return nil
	}
	return w.Memory.SaveFacts(facts)
}

// syncedFacts: a key that came from elsewhere is seen, not made, and a sync
// that failed is no reason to put off a rotation.
func (w *walk) syncedFacts(facts state.Facts) state.Facts {
	fp := w.rec.new().Fingerprint()
	if w.undoing() || facts.Key == fp {
		return facts
	}
	return state.Facts{Key: fp, SeenAt: w.Now().UTC(), Rotation: w.rec.ID}
}

// digest tells references apart; the back-off after a rollback holds for equal
// ones only.
func (a References) digest() string {
	data, _ := json.Marshal(a) // strings only: cannot fail
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// refuse ends a run in which nothing was changed.
func (w *walk) refuse(ctx context.Context, err error) error {
	w.res.Outcome = Refused
	w.record(ctx, Refused, err)
	return err
}

// record writes an outcome into the audit log where failing to do so must not
// change the outcome.
func (w *walk) record(ctx context.Context, o Outcome, cause error) {
	err := w.Recorder.Append(context.WithoutCancel(ctx), w.auditRecord(o, cause))
	if err != nil {
		w.warn("the audit log could not be written: %v", err)
	}
}

func (w *walk) event() string {
	if w.rec != nil && w.rec.Event == eventSync || w.syncing {
		return eventSync
	}
	return eventRotate
}

func (w *walk) auditRecord(o Outcome, cause error) audit.Record {
	r := audit.Record{
		Event: w.event(), Rotation: w.res.Rotation, Outcome: string(o),
		Old: w.res.Old, New: w.res.New,
		Stores: w.Refs.Stores, Servers: w.Refs.Servers, Restart: w.Refs.Restart,
		Once: o != Stuck && o != Refused,
		Host: w.Host, User: w.User, Reason: w.Options.Reason, Warnings: w.res.Warnings,
	}
	if cause != nil {
		r.Error = oneLine(cause.Error())
	}
	if w.rec != nil {
		r.Reason = w.rec.Reason
		if cause == nil {
			r.Error = w.rec.FirstError
		}
	}
	return r
}
