package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// A run is one process that works on a rotation: its target, what it is for,
// the journal's record, and what happened so far.
type run struct {
	*target.Target
	in      Intent
	env     Env
	rec     *record // nil: no rotation is open
	report  Report
	resumed bool // the journal was there when the run began
	saved   bool // the journal holds rec as it is now
	// wrote: a store may hold, or have held, a key that this run wrote.
	wrote bool
	asked time.Duration // how long a person took to answer
	// stuck collects what keeps an undo from being complete; the run goes on
	// and says it in the end.
	stuck []string
	// unproved is the restart error of an undo that went on all the same.
	unproved error
}

// Run finishes an open rotation and stops, or makes a new one from its first step
// to its last. An error that is no *EndError means that nothing was changed.
func Run(ctx context.Context, t *target.Target, in Intent, env Env) (Report, error) {
	r, unlock, err := start(ctx, t, in, env)
	if err != nil {
		return Report{Outcome: Refused}, err
	}
	defer unlock()
	if r.rec != nil {
		err = r.resume(ctx)
	} else {
		err = r.begin(ctx)
	}
	return r.report, err
}

// start takes the lock and reads the journal.
func start(ctx context.Context, t *target.Target, in Intent, env Env) (*run, func(), error) {
	unlock, err := env.Lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	r := &run{Target: t, in: in, env: env}
	if err := r.load(); err != nil {
		unlock()
		return nil, nil, err
	}
	return r, unlock, nil
}

// begin is step "create", and then all the others.
func (r *run) begin(ctx context.Context) error {
	started := r.started(rowCreate)
	d, err := r.prepare(ctx, true)
	switch {
	case err == nil && len(d.late) > 0:
		r.ended(rowCreate, started, nil)
		return r.writeLate(ctx, d)
	case err == nil && !d.plan.Due.Yes:
		r.ended(rowCreate, started, nil)
		return r.notDue(d.plan)
	case err == nil:
		err = r.create(ctx, d)
	}
	r.ended(rowCreate, started, err)
	if err != nil {
		return r.refuse(ctx, err)
	}
	return r.forward(ctx, rowSet)
}

// A step is a row of the table: a name that the journal knows, and its deed.
// Every deed looks before it acts, so that it may be done again.
type step struct {
	row string
	do  func(*run, context.Context) error
}

// steps are the story after "create"; undoing, only the first differs.
func steps(direction string) []step {
	set := (*run).set
	if direction == undo {
		set = (*run).unset
	}
	return []step{{rowSet, set}, {rowRestart, (*run).restart}, {rowTest, (*run).test}, {rowFinish, (*run).finish}}
}

// forward walks the way forward; where a step fails, everything is put back.
func (r *run) forward(ctx context.Context, from string) error {
	err := r.walk(ctx, from)
	if _, ended := errors.AsType[*EndError](err); err == nil || ended {
		return err
	}
	return r.turn(ctx, err)
}

// walk does the steps of the journal's direction, starting at a row.
func (r *run) walk(ctx context.Context, from string) error {
	all := steps(r.rec.Direction)
	first := slices.IndexFunc(all, func(s step) bool { return s.row == from })
	for _, s := range all[first:] {
		if err := r.enter(s.row); err != nil {
			return err
		}
		started, stuck := r.started(s.row), len(r.stuck)
		err := s.do(r, ctx)
		if err == nil && s.row != rowTest && s.row != rowFinish && ctx.Err() != nil {
			err = interrupted(ctx)
		}
		shown := err
		if err == nil && len(r.stuck) > stuck { // the others go on, and this did not go well
			shown = errors.New(r.stuck[stuck])
		}
		r.ended(s.row, started, shown)
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) change() *store.Change {
	return &store.Change{Set: r.Set, Old: r.rec.old, New: r.rec.next()}
}

// set puts the new key into every store, and reads it back.
func (r *run) set(ctx context.Context) error {
	c := r.change()
	err := c.Put(ctx)
	r.wrote = r.wrote || c.Wrote
	if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
		return interrupted(ctx)
	}
	if err == nil {
		r.rec.Unwritten = r.writeCopies(ctx, r.Copies, r.rec.next())
	}
	return err
}

// unset puts the old key back into every store that holds the new one. A store
// that cannot be put back, or holds something else, is reported; the others go on.
func (r *run) unset(ctx context.Context) error {
	for _, err := range r.change().PutBack(ctx) {
		if errors.Is(err, store.ErrKept) {
			r.warn("%v", err)
		} else {
			r.stuck = append(r.stuck, err.Error())
		}
	}
	r.rec.Unwritten = r.writeCopies(ctx, r.Copies, r.rec.live())
	return nil
}

// restart lets the drivers finish whatever signal comes: a restart cut in half
// is worse than one too many. In an undo its failure is remembered, and
// the proof decides.
func (r *run) restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), r.RestartTimeout,
		fmt.Errorf("not done within %s", r.RestartTimeout))
	defer cancel()
	var look func(context.Context, secret.Key) error
	if r.env.Observe != nil {
		look = r.env.Observe(ctx)
	}
	for _, d := range r.Drivers {
		if err := d.Restart(ctx); err != nil {
			if err = r.restartFailed(ctx, fmt.Errorf("restart with '%s': %w", d, err)); err != nil {
				return err
			}
		}
	}
	if err := r.kept(ctx); err != nil {
		return err
	}
	if look == nil || r.unproved != nil {
		return nil
	}
	if err := look(ctx, r.rec.want()); err != nil {
		return r.restartFailed(ctx, err)
	}
	return nil
}

func (r *run) restartFailed(ctx context.Context, err error) error {
	if errors.Is(err, ErrAtWork) {
		// It may start a server with either key at any time, so no proof would
		// last.
		return r.getStuck(ctx, err)
	}
	if !r.undoing() {
		return err
	}
	r.note("%v; the proof decides", err)
	r.unproved = err
	return nil
}

// test proves the wanted key on every server, and that the stores still hold it.
func (r *run) test(ctx context.Context) error {
	if wanted, _ := r.names(); !blnk.Sendable(r.rec.want()) {
		return fmt.Errorf("the %s key is not known, or cannot be sent: nothing to prove", wanted)
	}
	verdicts, err := r.await(ctx)
	r.reportServers(verdicts)
	if err != nil {
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		return err
	}
	r.warnAbout(verdicts)
	if r.undoing() {
		if len(r.stuck) > 0 {
			return errors.New("the old key is live again, but not every store holds it")
		}
	}
	return r.kept(ctx)
}

// kept fails the way forward where a store does not hold the new key any more: a
// start may write a configuration anew from its template.
func (r *run) kept(ctx context.Context) error {
	if r.undoing() {
		return nil
	}
	for _, s := range r.Set {
		key, _, err := s.Get(context.WithoutCancel(ctx))
		if err != nil {
			return fmt.Errorf("read %s after the restart: %w", s, err)
		}
		if !key.Equal(r.rec.next()) {
			return hint.Add(fmt.Errorf("%s: %w during the restart: it holds %s", s, store.ErrConflict, key.Name()),
				"find what writes it at a start (a template, a configuration manager), and let that have the key from one of the stores")
		}
	}
	return nil
}

// await asks all servers until every one of them proves the wanted key, one of
// them proves that waiting is useless, or the time is up. The error says which
// server failed, and how.
func (r *run) await(ctx context.Context) ([]proof.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	verdicts, reasons := make([]proof.Verdict, len(r.Servers)), make([]error, len(r.Servers))
	for pause := (proof.Pause{}); ; {
		now, why := proof.Each(r.Servers, func(i int, s *proof.Server) (proof.Verdict, error) {
			if verdicts[i].Proves() {
				return verdicts[i], nil
			}
			return s.Prove(ctx, r.rec.want(), r.rec.other())
		})
		var failed error
		useless := false
		for i, s := range r.Servers {
			// What a server said before it fell silent at the deadline tells more
			// than the deadline.
			if now[i] != proof.Unknown || ctx.Err() == nil {
				if now[i] == proof.OtherLive && verdicts[i] == proof.Mixed {
					now[i] = proof.Mixed // which of several servers is met first is chance
				}
				r.noteVerdict(s, verdicts[i], now[i])
				verdicts[i], reasons[i] = now[i], why[i]
			}
			if verdicts[i].Proves() {
				continue
			}
			if hopeless := r.hopeless(verdicts[i]); failed == nil || hopeless && !useless {
				failed, useless = r.notProved(s, verdicts[i], reasons[i]), hopeless
			}
		}
		if failed == nil || useless || !pause.Wait(ctx, deadline) {
			return verdicts, failed
		}
	}
}

// hopeless says whether waiting cannot help. A server that is still the one from
// before takes neither key where its own was lost.
func (r *run) hopeless(v proof.Verdict) bool {
	return v == proof.Open || v == proof.Rejected && !(r.rec.ServerDown && !r.undoing())
}

// notProved phrases what a server lacks.
func (r *run) notProved(s *proof.Server, v proof.Verdict, reason error) error {
	wanted, other := r.names()
	switch v {
	case proof.Open:
		return fmt.Errorf("%s lets a random key in: %w", s, ErrOpen)
	case proof.Rejected:
		return fmt.Errorf("%s refuses both the %s key and the %s one: %w", s, wanted, other, ErrElsewhere)
	case proof.OtherLive:
		return fmt.Errorf("%s still takes the %s key and refuses the %s one: %w", s, other, wanted, ErrStale)
	case proof.Mixed:
		return fmt.Errorf("%s answers differently from one connection to the next: several servers with different keys stand behind it", s)
	default:
		if reason == nil {
			return fmt.Errorf("%s: %w in time", s, ErrSilent)
		}
		return fmt.Errorf("%w: %w", ErrSilent, reason)
	}
}

// names are what the key of this direction's end is called, and the one that it
// replaces.
func (r *run) names() (wanted, other string) {
	if r.undoing() {
		return "old", "new"
	}
	return "new", "old"
}

// noteVerdict says a change that a person who waits would like to know.
func (r *run) noteVerdict(s *proof.Server, before, now proof.Verdict) {
	_, other := r.names()
	switch {
	case before == now:
	case now == proof.Mixed:
		r.rec.Mixed = append(r.rec.Mixed, s.String()) // the next save keeps it
		r.note("%s answers differently from one connection to the next", s)
	case now == proof.OtherLive:
		r.note("%s still takes the %s key", s, other)
	}
}

// reportServers says what each server accepted in the end.
func (r *run) reportServers(verdicts []proof.Verdict) {
	r.report.Servers = nil
	wanted, other := r.names()
	live := map[proof.Verdict]string{
		proof.Live: wanted, proof.OtherScoped: wanted, proof.OtherLive: other,
		proof.Mixed: "mixed", proof.Rejected: "other", proof.Open: "open",
	}
	for i, s := range r.Servers {
		v := verdicts[i]
		r.report.Servers = append(r.report.Servers, ServerState{
			URL: s.String(), Live: cmp.Or(live[v], "down"), Sampled: s.Sampled() && v.Proves(),
			OldScoped: v == proof.OtherScoped && !r.undoing(),
		})
	}
}

// warnAbout says what a proof leaves open.
func (r *run) warnAbout(verdicts []proof.Verdict) {
	for i, s := range r.Servers {
		switch {
		case verdicts[i] == proof.OtherScoped && !r.undoing():
			r.incomplete("%s still lets the old key in, as a scoped API key: delete that API key", s)
		case verdicts[i] == proof.OtherScoped:
			r.warn("%s lets the discarded new key in as a scoped API key", s)
		}
		if s.Sampled() {
			r.warn("%s was sampled with %d connections: if it is a balancer, give one --server per replica", s, s.Agreeing())
		}
	}
	if r.unproved != nil {
		r.warn("workers not proved: %v", r.unproved)
	} else if !r.WorkersProved {
		r.warn("workers not proved: nothing here restarted them; one that was not restarted signs webhooks with the other key")
	}
	switch old := r.rec.live(); {
	case r.undoing() || blnk.Sendable(old):
	case old.IsZero():
		r.warn("the key that was in force before is not known: nobody asked whether it is refused now")
	default:
		r.note("the old key cannot be sent in a header, so it was not asked for")
	}
}

// started and ended are the progress and the measure of a step.
func (r *run) started(row string) time.Time {
	r.progress(Progress{Step: row, Kind: Started})
	return time.Now()
}

func (r *run) ended(row string, started time.Time, err error) {
	p := Progress{Step: row, Kind: Done, Duration: time.Since(started)}
	if row == rowCreate {
		p.Duration -= r.asked
	}
	if err != nil {
		p.Kind, p.Text = Failed, err.Error()
	}
	name := row
	if r.undoing() {
		name = "undo " + row
	}
	r.report.Steps = append(r.report.Steps, StepTime{name, p.Duration})
	r.progress(p)
}

func (r *run) note(format string, args ...any) {
	r.progress(Progress{Kind: Note, Text: fmt.Sprintf(format, args...)})
}

func (r *run) progress(p Progress) {
	if r.env.Progress != nil {
		p.Undo = r.undoing()
		r.env.Progress(p)
	}
}

func (r *run) undoing() bool { return r.rec != nil && r.rec.Direction == undo }

func (r *run) warn(format string, args ...any) {
	r.report.Warnings = append(r.report.Warnings, fmt.Sprintf(format, args...))
}

// incomplete warns of something that failed and does not undo a proved rotation.
func (r *run) incomplete(format string, args ...any) {
	r.report.Incomplete = r.report.Incomplete || !r.undoing()
	r.warn(format, args...)
}
