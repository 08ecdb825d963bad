package rotate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/target"
)

// ErrNotNow: the target's policy lets no rotation run now, and nobody forces it.
var ErrNotNow = errors.New("the policy lets no rotation run now")

// A Due says whether something has to be done now, and why.
type Due struct {
	Yes bool
	Why string // for people
	// Adopt: the key was never seen before, and its clock starts now.
	Adopt bool
	// Waiting: a rotation that was put back waits for its next try.
	Waiting bool

	// Since is when the clock of the key started; zero where that is not known. It may
	// lie in the future, where a clock was wrong: then it proves no age.
	Since time.Time
	// At is when the key is, or was, due by its age, in a window of its policy; zero
	// where no age is known.
	At time.Time
	// Next is when a rotation may run at the earliest: not before the policy's window
	// opens, nor before its interval and the wait after a failure, or a rollback, are over. It is now
	// where one may run now.
	Next time.Time
}

// Err is ErrWaiting where that is so.
func (d Due) Err() error {
	if !d.Waiting {
		return nil
	}
	return hint.As(ErrWaiting, "%s", d.Why)
}

// A Clock is what is known of the age of a key.
type Clock struct {
	History state.History
	Key     secret.Key
	// Target is what it is the key of: one with other references does not wait after a
	// failure.
	Target target.Spec
	Now    time.Time
	// Written is since when its store has held the key, asked only where the history does
	// not know it; nil, or zero: nobody knows.
	Written func() time.Time
}

// Ask says whether a key is due by the Policy, Weak and IfUnknown of an intent, whatever
// IfDue says. It is an ErrUnknownAge where that is not known and IfUnknown wants no guess.
func (c Clock) Ask(in Intent) (d Due, err error) {
	since, how := c.History.Since(c.Key)
	d.Since, d.At = since, in.Policy.Next(since)
	wait, weak := c.wait(), ""
	if in.Weak != nil {
		weak = in.Weak(c.Key)
	}
	d.Next = in.Policy.Opens(slices.MaxFunc([]time.Time{c.Now, wait, c.wentBack(), c.soonest(in.Policy)}, time.Time.Compare))
	if d.Since.IsZero() && weak == "" && wait.IsZero() && c.Written != nil {
		if d.Since = c.Written(); !d.Since.IsZero() {
			how, d.At = "written", in.Policy.Next(d.Since)
		}
	}
	name := c.Key.Name()
	switch {
	case !wait.IsZero():
		return c.waiting(d), nil
	case weak != "":
		d.Yes, d.Why = true, "the key is weak: "+weak
	case d.Since.After(c.Now):
		d.Yes, d.Why, d.At = true, "the age of the key is not known: a clock was wrong", time.Time{}
	case !d.Since.IsZero():
		d.Yes = in.Policy.MaxAge > 0 && c.Now.Sub(d.Since) > in.Policy.MaxAge
		d.Why = fmt.Sprintf("%s was %s %s", name, how, screen.Ago(d.Since, c.Now))
		if !d.Yes && !d.At.IsZero() {
			d.Why += "; due " + screen.When(d.At, c.Now)
		}
	case in.IfUnknown == RotateUnknown:
		d.Yes, d.Why = true, "the key was never seen before"
	case in.IfUnknown == AdoptUnknown:
		d.Adopt, d.Why = true, name+" was never seen before: its clock starts now"
	default:
		return d, hint.Add(fmt.Errorf("%w: %s was never seen before", ErrUnknownAge, name), "say --if-unknown adopt or --if-unknown rotate")
	}
	switch held := d.Yes && d.Next.After(c.Now); {
	case held && (c.failed() || !c.wentBack().IsZero()): // it goes on waiting where the window closed meanwhile
		return c.waiting(d), nil
	case held:
		d.Yes, d.Why = false, d.Why+"; the policy lets a rotation run from "+screen.At(d.Next)+" on"
	}
	return d, nil
}

func (c Clock) waiting(d Due) Due {
	d.Yes, d.Waiting, d.Why = false, true, "the last rotation was rolled back; the next try is due at "+screen.At(d.Next)
	return d
}

// failed says whether the last rotation of the same references was put back.
func (c Clock) failed() bool {
	h := c.History
	return h.Failures > 0 && h.FailedRefs == digest(c.Target) && !h.FailedAt.After(c.Now)
}

// wait is when a failed rotation is tried again, by itself; zero for at once.
func (c Clock) wait() time.Time {
	h := c.History
	if !c.failed() {
		return time.Time{}
	}
	// 1 h, 2 h, … 24 h, so that cron does not restart production twice a night.
	if next := h.FailedAt.Add(min(time.Hour<<min(h.Failures-1, 5), 24*time.Hour)); c.Now.Before(next) {
		return next
	}
	return time.Time{}
}

// wentBack is until when a key that a person went back to is left alone, where it is due:
// what was wrong with the newer one is to be found first. Zero where nobody did.
func (c Clock) wentBack() time.Time {
	h := c.History
	if until := h.RolledBackAt.Add(heldBack); !h.RolledBackAt.After(c.Now) && c.Now.Before(until) && h.Of(c.Key) {
		return until
	}
	return time.Time{}
}

// soonest is when the interval after the last proved rotation is over, whichever key it
// was; a time from the future proves none.
func (c Clock) soonest(p policy.Policy) time.Time {
	if c.History.ProvedAt.IsZero() || c.History.ProvedAt.After(c.Now) {
		return time.Time{}
	}
	return c.History.ProvedAt.Add(p.MinInterval)
}

// refuse is an error where the policy lets no rotation run now that a person asked for.
func (c Clock) refuse(in Intent, named string) (err error) {
	p := in.Policy
	if at := c.soonest(p); at.After(c.Now) {
		err = fmt.Errorf("%w: the last one was proved %s, and min_interval is %s", ErrNotNow, screen.Ago(c.History.ProvedAt, c.Now), policy.Age(p.MinInterval))
	} else if at := p.Opens(c.Now); at.After(c.Now) {
		err = fmt.Errorf("%w: its window opens %s", ErrNotNow, screen.At(at))
	}
	return hint.Add(err, "--force rotates all the same: blnkctl rotate --force%s", named)
}
