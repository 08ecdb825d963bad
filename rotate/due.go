package rotate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
)

// A Due says whether a rotation has to be made now, and why.
type Due struct {
	Yes bool
	// Why is a sentence for people.
	Why string
	// Adopt: the key was never seen before, and its clock starts now.
	Adopt bool
}

// due judges the age of the current key by Options.IfOlderThan.
func (w *walk) due(ctx context.Context, current secret.Key) (Due, error) {
	if w.Options.IfOlderThan == 0 || w.Options.Compromised {
		return Due{Yes: true, Why: "asked for"}, nil
	}
	facts, err := w.Memory.LoadFacts()
	if err != nil {
		return Due{}, err
	}
	if d, waits := w.backOff(facts); waits {
		return d, nil
	}
	if w.Weak != nil {
		if why := w.Weak(current); why != "" {
			return Due{Yes: true, Why: "the key is weak: " + why}, nil
		}
	}
	since, how := facts.ProvedAt, "rotated"
	if since.IsZero() {
		since, how = facts.SeenAt, "first seen"
	}
	if facts.Key == "" || facts.Key != current.Fingerprint() || since.IsZero() {
		if since, how = w.created(ctx), "written"; since.IsZero() {
			return w.unknownAge(current)
		}
	}
	age := max(w.Now().Sub(since), 0)
	return Due{
		Yes: age > w.Options.IfOlderThan,
		Why: fmt.Sprintf("%s was %s %s ago", current.Name(), how, days(age)),
	}, nil
}

// created is since when the source of truth has held its key, where it knows.
func (w *walk) created(ctx context.Context) time.Time {
	d, ok := w.Stores[0].(store.Dated)
	if !ok {
		return time.Time{}
	}
	since, err := d.Created(ctx)
	if err != nil {
		w.note("the age of the key in %s is not known: %v", w.Stores[0], err)
		return time.Time{}
	}
	return since
}

func (w *walk) unknownAge(current secret.Key) (Due, error) {
	switch w.Options.IfUnknown {
	case Rotate:
		return Due{Yes: true, Why: "the key was never seen before"}, nil
	case Adopt:
		return Due{Adopt: true, Why: fmt.Sprintf("%s was never seen before: its clock starts now", current.Name())}, nil
	case Fail:
		return Due{}, fmt.Errorf("%w: %s was never seen before", ErrUnknownAge, current.Name())
	default:
		return Due{}, errors.New("no rule for a key of unknown age")
	}
}

// The wait after a rollback, so that a cron job does not restart a production
// server again and again for nothing: an hour, doubled with each failure.
const (
	firstBackOff = time.Hour
	lastBackOff  = 24 * time.Hour
)

// backOff says whether to wait after a rotation with the same references that
// was rolled back.
func (w *walk) backOff(f state.Facts) (Due, bool) {
	if f.Failures == 0 || f.FailedRefs != w.Refs.digest() {
		return Due{}, false
	}
	wait := firstBackOff
	for i := 1; i < f.Failures && wait < lastBackOff; i++ {
		wait *= 2
	}
	wait = min(wait, lastBackOff)
	next := f.FailedAt.Add(wait)
	if !w.Now().Before(next) {
		return Due{}, false
	}
	return Due{Why: fmt.Sprintf("the last rotation was rolled back; the next try is due at %s",
		next.Format("2006-01-02 15:04:05 MST"))}, true
}

// notDue ends a run that has nothing to do.
func (w *walk) notDue(p Plan) error {
	w.res.Outcome, w.res.Due = NotDue, p.Due
	if !p.Due.Adopt {
		return nil
	}
	facts, err := w.Memory.LoadFacts()
	if err != nil {
		return err
	}
	facts.Key, facts.SeenAt, facts.ProvedAt = p.Old, w.Now().UTC(), time.Time{}
	if err := w.Memory.SaveFacts(facts); err != nil {
		return err
	}
	w.res.Outcome = Adopted
	return nil
}

// days shows a duration as people count the age of a key.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
}
