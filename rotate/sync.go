package rotate

import (
	"context"
	"errors"
	"fmt"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// ErrSourceNotLive: the servers run the key of a copy, and not that of the
// source of truth. Which of the two is right is for a person to say.
var ErrSourceNotLive = errors.New("the source of truth is not the live key, and a copy is")

// Sync brings the key of the source of truth into every other store and to the
// servers. It is the same story as a rotation with other data: the next key is
// there already, and every store has its own old one. Where nothing differs it
// changes nothing. An open rotation is finished first, and then it stops.
func (r *Rotation) Sync(ctx context.Context) (Result, error) {
	w, unlock, err := r.enterTarget(ctx)
	if err != nil {
		return Result{Outcome: Refused}, err
	}
	defer unlock()
	if w.rec != nil {
		err = w.resume(ctx)
	} else {
		w.syncing = true
		err = w.beginSync(ctx)
	}
	return w.res, err
}

// CheckSync runs every check of a sync and changes nothing. The plan is due
// where something differs.
func (r *Rotation) CheckSync(ctx context.Context) (Plan, error) {
	w, unlock, err := r.enterTarget(ctx)
	if err != nil {
		return Plan{}, err
	}
	defer unlock()
	w.syncing = true
	if w.rec == nil {
		d, err := w.surveySync(ctx, false)
		return d.plan, err
	}
	plan := w.plan()
	plan.Open, plan.Due.Yes = w.rec.open(), true
	return plan, nil
}

// A difference is what a sync found: the keys, and the plan to make them one.
type difference struct {
	plan   Plan
	source secret.Key
	olds   []secret.Key // per store; zero where there is none
	live   secret.Key   // what the servers run with; zero where not known
	late   []Copy       // to be written, where nothing else differs
}

func (w *walk) beginSync(ctx context.Context) error {
	started := w.started(rowCreate)
	d, err := w.surveySync(ctx, true)
	if err == nil && len(d.late) > 0 {
		w.ended(rowCreate, started, nil)
		return w.catchUp(ctx, d)
	}
	if err == nil && !d.plan.Due.Yes {
		w.ended(rowCreate, started, nil)
		w.res.Outcome, w.res.Due = InSync, d.plan.Due
		return nil
	}
	if err == nil {
		err = w.start(ctx, d.plan, func() (*record, error) { return w.syncRecord(d), nil })
	}
	w.ended(rowCreate, started, err)
	if err != nil {
		return w.refuse(ctx, err)
	}
	return w.forth(ctx, rowSet)
}

func (w *walk) syncRecord(d difference) *record {
	rec := w.newRecord(eventSync)
	rec.New, rec.Live = d.source.Reveal(), d.live.Reveal()
	for _, old := range d.olds {
		rec.Old = append(rec.Old, old.Reveal())
	}
	return rec
}

// surveySync reads the stores, finds out what the servers run with, and checks
// all that can be known before the first effect.
func (w *walk) surveySync(ctx context.Context, mend bool) (difference, error) {
	d := difference{plan: w.plan()}
	if mend {
		if err := w.repair(ctx); err != nil {
			return d, err
		}
	}
	if err := w.readAll(ctx, &d); err != nil {
		return d, err
	}
	servers, err := w.liveKeys(ctx, &d)
	if err != nil {
		return d, err
	}
	differs := servers
	for i, s := range w.Stores {
		if d.olds[i].Equal(d.source) {
			continue
		}
		differs = append(differs, fmt.Sprintf("%s has %s", s, d.olds[i].Name()))
		if c, ok := s.(store.Checker); ok {
			if err := c.CheckPut(ctx); err != nil {
				return d, err
			}
		}
	}
	d.plan.Current, d.plan.Old = d.live, d.live.Fingerprint()
	if len(differs) == 0 {
		return d, w.surveyCopies(&d)
	}
	d.plan.Differs = differs
	d.plan.Due = Due{Yes: true, Why: fmt.Sprintf("%s has %s", w.Stores[w.Source], d.source.Name())}
	d.plan.Findings, err = w.preflight(ctx, d.live)
	return d, err
}

// surveyCopies ends the survey where every store and server has the source's
// key: copies that cannot be read may still be known to lack it.
func (w *walk) surveyCopies(d *difference) (err error) {
	why := fmt.Sprintf("every store and server has %s", d.source.Name())
	if d.late, err = w.copiesBehind(); err != nil {
		return err
	}
	for _, c := range w.Copies {
		why += fmt.Sprintf("; %s is write-only and was not compared", c)
	}
	if len(d.late) == 0 {
		d.plan.Due.Why = why
		return nil
	}
	d.plan.Copies, d.plan.Restart, d.plan.Servers = nil, nil, nil
	for _, c := range d.late {
		d.plan.Copies = append(d.plan.Copies, c.String())
		d.plan.Differs = append(d.plan.Differs, c.String()+" could not be written by an earlier run")
	}
	d.plan.Due = Due{Yes: true, Why: fmt.Sprintf("%s has %s", w.Stores[w.Source], d.source.Name())}
	return nil
}

// readAll reads every store; only the source must hold a key.
func (w *walk) readAll(ctx context.Context, d *difference) error {
	for i, s := range w.Stores {
		key, _, err := s.Get(ctx)
		if ctx.Err() != nil {
			return w.interrupted(ctx)
		}
		if err != nil && (i == w.Source || !errors.Is(err, store.ErrNotFound)) {
			return err
		}
		d.olds = append(d.olds, key)
	}
	d.source = d.olds[w.Source]
	d.plan.Stores = namesOf(w.order())
	if !blnk.Sendable(d.source) {
		return fmt.Errorf("%s: its key cannot be sent to a server: %w", w.Stores[w.Source], ErrNotLive)
	}
	return nil
}

// liveKeys finds out which of the keys each server runs with, and says where
// that is not the source's. A source that no server runs with, while one runs
// with a copy's key, is refused unless it is trusted.
func (w *walk) liveKeys(ctx context.Context, d *difference) (differs []string, err error) {
	anySource, anyCopy := false, false
	for _, s := range w.Servers {
		key, err := w.liveKey(ctx, s, d.olds, d.source)
		if err != nil {
			return nil, err
		}
		switch {
		case key.Equal(d.source):
			anySource = true
			continue
		case key.IsZero():
			differs = append(differs, fmt.Sprintf("%s runs with a key that no store holds", s))
			continue
		}
		anyCopy, d.live = true, key
		differs = append(differs, fmt.Sprintf("%s runs with %s", s, key.Name()))
	}
	if anyCopy && !anySource && !w.Options.Trust {
		return nil, fmt.Errorf("%w: %s has %s, the servers run with %s", ErrSourceNotLive,
			w.Stores[w.Source], d.source.Name(), d.live.Name())
	}
	if d.live.IsZero() && anySource && len(differs) == 0 {
		d.live = d.source
	}
	return differs, nil
}

// liveKey returns which of the candidates a server proves; the zero Key where
// it runs with none of them.
func (w *walk) liveKey(ctx context.Context, s *proof.Server, candidates []secret.Key, source secret.Key) (secret.Key, error) {
	tried := []secret.Key{}
	for _, key := range append([]secret.Key{source}, candidates...) {
		if !blnk.Sendable(key) || containsKey(tried, key) {
			continue
		}
		tried = append(tried, key)
		v, reason := w.first(ctx, s, key)
		switch {
		case ctx.Err() != nil:
			return secret.Key{}, w.interrupted(ctx)
		case v == proof.Live:
			return key, nil
		case v == proof.Open:
			return secret.Key{}, fmt.Errorf("%s: %w: it lets a random key in", s, ErrOpen)
		case v == proof.Unknown:
			return secret.Key{}, fmt.Errorf("%s: %w: %w", s, ErrSilent, reason)
		}
	}
	return secret.Key{}, nil
}

func containsKey(keys []secret.Key, key secret.Key) bool {
	for _, k := range keys {
		if k.Equal(key) {
			return true
		}
	}
	return false
}
