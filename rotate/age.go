package rotate

import (
	"fmt"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
)

// An age is all that decides whether a key is due.
type age struct {
	now, since time.Time // since is zero where the key was never seen before
	how        string    // what happened then
	wait       time.Time // the next try after rotations that were put back; zero for at once
	weak       string    // why it is due whatever its age
}

// ageOf is what the history of a target says. refs is its digest: a wait is for
// the same references only.
func ageOf(h state.History, key secret.Key, now time.Time, refs string) age {
	a := age{now: now, since: h.ProvedAt, how: "rotated"}
	if a.since.IsZero() {
		a.since, a.how = h.SeenAt, "first seen"
	}
	if h.Key == "" || h.Key != key.Fingerprint() {
		a.since = time.Time{}
	}
	if h.Failures > 0 && h.FailedRefs == refs && !h.FailedAt.After(now) {
		// 1 h, 2 h, … 24 h, so that cron does not restart production twice a night.
		wait := min(time.Hour<<min(h.Failures-1, 5), 24*time.Hour)
		if next := h.FailedAt.Add(wait); now.Before(next) {
			a.wait = next
		}
	}
	return a
}

// fromFuture: a clock was wrong, so that the time proves nothing.
func (a age) fromFuture() bool { return a.wait.IsZero() && a.weak == "" && a.since.After(a.now) }

// due are the rules. name is what the key is called.
func (a age) due(name string, in Intent) (Due, error) {
	switch {
	case !a.wait.IsZero():
		return Due{Waiting: true, Why: "the last rotation was rolled back; the next try is due at " + a.wait.Format("2006-01-02 15:04:05 MST")}, nil
	case a.weak != "":
		return Due{Yes: true, Why: "the key is weak: " + a.weak}, nil
	case a.fromFuture():
		return Due{Yes: true, Why: "the age of the key is not known: a clock was wrong"}, nil
	case !a.since.IsZero():
		old := a.now.Sub(a.since)
		shown := old.Round(time.Second).String()
		if days := int(old / (24 * time.Hour)); days >= 2 { // as people count
			shown = fmt.Sprintf("%d days", days)
		}
		return Due{Yes: old > in.IfOlderThan, Why: fmt.Sprintf("%s was %s %s ago", name, a.how, shown)}, nil
	case in.IfUnknown == RotateUnknown:
		return Due{Yes: true, Why: "the key was never seen before"}, nil
	case in.IfUnknown == AdoptUnknown:
		return Due{Adopt: true, Why: name + " was never seen before: its clock starts now"}, nil
	default:
		return Due{}, hint.Add(fmt.Errorf("%w: %s was never seen before", ErrUnknownAge, name), "say --if-unknown adopt or --if-unknown rotate")
	}
}
