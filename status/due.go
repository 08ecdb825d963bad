package status

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
)

// An Answer says whether the key of a target is due. It is a document as it stands; its
// times are UTC.
type Answer struct {
	Target string `json:"target"` // as Called
	// Result is one of: due, not_due, unknown.
	Result string `json:"result"`
	// At is when a rotation is to run: it was, or will be, due by the policy, and a window
	// is open; absent where that is not known.
	At    time.Time `json:"at,omitzero"`
	Why   string    `json:"why"`   // for people
	Notes []string  `json:"notes"` // of servers that do not answer, which is no fault yet

	err error // of unknown
}

// Answers are those for some targets.
type Answers struct {
	Result  string   `json:"result"` // due where one of them is, else unknown where one is
	Targets []Answer `json:"targets"`
}

// The results of an Answer.
const (
	IsDue   = "due"
	NotDue  = "not_due"
	Unknown = "unknown"
)

// Due asks of each target that was asked for whether its key is due now, or will be within
// some time, of a look like that of status. What hides the answer makes it unknown; a
// server that is silent is a note, as to rotate --if-older-than.
func (a Asked) Due(ctx context.Context, soon time.Duration) (Answers, error) {
	targets, err := a.targets()
	if err != nil {
		return Answers{}, err
	}
	sum := Answers{Result: NotDue}
	for _, t := range targets {
		t.Facts.Agreeing = 1 // as rotate --if-older-than asks
	}
	for _, s := range look(ctx, targets, a.Limit, false).Targets {
		one := s.answer(soon)
		if one.Result == IsDue || one.Result == Unknown && sum.Result == NotDue {
			sum.Result = one.Result
		}
		sum.Targets = append(sum.Targets, one)
	}
	return sum, context.Cause(ctx)
}

// answer is what a standing says of the key, now and some time from now.
func (s Standing) answer(soon time.Duration) Answer {
	a, k := Answer{Target: s.Target, Result: NotDue, Notes: []string{}}, s.Key
	if s.Open != nil && s.Open.AtWork != "" {
		a.Why = "rotation " + s.Open.Rotation + " is under way by " + s.Open.AtWork
		return a
	}
	for _, p := range s.Problems {
		switch {
		case s.serverOf(p).silent():
			a.Notes = append(a.Notes, "not proved: "+p.Text)
		case p.Kind == "age_unknown" && k.Since.IsZero(), !slices.Contains([]string{"weak", "compromised", "overdue", "age_unknown"}, p.Kind):
			return a.unknown(p)
		}
	}
	due := func(at time.Time, why string) { a.Result, a.At, a.Why = IsDue, at.UTC(), why }
	if a.At = k.NextDue; k.NextRun.After(a.At) && !a.At.IsZero() {
		a.At = k.NextRun
	}
	in := screen.When(a.At, s.now)
	switch {
	case s.has("compromised"):
		due(s.now, "due now: others are known to have the key")
	case k.Waiting:
		next := "the last rotation was rolled back; the next try is due " + screen.When(k.NextRun, s.now)
		if a.At, a.Why = k.NextRun, "not due: "+next; !k.NextRun.After(s.now.Add(soon)) {
			due(k.NextRun, "due: "+next)
		}
	case s.has("weak"):
		due(s.now, "due now: "+k.Why)
	case k.MaxAge == 0:
		return a.unknown(Problem{Text: "no policy says how old the key may be", Help: "say it with --max-age 90d, or in blnkctl.yaml: policy: {max_age: 90d}"})
	case k.Since.After(s.now):
		due(s.now, "due now: a clock was wrong, so that its age is not known")
	case k.Due:
		due(k.NextDue, "due since "+screen.When(k.NextDue, s.now))
	case !a.At.After(s.now.Add(soon)):
		due(a.At, "due "+in)
	default:
		a.Why = "not due until " + in
	}
	return a
}

// unknown is the answer where a problem is in the way of one.
func (a Answer) unknown(p Problem) Answer {
	a.Result, a.At, a.Why, a.err = Unknown, time.Time{}, p.Text, hint.Add(errors.New(p.Text), "%s", p.Help)
	return a
}

// Errors that a caller takes a decision on.
var (
	ErrNotDue  = errors.New("not due")
	ErrUnknown = errors.New("whether it is due is not known")
)

// Err is nil where one is due, ErrUnknown where it is not known of one, else ErrNotDue.
func (a Answers) Err() (err error) {
	if a.Result == IsDue {
		return nil
	}
	for _, one := range a.Targets {
		switch {
		case one.err == nil:
		case len(a.Targets) > 1:
			err = hint.As(ErrUnknown, "%s: %w", one.Target, one.err)
		default:
			err = hint.As(ErrUnknown, "%w", one.err)
		}
	}
	return cmp.Or(err, ErrNotDue)
}

// Warnings are what is wrong besides Err.
func (a Answers) Warnings() (all []string) {
	for i, one := range a.Targets {
		all = append(all, one.Notes...)
		if one.err != nil && (a.Result == IsDue || slices.ContainsFunc(a.Targets[i+1:], func(o Answer) bool { return o.err != nil })) {
			all = append(all, one.Target+": "+one.Why)
		}
	}
	return all
}

// Text is the answers for people, a line each, but for those that are not known.
func (a Answers) Text(look screen.Look) string {
	var b strings.Builder
	for _, one := range a.Targets {
		if one.err != nil {
			continue
		}
		if len(a.Targets) > 1 {
			b.WriteString(one.Target + ": ")
		}
		b.WriteString(one.Why + "\n")
	}
	return look.Fold(screen.Clean(b.String()))
}
