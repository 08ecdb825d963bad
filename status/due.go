package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/doctor"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/store"
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

// Due asks of each target that was asked for whether its key is due now, or will be within some time: by
// its stores, by what blnkctl remembers and by its policy. Servers are asked one question
// each, as rotate --if-older-than asks them: one that refuses the key makes it unknown,
// one that is silent is a note.
func (a Asked) Due(ctx context.Context, soon time.Duration) (Answers, error) {
	limit := a.Limit
	targets, err := a.targets()
	if err != nil {
		return Answers{}, err
	}
	all := make([]Answer, len(targets))
	each(len(targets), func(i int) {
		t := targets[i]
		failed := func(err error) Answer {
			head, more := hint.Lines(err)
			// Whatever it was: what it means for this question is that nobody knows.
			err = hint.Detail(hint.Add(errors.New(head), "%s", t.help(err)), more...)
			return Answer{Target: t.Called(), Result: Unknown, Why: head, Notes: []string{}, err: err}
		}
		all[i] = within(ctx, limit, func(ctx context.Context) Answer {
			a, err := t.due(ctx, soon)
			if err != nil {
				return failed(err)
			}
			return a
		}, func() Answer {
			return failed(hint.Add(fmt.Errorf("not everything could be looked at within %s", limit), "--timeout gives it longer"))
		})
	})
	sum := NotDue
	for _, a := range all {
		if a.Result == IsDue || a.Result == Unknown && sum == NotDue {
			sum = a.Result
		}
	}
	return Answers{sum, all}, context.Cause(ctx)
}

// due is the Answer of one target.
func (t Target) due(ctx context.Context, soon time.Duration) (a Answer, err error) {
	f := t.Facts
	a = Answer{Target: t.Called(), Result: NotDue, Notes: []string{}}
	if all := f.Stores(ctx); t.Name == "" && len(all) > 0 {
		a.Target = all[0].Ref // as in status
	}
	if f.StateErr != nil {
		return a, f.StateErr
	}
	opened, err := f.Target(ctx)
	if err != nil && len(opened.Set) == 0 {
		return a, err
	}
	open, err := rotate.OpenOf(ctx, f.State, opened.Set)
	switch {
	case err != nil:
		return a, err
	case open != nil && open.AtWork != "":
		a.Why = "rotation " + open.Rotation + " is under way by " + open.AtWork
		return a, nil
	case open != nil:
		help := open.Help()
		if f.Stores(ctx)[0].Ref == open.Target.Stores[0] {
			help = open.Ways(t.Named)
		}
		return a, hint.Add(fmt.Errorf("rotation %s is open: %s", open.Rotation, open.Where()), "%s", help)
	}
	if err := t.agreed(ctx, opened.Set); err != nil {
		return a, err
	}
	h, err := f.History(ctx)
	if err != nil {
		return a, err
	}
	if err := t.stillLive(ctx, &a, opened.Servers); err != nil {
		return a, err
	}
	return a, t.decide(ctx, &a, t.clock(ctx, h), soon)
}

// agreed is an error where the stores do not hold one key.
func (t Target) agreed(ctx context.Context, set store.Set) error {
	all := t.Facts.Stores(ctx)
	for _, one := range all {
		if one.Err != nil && !errors.Is(one.Err, doctor.ErrWriteOnly) {
			return one.Err
		}
	}
	_, err := set.Agreed(ctx)
	switch {
	case errors.Is(err, store.ErrDrift):
		return hint.Add(err, "%s", t.command("sync"))
	case errors.Is(err, store.ErrNotFound) && hint.Of(err) == "":
		return hint.Add(err, "%s", t.fill(ctx, all[0].Key))
	}
	return err
}

// decide says whether it is due, by what is known of its age.
func (t Target) decide(ctx context.Context, a *Answer, d rotate.Due, soon time.Duration) error {
	f := t.Facts
	now, key := f.Now(), f.Stores(ctx)[0].Key
	known, err := f.State.Compromised().Has(key)
	weak := keygen.SecretKey.Weakness(key)
	a.At = d.At.UTC()
	if d.Next.After(d.At) && !d.At.IsZero() {
		a.At = d.Next.UTC()
	}
	in := screen.When(a.At, now)
	switch {
	case err != nil:
		return err
	case known:
		a.Result, a.At, a.Why = IsDue, now.UTC(), "due now: others are known to have the key"
	case d.Waiting:
		a.At, a.Why = d.Next.UTC(), "not due: the last rotation was rolled back; the next try is due "+screen.When(d.Next, now)
		if !d.Next.After(now.Add(soon)) {
			a.Result, a.Why = IsDue, "due: the last rotation was rolled back; the next try is due "+screen.When(d.Next, now)
		}
	case weak != "":
		a.Result, a.At, a.Why = IsDue, now.UTC(), "due now: the key is weak: "+weak
	case t.Policy.MaxAge == 0:
		return hint.Add(errors.New("no policy says how old the key may be"), "say it with --max-age 90d, or in blnkctl.yaml: policy: {max_age: 90d}")
	case d.Since.IsZero():
		return hint.Add(fmt.Errorf("the age of the key is not known: %s", unknownAge(d)), "the next run of rotate starts its clock: %s --if-older-than %s", t.command("rotate"), policy.Age(t.Policy.MaxAge))
	case d.Since.After(now):
		a.Result, a.At, a.Why = IsDue, now.UTC(), "due now: "+unknownAge(d)+", so that its age is not known"
	case d.Yes:
		a.Result, a.At, a.Why = IsDue, d.At.UTC(), "due since "+screen.When(d.At, now)
	case !a.At.After(now.Add(soon)):
		a.Result, a.Why = IsDue, "due "+in
	default:
		a.Why = "not due until " + in
	}
	return nil
}

// stillLive asks every server once, so that a wrong key does not go unnoticed.
func (t Target) stillLive(ctx context.Context, a *Answer, servers []*proof.Server) error {
	first := t.Facts.Stores(ctx)[0]
	verdicts, reasons := proof.Each(servers, func(_ int, s *proof.Server) (proof.Verdict, error) { return s.Once(ctx, first.Key) })
	var wrong error
	for i, s := range servers {
		one := Server{URL: s.String(), Key: verdicts[i]}
		switch verdicts[i] {
		case proof.Live:
			continue
		case proof.Unknown:
			if reasons[i] != nil {
				a.Notes = append(a.Notes, "not proved: "+strings.Split(reasons[i].Error(), "\n")[0])
			}
			continue
		case proof.Open:
			off := false
			one.Secure = &off
		}
		if wrong == nil {
			wrong = hint.Add(errors.New(one.wrong()), "%s", "see why: blnkctl status"+t.Args)
		}
	}
	return wrong
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
