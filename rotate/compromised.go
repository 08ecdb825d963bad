package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// ErrCompromised: the key is one that others are known to have, and would be put in
// force.
var ErrCompromised = errors.New("it is known to be compromised")

// KnownKeys are the keys that others are known to have, of whatever target.
type KnownKeys interface {
	Add(keys ...secret.Key) error
	Has(key secret.Key) (bool, error)
}

// known says whether one of the keys is known to others.
func (e *Env) known(keys ...secret.Key) (bool, error) {
	if e.Compromised == nil {
		return false, nil
	}
	for _, key := range keys {
		if has, err := e.Compromised.Has(key); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

// beware: where one of the keys that would be replaced is known to others, there is
// no way back to it.
func (r *run) beware(p *Plan, old ...secret.Key) error {
	known, err := r.env.known(old...)
	if known && !r.in.Compromised {
		r.in.Compromised = true
		r.warn("a key that is replaced is known to be compromised: there is no way back to it")
		p.Remarks = append(p.Remarks, r.report.Warnings[len(r.report.Warnings)-1])
	}
	p.Compromised = r.in.Compromised
	return err
}

// learn takes note of it where an old key of the rotation has become known to others
// since it was begun.
func (r *run) learn() error {
	for _, key := range r.rec.open().Keys {
		if r.rec.Compromised || key.Equal(r.rec.next()) {
			continue
		}
		var err error
		if r.rec.Compromised, err = r.env.known(key); err != nil {
			return err
		}
	}
	return nil
}

// onlyForward: a rotation of which the old key is compromised goes forward, and ends
// nowhere if the new one is.
func (r *run) onlyForward() error {
	if known, err := r.env.known(r.rec.next()); err != nil || known {
		if known {
			err = fmt.Errorf("%s: %w", r.rec.next().Name(), ErrCompromised)
		}
		return err
	}
	if !r.rec.Compromised {
		return nil
	}
	if err := r.markCompromised(); err != nil || !r.undoing() {
		return err
	}
	r.note("the old key is compromised: going on to the new one")
	r.rec.Direction, r.rec.Row = forward, rowSet
	return r.save()
}

// markCompromised remembers the key that the servers ran with.
func (r *run) markCompromised() error {
	if live := r.rec.live(); r.env.Compromised != nil && !live.Equal(r.rec.next()) {
		return r.env.Compromised.Add(live)
	}
	return nil
}

// Fill puts a key into stores, with no server to prove it: the only way for a first
// key. It is recorded, and no compromised key counts as good. Of env it uses
// Recorder, Who and Compromised.
func Fill(ctx context.Context, set store.Set, f store.Fill, env Env) (key secret.Key, done []store.Filled, err error) {
	weak, before := f.Weak, f.Before
	f.Weak = func(key secret.Key) string {
		if known, err := env.known(key); err != nil {
			return "cannot be looked up: " + err.Error()
		} else if known {
			return "is known to be compromised"
		}
		return weak(key)
	}
	f.Compromised = func(key secret.Key) bool { known, err := env.known(key); return known || err != nil }
	f.Before = func() error {
		err := before()
		if c, ok := env.Recorder.(interface{ Check() error }); ok && err == nil {
			err = c.Check()
		}
		return err
	}
	key, done, err = set.Fill(ctx, f)
	record := audit.Record{Event: "keygen", Stores: set.Names(), Actor: env.Who}
	switch {
	case errors.Is(err, flock.ErrHeld), errors.Is(err, ErrOverlap), errors.Is(err, ErrJournal): // busy, as for a rotation
	case errors.Is(err, store.ErrPartly):
		record.Outcome, record.Error = audit.Stuck, oneLine(err.Error())
	case err != nil:
		record.Outcome, record.Error = audit.Refused, oneLine(err.Error())
	}
	for _, one := range done {
		if one.Result != store.Unchanged {
			record.Outcome, record.New = one.Result, key.Fingerprint()
		}
		record.Old = cmp.Or(record.Old, one.Old.Fingerprint())
	}
	if record.Outcome == "" {
		return key, done, err // or everything was as it should be
	}
	if failed := env.Recorder.Append(context.WithoutCancel(ctx), record); failed != nil && err == nil {
		err = fmt.Errorf("the stores have the new key, but: %w", failed)
	}
	return key, done, err
}
