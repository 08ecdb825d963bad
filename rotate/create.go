package rotate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// preflightWait is how long a server may stay silent (a rate limit, a restart
// that somebody just did) before the preflight gives up on it.
const preflightWait = 2 * time.Second

// Check runs every check of a real run and changes nothing: --dry-run. Where a
// rotation is open it says what a run would meet there.
func (r *Rotation) Check(ctx context.Context) (Plan, error) {
	w, unlock, err := r.enterTarget(ctx)
	if err != nil {
		return Plan{}, err
	}
	defer unlock()
	if w.rec == nil {
		return w.survey(ctx, false)
	}
	plan := w.plan()
	plan.Open, plan.Due.Yes = w.rec.open(), true
	if w.rec.Row != rowFinish {
		if _, err := w.lookAround(ctx); err != nil {
			return plan, &EndError{State: ErrStuck, Cause: err}
		}
	}
	return plan, nil
}

// survey reads every store and checks all that can be known before the first
// effect. mend: a file that an earlier crash left torn is put right first.
func (w *walk) survey(ctx context.Context, mend bool) (Plan, error) {
	plan := w.plan()
	if mend {
		if err := w.repair(ctx); err != nil {
			return plan, err
		}
	}
	current, err := w.agreedKey(ctx)
	if err != nil {
		return plan, err
	}
	plan.Stores = namesOf(w.order()) // a store may know only now whether it swaps
	plan.Current, plan.Old = current, current.Fingerprint()
	w.res.Old = plan.Old
	if plan.Due, err = w.due(ctx, current); err != nil || !plan.Due.Yes {
		return plan, err
	}
	for _, s := range w.Stores {
		if c, ok := s.(store.Checker); ok {
			if err := c.CheckPut(ctx); err != nil {
				return plan, err
			}
		}
	}
	if err := w.checkPurge(ctx); err != nil {
		return plan, err
	}
	if plan.Findings, err = w.preflight(ctx, current); err != nil {
		return plan, err
	}
	// Last: the nearer to the first effect, the less can change in between.
	return plan, w.proveBeforehand(ctx, current)
}

// preflight is what the stores and the caller have to say and to object.
func (w *walk) preflight(ctx context.Context, current secret.Key) (found Findings, err error) {
	said, err := w.remarks(ctx)
	if err != nil {
		return found, err
	}
	if w.Preflight != nil {
		found, err = w.Preflight(ctx, current)
	}
	found.Remarks = append(said, found.Remarks...)
	if ctx.Err() != nil {
		err = w.interrupted(ctx)
	}
	return found, err
}

func (w *walk) plan() Plan {
	p := Plan{Restart: w.Refs.Restart, Copies: w.Refs.Copies, Stores: namesOf(w.order())}
	for _, s := range w.Servers {
		p.Servers = append(p.Servers, s.String())
	}
	return p
}

func namesOf(stores []store.Store) (names []string) {
	for _, s := range stores {
		names = append(names, s.String())
	}
	return names
}

// order is the order of writing: stores whose Put is a real compare-and-swap
// come first, so that of two hosts only one gets past the first write.
func (w *walk) order() []store.Store {
	var swappers, others []store.Store
	for _, s := range w.Stores {
		if sw, ok := s.(store.Swapper); ok && sw.Swaps() {
			swappers = append(swappers, s)
		} else {
			others = append(others, s)
		}
	}
	return append(swappers, others...)
}

func (w *walk) repair(ctx context.Context) error {
	for _, s := range w.Stores {
		if r, ok := s.(store.Repairer); ok {
			if err := r.Repair(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// agreedKey reads all stores and returns the key that all of them hold.
func (w *walk) agreedKey(ctx context.Context) (secret.Key, error) {
	var keys []secret.Key
	for _, s := range w.Stores {
		key, _, err := s.Get(ctx)
		if err != nil {
			if ctx.Err() != nil {
				err = w.interrupted(ctx)
			}
			return secret.Key{}, err
		}
		keys = append(keys, key)
	}
	for _, key := range keys[1:] {
		if !key.Equal(keys[0]) {
			return secret.Key{}, fmt.Errorf("%w: %s", ErrDrift, w.listKeys(keys))
		}
	}
	return keys[0], nil
}

func (w *walk) listKeys(keys []secret.Key) string {
	var parts []string
	for i, s := range w.Stores {
		parts = append(parts, fmt.Sprintf("%s has %s", s, keys[i].Name()))
	}
	return strings.Join(parts, ", ")
}

// proveBeforehand asks whether the current key is the live master key
// everywhere, and a random one is refused.
func (w *walk) proveBeforehand(ctx context.Context, current secret.Key) error {
	if w.Options.ServerDown {
		return nil
	}
	for _, s := range w.Servers {
		v, reason := w.first(ctx, s, current)
		switch {
		case ctx.Err() != nil:
			return w.interrupted(ctx)
		case v == proof.Live:
		case v == proof.Open:
			return fmt.Errorf("%s: %w: it lets a random key in", s, ErrOpen)
		case v == proof.Mixed:
			return fmt.Errorf("%s: %w on every connection: several servers with different keys stand behind it", s, ErrNotLive)
		case v == proof.Rejected:
			return fmt.Errorf("%s: %w: it refuses the key of %s (%s)", s, ErrNotLive, w.Stores[0], current.Name())
		default:
			return w.notProved(s, v, reason)
		}
	}
	return nil
}

// first judges one server, with some patience while it is silent.
func (w *walk) first(ctx context.Context, s *proof.Server, current secret.Key) (proof.Verdict, error) {
	deadline := time.Now().Add(preflightWait)
	var why error
	for pause := (proof.Pause{}); ; {
		v, reason := s.Judge(ctx, current, secret.Key{})
		if v != proof.Unknown {
			return v, nil
		}
		// The first reason: the last one may only be that the time was up.
		if why == nil {
			why = reason
		}
		if !pause.Wait(ctx, deadline) {
			return proof.Unknown, why
		}
	}
}

// rotateRecord makes the new key: once, and never again for this rotation.
func (w *walk) rotateRecord(plan Plan) (*record, error) {
	key, err := w.NewKey()
	if err != nil {
		return nil, fmt.Errorf("make a new key: %w", err)
	}
	rec := w.newRecord(eventRotate)
	rec.New, rec.Live = key.Reveal(), plan.Current.Reveal()
	for range w.Refs.Stores {
		rec.Old = append(rec.Old, plan.Current.Reveal())
	}
	return rec, nil
}

func (w *walk) newRecord(event string) *record {
	return &record{
		Version: journalVersion, ID: "rot_" + strings.ToLower(rand.Text()[:12]), Event: event,
		Started: w.Now().UTC(), Host: w.Host, User: w.User, Reason: w.Options.Reason, Refs: w.Refs,
		Direction: forward, Row: rowSet,
		Compromised: w.Options.Compromised, ServerDown: w.Options.ServerDown,
		Timeout: w.Options.Timeout, RestartTimeout: w.Options.RestartTimeout,
	}
}

// open writes the journal for the first time.
func (w *walk) open(rec *record) error {
	w.rec = rec
	if err := w.save(); err != nil {
		// It may be there in spite of the error.
		err = errors.Join(fmt.Errorf("write the journal: %w", err), w.Journal.ForgetJournal())
		w.rec = nil
		return err
	}
	w.res.Rotation, w.res.Old, w.res.New = rec.ID, rec.old().Fingerprint(), rec.new().Fingerprint()
	return nil
}
