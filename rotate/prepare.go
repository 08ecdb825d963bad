package rotate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// patience is how long a server may stay silent before the first effect (a rate
// limit, a restart that somebody just did) before the run gives up on it.
const patience = 2 * time.Second

// Check runs every check of a real run and changes nothing: --dry-run. Where a
// rotation is open it says what a run would meet there.
func Check(ctx context.Context, t *target.Target, in Intent, env Env) (Plan, error) {
	r, unlock, err := start(ctx, t, in, env)
	if err != nil {
		return Plan{}, err
	}
	defer unlock()
	if r.rec == nil {
		d, err := r.prepare(ctx, false)
		return d.plan, err
	}
	plan := r.plan()
	plan.Open, plan.Due.Yes = r.rec.open(), true
	if r.rec.Row != rowFinish {
		if _, err := r.inspect(ctx); err != nil {
			return plan, &EndError{State: ErrStuck, Cause: err}
		}
	}
	return plan, nil
}

// A draft is a rotation before its first effect: the plan, and its keys.
type draft struct {
	plan Plan
	next secret.Key            // zero where it is still to be made
	old  map[string]secret.Key // by the store's reference; zero where there is none
	live secret.Key            // what the servers run with; zero where not known
	late []store.Copy          // to be written, where nothing else differs
}

// prepare reads every store and checks all that can be known before the first
// effect. repair: a file that an earlier crash left torn is put right first.
func (r *run) prepare(ctx context.Context, repair bool) (draft, error) {
	d := draft{plan: r.plan(), old: map[string]secret.Key{}}
	if repair {
		if err := r.Set.Repair(ctx); err != nil {
			return d, err
		}
	}
	find := r.findDue
	if r.in.NewKey == nil {
		find = r.findDifference
	}
	err := find(ctx, &d)
	if err != nil && ctx.Err() != nil {
		err = interrupted(ctx)
	}
	return d, err
}

func (r *run) plan() Plan {
	p := Plan{Restart: r.Spec.Restart, Servers: r.Spec.Servers, Stores: r.Set.SwappersFirst().Names()}
	for _, c := range r.Copies {
		p.Copies = append(p.Copies, c.String())
	}
	return p
}

// findDue prepares the replacement of the key that all stores agree on.
func (r *run) findDue(ctx context.Context, d *draft) error {
	current, err := r.Set.Agreed(ctx)
	if err != nil {
		return err
	}
	for _, ref := range r.Set.Names() {
		d.old[ref] = current
	}
	d.live = current
	d.plan.Stores = r.Set.SwappersFirst().Names() // a store may know only now whether it swaps
	d.plan.Current, d.plan.Old = current, current.Fingerprint()
	r.report.Old = d.plan.Old
	if d.plan.Due, err = r.due(ctx, current); err != nil || !d.plan.Due.Yes {
		return err
	}
	if err := r.Set.CheckPut(ctx); err != nil {
		return err
	}
	if r.in.Compromised {
		if err := r.Set.CheckPurge(ctx); err != nil {
			return err
		}
	}
	return r.before(ctx, d, !r.in.ServerDown)
}

// before is what the stores and the caller have to say and to object, and, beside
// that, the proof that the current key is live everywhere.
func (r *run) before(ctx context.Context, d *draft, prove bool) error {
	said, err := r.Set.Remarks(ctx)
	if err != nil {
		return err
	}
	proving, cancel := context.WithCancel(ctx)
	defer cancel()
	checked := make(chan error, 1)
	if r.env.Before != nil {
		go func() {
			var err error
			d.plan.Findings, err = r.env.Before(ctx, d.live)
			if err != nil {
				cancel() // what the servers say is beside the point
			}
			checked <- err
		}()
	} else {
		checked <- nil
	}
	var unproved error
	if prove {
		unproved = r.proveLive(proving, d.live)
	}
	err = <-checked
	d.plan.Remarks = append(said, d.plan.Remarks...)
	return cause(err, unproved)
}

// cause is the first of the two that is an error.
func cause(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// proveLive asks whether a key is the live master key everywhere, and a random
// one is refused.
func (r *run) proveLive(ctx context.Context, key secret.Key) error {
	verdicts, reasons := proof.Each(r.Servers, func(_ int, s *proof.Server) (proof.Verdict, error) {
		return patiently(ctx, s, key)
	})
	for i, s := range r.Servers {
		switch v := verdicts[i]; v {
		case proof.Live:
		case proof.Open:
			return fmt.Errorf("%s: %w: it lets a random key in", s, ErrOpen)
		case proof.Mixed:
			return fmt.Errorf("%s: %w on every connection: several servers with different keys stand behind it", s, ErrNotLive)
		case proof.Rejected:
			return fmt.Errorf("%s: %w: it refuses the key of %s (%s)", s, ErrNotLive, r.Set[0], key.Name())
		default:
			return r.notProved(s, v, reasons[i])
		}
	}
	return nil
}

// patiently asks one server, more than once while it is silent.
func patiently(ctx context.Context, s *proof.Server, key secret.Key) (proof.Verdict, error) {
	deadline := time.Now().Add(patience)
	var why error
	for pause := (proof.Pause{}); ; {
		v, reason := s.Prove(ctx, key, secret.Key{})
		if v != proof.Unknown {
			return v, nil
		}
		// The first reason: the last one may only be that the time was up.
		why = cause(why, reason)
		if !pause.Wait(ctx, deadline) {
			return proof.Unknown, why
		}
	}
}

// due says whether the age of the current key is over Intent.IfOlderThan.
func (r *run) due(ctx context.Context, current secret.Key) (Due, error) {
	if r.in.IfOlderThan == 0 || r.in.Compromised {
		return Due{Yes: true, Why: "asked for"}, nil
	}
	history, err := r.State.LoadHistory()
	if err != nil {
		return Due{}, err
	}
	if next := r.nextTry(history); r.env.Now().Before(next) {
		return Due{Why: fmt.Sprintf("the last rotation was rolled back; the next try is due at %s",
			next.Format("2006-01-02 15:04:05 MST"))}, nil
	}
	if r.in.Weak != nil {
		if why := r.in.Weak(current); why != "" {
			return Due{Yes: true, Why: "the key is weak: " + why}, nil
		}
	}
	since, how := history.ProvedAt, "rotated"
	if since.IsZero() {
		since, how = history.SeenAt, "first seen"
	}
	if history.Key == "" || history.Key != current.Fingerprint() || since.IsZero() {
		if since, how = r.created(ctx), "written"; since.IsZero() {
			return r.unknownAge(current)
		}
	}
	age := r.env.Now().Sub(since)
	if age < 0 {
		r.warn("%s was %s at %s, which is in the future: that proves no age", current.Name(), how, since.Format(time.DateTime+" MST"))
		return Due{Yes: true, Why: "the age of the key is not known: a clock was wrong"}, nil
	}
	return Due{Yes: age > r.in.IfOlderThan, Why: fmt.Sprintf("%s was %s %s ago", current.Name(), how, days(age))}, nil
}

// created is since when the source of truth has held its key, where it knows.
func (r *run) created(ctx context.Context) time.Time {
	d, ok := r.Set[0].(store.Dated)
	if !ok {
		return time.Time{}
	}
	since, err := d.Created(ctx)
	if err != nil {
		r.note("the age of the key in %s is not known: %v", r.Set[0], err)
		return time.Time{}
	}
	return since
}

func (r *run) unknownAge(current secret.Key) (Due, error) {
	switch r.in.IfUnknown {
	case RotateUnknown:
		return Due{Yes: true, Why: "the key was never seen before"}, nil
	case AdoptUnknown:
		return Due{Adopt: true, Why: fmt.Sprintf("%s was never seen before: its clock starts now", current.Name())}, nil
	default:
		return Due{}, fmt.Errorf("%w: %s was never seen before", ErrUnknownAge, current.Name())
	}
}

// nextTry is how long to wait after rotations of the same target that were put
// back: 1 h, 2 h, … 24 h, so that cron does not restart production twice a night.
// The zero time where there is nothing to wait for.
func (r *run) nextTry(f state.History) time.Time {
	if f.Failures == 0 || f.FailedRefs != digest(r.Spec) || f.FailedAt.After(r.env.Now()) {
		return time.Time{}
	}
	const first, last = time.Hour, 24 * time.Hour
	wait := first
	for i := 1; i < f.Failures && wait < last; i++ {
		wait *= 2
	}
	return f.FailedAt.Add(min(wait, last))
}

// days shows a duration as people count the age of a key.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
}

// findDifference prepares a sync: it finds out what the stores hold and what the
// servers run with, where that is not the source's key.
func (r *run) findDifference(ctx context.Context, d *draft) error {
	keys := make([]secret.Key, len(r.Set))
	for i, s := range r.Set {
		key, _, err := s.Get(ctx)
		if err != nil && (i == r.in.Source || !errors.Is(err, store.ErrNotFound)) {
			return err
		}
		keys[i], d.old[s.String()] = key, key
	}
	source := r.Set[r.in.Source]
	d.next = keys[r.in.Source]
	d.plan.Stores = r.Set.SwappersFirst().Names()
	if !blnk.Sendable(d.next) {
		return fmt.Errorf("%s: its key cannot be sent to a server: %w", source, ErrNotLive)
	}
	if err := r.findLive(ctx, d, keys); err != nil {
		return err
	}
	var differing store.Set
	for i, s := range r.Set {
		if !keys[i].Equal(d.next) {
			d.plan.Differs = append(d.plan.Differs, fmt.Sprintf("%s has %s", s, keys[i].Name()))
			differing = append(differing, s)
		}
	}
	if err := differing.CheckPut(ctx); err != nil {
		return err
	}
	d.plan.Current, d.plan.Old = d.live, d.live.Fingerprint()
	if len(d.plan.Differs) == 0 {
		return r.findLate(d)
	}
	d.plan.Due = Due{Yes: true, Why: fmt.Sprintf("%s has %s", source, d.next.Name())}
	return r.before(ctx, d, false)
}

// findLive finds out which key each server runs with, and says where that is not
// the source's. A source that no server runs with, while one runs with another
// store's key, is refused unless it is trusted.
func (r *run) findLive(ctx context.Context, d *draft, keys []secret.Key) error {
	anySource, anyOther := false, false
	for _, s := range r.Servers {
		key, err := liveKey(ctx, s, append([]secret.Key{d.next}, keys...))
		if err != nil {
			return err
		}
		switch {
		case key.Equal(d.next):
			anySource = true
		case key.IsZero():
			d.plan.Differs = append(d.plan.Differs, fmt.Sprintf("%s runs with a key that no store holds", s))
		default:
			anyOther, d.live = true, key
			d.plan.Differs = append(d.plan.Differs, fmt.Sprintf("%s runs with %s", s, key.Name()))
		}
	}
	if anyOther && !anySource && !r.in.Trust {
		return fmt.Errorf("%w: %s has %s, the servers run with %s", ErrSourceNotLive,
			r.Set[r.in.Source], d.next.Name(), d.live.Name())
	}
	if anySource && len(d.plan.Differs) == 0 {
		d.live = d.next
	}
	return nil
}

// liveKey returns which of the candidates a server proves; the zero Key where it
// runs with none of them.
func liveKey(ctx context.Context, s *proof.Server, candidates []secret.Key) (secret.Key, error) {
	for i, key := range candidates {
		if !blnk.Sendable(key) || slices.ContainsFunc(candidates[:i], key.Equal) {
			continue
		}
		switch v, reason := patiently(ctx, s, key); v {
		case proof.Live:
			return key, nil
		case proof.Open:
			return secret.Key{}, fmt.Errorf("%s: %w: it lets a random key in", s, ErrOpen)
		case proof.Unknown:
			return secret.Key{}, fmt.Errorf("%s: %w: %w", s, ErrSilent, reason)
		}
	}
	return secret.Key{}, nil
}

// findLate: every store and server has the source's key. Copies that cannot be
// read may still be known to lack it.
func (r *run) findLate(d *draft) error {
	history, err := r.State.LoadHistory()
	if err != nil {
		return err
	}
	d.plan.Due.Why = fmt.Sprintf("every store and server has %s", d.next.Name())
	for _, c := range r.Copies {
		d.plan.Due.Why += fmt.Sprintf("; %s is write-only and was not compared", c)
		if slices.Contains(history.Unwritten, c.String()) {
			d.late = append(d.late, c)
			d.plan.Differs = append(d.plan.Differs, c.String()+" could not be written by an earlier run")
		}
	}
	if len(d.late) == 0 {
		return nil
	}
	d.plan.Copies, d.plan.Restart, d.plan.Servers = nil, nil, nil
	for _, c := range d.late {
		d.plan.Copies = append(d.plan.Copies, c.String())
	}
	d.plan.Due = Due{Yes: true, Why: fmt.Sprintf("%s has %s", r.Set[r.in.Source], d.next.Name())}
	return nil
}

// create ends the step of that name: a person's yes, the new key, and the journal,
// from which on a crash loses nothing.
func (r *run) create(ctx context.Context, d draft) error {
	if err := r.confirm(ctx, d.plan); err != nil {
		return err
	}
	if r.in.NewKey != nil {
		key, err := r.in.NewKey() // once, and never again for this rotation
		if err != nil {
			return fmt.Errorf("make a new key: %w", err)
		}
		d.next = key
	}
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	rec := r.newRecord(d)
	r.adopt(rec)
	r.resumed = false
	if err := r.save(); err != nil {
		// It may be there in spite of the error.
		err = errors.Join(fmt.Errorf("write the journal: %w", err), r.State.ForgetJournal())
		r.rec = nil
		r.report.Rotation, r.report.New = "", ""
		return err
	}
	if ctx.Err() != nil { // nothing has happened yet but the journal
		return errors.Join(interrupted(ctx), r.State.ForgetJournal())
	}
	return nil
}

func (r *run) confirm(ctx context.Context, p Plan) error {
	if r.env.Confirm == nil {
		return nil
	}
	asked := time.Now()
	err := r.env.Confirm(ctx, p)
	r.asked = time.Since(asked)
	return err
}

func (r *run) newRecord(d draft) *record {
	rec := &record{
		Version: journalVersion, ID: "rot_" + strings.ToLower(rand.Text()[:12]), Event: r.in.Event,
		Started: r.env.Now().UTC(), Host: r.env.Host, User: r.env.User, Reason: r.in.Reason, Target: r.Spec,
		Direction: forward, Row: rowSet, Compromised: r.in.Compromised, ServerDown: r.in.ServerDown,
		Old: map[string]string{}, Live: d.live.Reveal(), New: d.next.Reveal(), Cautions: d.plan.Cautions,
	}
	for ref, key := range d.old {
		rec.Old[ref] = key.Reveal()
	}
	return rec
}

// notDue ends a run that has nothing to do.
func (r *run) notDue(p Plan) error {
	r.report.Outcome, r.report.Due = NotDue, p.Due
	if r.in.NewKey == nil {
		r.report.Outcome = InSync
	}
	if !p.Due.Adopt {
		return nil
	}
	history, err := r.State.LoadHistory()
	if err != nil {
		return err
	}
	history.Key, history.SeenAt, history.ProvedAt = p.Old, r.env.Now().UTC(), time.Time{}
	if err := r.State.SaveHistory(history); err != nil {
		return err
	}
	r.report.Outcome = Adopted
	return nil
}
