package rotate

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// Check runs every check of a real run and changes nothing: --dry-run. Where a
// rotation is open it says what a run would meet there.
func Check(ctx context.Context, t *target.Target, in Intent, env Env) (Plan, error) {
	r, unlock, err := start(ctx, t, in, env)
	if err != nil {
		return Plan{}, err
	}
	defer unlock()
	p, err := r.checkPlan(ctx)
	if left := r.env.AtWork(); left != "" && err == nil {
		p.Cautions = append(p.Cautions, fmt.Sprintf("a restart command that an earlier run left is still at work, and is waited for first, at most %s: %s", r.RestartTimeout, left))
	}
	return p, err
}

func (r *run) checkPlan(ctx context.Context) (Plan, error) {
	if r.rec == nil {
		p, err := r.prepare(ctx, false)
		if err == nil {
			r.findReceivers(ctx, &p)
		}
		return p, r.advised(ctx, err)
	}
	p := r.plan()
	p.Open, p.Due.Yes = r.rec.open(), true
	p.Due.Why, p.named = p.Open.Where(), r.env.Named
	if r.rec.Row != rowFinish {
		if _, err := r.inspect(ctx); err != nil {
			end := r.end(ErrStuck, err)
			r.situation(ctx, end)
			return p, end
		}
	}
	return p, nil
}

func (r *run) plan() Plan {
	p := Plan{
		Restart: r.Spec.Restart, Servers: r.Spec.Servers, Stores: r.Set.SwappersFirst().Names(),
		in: r.in, workersProved: r.WorkersProved,
	}
	for _, c := range r.Copies {
		p.Copies = append(p.Copies, c.String())
	}
	return p
}

// prepare reads every store and checks all that can be known before the first
// effect. repair: a file that an earlier crash left torn is put right first.
func (r *run) prepare(ctx context.Context, repair bool) (p Plan, err error) {
	p = r.plan()
	if repair {
		err = r.Places().Repair(ctx)
	}
	if err == nil {
		find := r.findDue
		switch {
		case r.in.Event == Rollback:
			find = r.findPrevious
		case r.in.Event == Sync:
			find = r.findDifference
		case r.in.Event == Init:
			find = r.findInsecure
		}
		p.old, p.absent = map[string]secret.Key{}, map[string]string{}
		err = find(ctx, &p)
		p.Stores = r.Set.SwappersFirst().Names() // a store may know only now whether it swaps
		p.Old = p.Current.Fingerprint()
		r.report.Old = p.Old
	}
	if err == nil && p.Due.Yes {
		written := slices.DeleteFunc(r.Places(), func(s store.Store) bool { return !p.wants(s).IsZero() && p.wants(s).Equal(p.old[s.String()]) })
		err = written.CheckPut(ctx)
		if err == nil && r.in.Compromised && r.in.Event == Rotate {
			err = r.Set.CheckPurge(ctx)
		}
	}
	if err == nil && (p.Due.Yes || p.Due.Adopt) { // the clock starts for a key that is proved, and that a rotation could replace
		err = r.before(ctx, &p)
	}
	if err != nil && ctx.Err() != nil {
		err = interrupted(ctx)
	}
	return p, err
}

// wants is what a place is to hold; zero where that is still to be made.
func (p *Plan) wants(s store.Store) secret.Key {
	if value, setting := p.in.Values[s.String()]; setting {
		return value
	}
	return p.next
}

// findCurrent finds the key that all stores agree on.
func (r *run) findCurrent(ctx context.Context, p *Plan) error {
	current, err := r.Set.Agreed(ctx)
	if err != nil {
		return err
	}
	for _, ref := range r.Set.Names() {
		p.old[ref] = current
	}
	p.Current = current
	return r.beware(p, current)
}

// findDue prepares the replacement of the key that all stores agree on.
func (r *run) findDue(ctx context.Context, p *Plan) error {
	err := r.findCurrent(ctx, p)
	if err == nil {
		p.Due, err = r.due(ctx, p.Current)
	}
	if err == nil && !p.Due.Yes && !p.Due.Adopt && !p.Due.Waiting {
		err = r.stillLive(ctx, p.Current)
	}
	return err
}

// before is what the stores and the caller have to say and to object, and, beside
// that, the proof that the current key is live everywhere.
func (r *run) before(ctx context.Context, p *Plan) (err error) {
	for _, text := range slices.Concat(r.Spec.Stores, r.Spec.Restart, []string{r.Spec.Dir, r.Spec.CACert}) {
		if !utf8.ValidString(text) {
			return target.Refuse("go by another name: a link to it will do", "%q is not valid UTF-8, so that the journal could not keep it", text)
		}
	}
	for _, s := range r.Places() {
		if !utf8.ValidString(p.old[s.String()].Reveal()) { // nor could the journal, which is JSON, keep it
			return hint.Add(fmt.Errorf("%s: its key is not valid UTF-8, so that it could not be put back", s),
				"replace it there: blnkctl keygen --force%s; then restart the server and its workers", r.env.Stores)
		}
	}
	var said []string
	if p.Due.Yes {
		if said, err = r.Places().Remarks(ctx); err != nil {
			return err
		}
	}
	r.env.Keys(p.Current, p.next)
	proving, cancel := context.WithCancel(ctx)
	defer cancel()
	var beside sync.WaitGroup
	var found Findings
	beside.Go(func() {
		if found, err = r.check(ctx, p.Current); err != nil {
			cancel() // what the servers say is beside the point
		}
	})
	var unproved error
	switch {
	case p.Due.Adopt || r.in.Event != Sync && r.proves() && !p.WasOpen && !r.in.ServerDown:
		unproved = r.proveLive(proving, p.Current)
	case r.in.ServerDown:
		unproved = r.notOpen(proving, p.Current)
	}
	beside.Wait()
	p.Remarks = slices.Concat(p.Remarks, said, found.Remarks)
	p.Cautions, p.Holders = append(p.Cautions, found.Cautions...), found.Holders
	return cmp.Or(err, unproved)
}

// check asks whether everything could work that a rotation needs besides its stores
// and servers.
func (r *run) check(ctx context.Context, current secret.Key) (found Findings, err error) {
	remarks, err := r.CheckDrivers(ctx, r.in.ServerDown)
	for _, c := range r.Copies {
		if err == nil {
			err = c.Check(ctx)
		}
	}
	if err == nil {
		err = cmp.Or(r.State.Check(), r.env.Recorder.Check())
	}
	if err == nil && r.env.Before != nil && (r.proves() || r.in.Event == Init) {
		found, err = r.env.Before(ctx, current)
	}
	found.Remarks = append(remarks, found.Remarks...)
	return found, err
}

// due says whether the current key is to be replaced now.
func (r *run) due(ctx context.Context, current secret.Key) (d Due, err error) {
	asked := Due{Yes: true, Why: "asked for"}
	if r.in.Compromised || r.in.Force {
		return asked, nil
	}
	known := Clock{Key: current, Target: r.Spec, Now: r.env.Now(), Written: func() time.Time { return r.created(ctx) }}
	if r.in.IfDue || r.in.Policy.MinInterval > 0 {
		if known.History, err = r.State.LoadHistory(); err != nil {
			return d, err
		}
	}
	if !r.in.IfDue {
		return asked, known.refuse(r.in, r.env.Named)
	}
	d, err = known.Ask(r.in)
	if d.Since.After(known.Now) && !d.Waiting {
		r.warn("the clock of %s started at %s, which is in the future: that proves no age", current.Name(), screen.At(d.Since))
	}
	return d, err
}

// created is since when the source of truth has held its key, where it knows.
func (r *run) created(ctx context.Context) (since time.Time) {
	if d, ok := r.Set[0].(store.Dated); ok {
		var err error
		if since, err = d.Created(ctx); err != nil {
			r.note("the age of the key in %s is not known: %v", r.Set[0], err)
			return time.Time{}
		}
	}
	return since
}

// findDifference prepares a sync: it finds out what the stores hold and what the
// servers run with, where that is not the source's key.
func (r *run) findDifference(ctx context.Context, p *Plan) error {
	source := r.Set[r.in.Source]
	keys, err := r.Set.Keys(ctx)
	if err == nil && keys[r.in.Source].IsZero() {
		_, _, err = source.Get(ctx) // its words
	}
	if err != nil {
		return err
	}
	p.next = keys[r.in.Source]
	if !blnk.Sendable(p.next) {
		return hint.Add(fmt.Errorf("%s: its key cannot be sent to a server: %w", source, ErrNotLive), putLive)
	}
	if err := r.env.refuse(p.next); errors.Is(err, ErrCompromised) {
		return hint.Add(fmt.Errorf("%s has %w", source, err),
			"name a store with another key with --from; where there is none: blnkctl rotate --compromised%s", r.env.Named)
	} else if err != nil {
		return err
	}
	if err := r.findLive(ctx, p, keys); err != nil {
		return err
	}
	if err := r.beware(p, append(keys, p.Current)...); err != nil {
		return err
	}
	for i, s := range r.Set {
		p.old[s.String()] = keys[i]
		if !keys[i].Equal(p.next) {
			p.Differs = append(p.Differs, fmt.Sprintf("%s has %s", s, keys[i].Name()))
		}
	}
	if len(p.Differs) == 0 {
		return r.findLate(p)
	}
	p.Due = Due{Yes: true, Why: fmt.Sprintf("%s has %s", source, p.next.Name())}
	return nil
}

// findLive finds out which key each server runs with, and says where that is not
// the source's. A source that no server runs with, while one runs with another
// store's key, is refused unless it is trusted.
func (r *run) findLive(ctx context.Context, p *Plan, keys []secret.Key) error {
	anySource, anyOther := false, false
	for _, s := range r.Servers {
		key, err := r.liveKey(ctx, s, append([]secret.Key{p.next}, keys...))
		if err != nil {
			return err
		}
		switch {
		case key.Equal(p.next):
			anySource = true
		case key.IsZero():
			p.Differs = append(p.Differs, fmt.Sprintf("%s runs with a key that no store holds", s))
		default:
			anyOther, p.Current = true, key
			p.Differs = append(p.Differs, fmt.Sprintf("%s runs with %s", s, key.Name()))
		}
	}
	if anyOther && !anySource && !r.in.Trust {
		return hint.Add(fmt.Errorf("%w: %s has %s, the servers run with %s", ErrSourceNotLive,
			r.Set[r.in.Source], p.next.Name(), p.Current.Name()),
			"find out which one is right (blnkctl verify%s%s), and name it with --from", r.env.Stores, hint.Flags("--server", r.Spec.Servers))
	}
	if anySource && len(p.Differs) == 0 {
		p.Current = p.next
	}
	return nil
}

// liveKey returns which of the candidates a server proves; the zero Key where it
// runs with none of them.
func (r *run) liveKey(ctx context.Context, s *proof.Server, candidates []secret.Key) (secret.Key, error) {
	for i, key := range candidates {
		if !blnk.Sendable(key) || slices.ContainsFunc(candidates[:i], key.Equal) {
			continue
		}
		switch v, reason := r.patiently(ctx, s, key); v {
		case proof.Live:
			return key, nil
		case proof.Open, proof.Unknown:
			return secret.Key{}, r.notLive(s, v, reason, "")
		}
	}
	return secret.Key{}, nil
}

// findLate: every store and server has the source's key. Copies that cannot be read may
// still be known to lack it: then there is nothing to restart or to prove.
func (r *run) findLate(p *Plan) error {
	history, err := r.State.LoadHistory()
	if err != nil {
		return err
	}
	p.Due.Why = fmt.Sprintf("every store and server has %s", p.next.Name())
	behind := *r.Target
	behind.Copies, behind.Drivers, behind.Spec.Restart, behind.Servers, behind.Spec.Servers = nil, nil, nil, nil, nil
	for _, c := range r.Copies {
		p.Due.Why += fmt.Sprintf("; %s is write-only and was not compared", c)
		if slices.Contains(history.Unwritten, c.String()) {
			behind.Copies = append(behind.Copies, c)
			p.Differs = append(p.Differs, c.String()+" could not be written by an earlier run")
		}
	}
	if len(behind.Copies) > 0 {
		r.Target, r.unused = &behind, r.Spec.Restart
		p.Current, p.Restart, p.Servers, p.Copies = p.next, nil, nil, r.plan().Copies
		p.Due = Due{Yes: true, Why: fmt.Sprintf("%s has %s", r.Set[r.in.Source], p.next.Name())}
	}
	return nil
}

// create ends the step of that name: the new key, and the journal, from which on a crash
// loses nothing.
func (r *run) create(ctx context.Context, p Plan) error {
	if r.env.Prepare != nil {
		if err := r.env.Prepare(ctx); err != nil {
			return err
		}
	}
	if p.next.IsZero() {
		var err error
		if p.next, err = r.in.NewKey(); err != nil { // once, and never again for this rotation
			return fmt.Errorf("make a new key: %w", err)
		}
	}
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	r.adopt(r.newRecord(p))
	if r.rec.Compromised && r.rec.Event != Sync {
		if err := r.markCompromised(p.Current); err != nil {
			r.rec, r.report.Rotation, r.report.New = nil, "", ""
			return err
		}
	}
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
	r.findReceivers(ctx, &p)
	r.report.planned, r.report.receivers = true, p.Receivers
	return r.env.Confirm(ctx, p)
}

// findReceivers asks who gets webhooks, for a plan that is to be shown.
func (r *run) findReceivers(ctx context.Context, p *Plan) {
	if r.env.Receivers != nil && p.Due.Yes {
		p.Receivers = r.env.Receivers(ctx, p.Current)
	}
}

func (r *run) newRecord(p Plan) *record {
	rec := &record{
		Version: journalVersion,
		Open: Open{
			Rotation: "rot_" + strings.ToLower(rand.Text()[:12]), Event: r.in.Event, Reason: r.in.Reason, Target: r.Spec, Started: r.env.Now().UTC(),
			Host: r.env.Who.Host, User: r.env.Who.User, Row: rowSet, Compromised: r.in.Compromised,
		},
		Direction: forward, ServerDown: r.in.ServerDown, Keep: r.in.Policy.Keep(), NextProved: p.back.ProvedAt, NextSeen: p.back.SeenAt,
		Old: map[string]string{}, Live: p.Current.Reveal(), New: p.next.Reveal(), Cautions: p.Cautions, Holders: p.Holders,
		WasOpen: p.WasOpen, Values: map[string]string{}, Absent: p.absent,
	}
	for ref, value := range r.in.Values {
		rec.Values[ref] = value.Reveal()
	}
	for ref, key := range p.old {
		rec.Old[ref] = key.Reveal()
	}
	return rec
}

// notDue ends a run that has nothing to do.
func (r *run) notDue(ctx context.Context, p Plan) error {
	r.report.Outcome, r.report.Due = events[r.in.Event].idle, p.Due
	if !p.Due.Adopt {
		return nil
	}
	history, err := r.State.LoadHistory()
	if err != nil {
		return err
	}
	if !history.Of(p.Current) { // of another key, it says nothing of the way back
		history.RolledBackAt, history.RetiredAt = time.Time{}, time.Time{}
	}
	history.Key, history.SeenAt, history.ProvedAt = state.Mark(p.Current), r.env.Now().UTC(), time.Time{}
	if err := r.State.SaveHistory(history); err != nil {
		return err
	}
	r.report.Outcome = Adopted
	r.record(ctx, Adopted, nil)
	return nil
}
