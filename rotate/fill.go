package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
)

// ErrUnlogged: a Fill did all that was wanted, but for its record.
var ErrUnlogged = errors.New("the stores have the new key, but that is not in the audit log")

// Fill puts a key into stores, with no server to prove it: the only way for a first
// key. It is recorded, and no compromised key counts as good. Of env it uses
// Recorder, Who and Compromised. dir keeps two apart that write the same copies: no file
// is there that could be locked.
func Fill(ctx context.Context, dir *state.Dir, set store.Set, f store.Fill, env Env) (key secret.Key, done []store.Filled, err error) {
	copies := f.CopyNames()
	unlock, err := flock.All(slices.Sorted(slices.Values(copies)), func(name string) (func(), error) { return dir.Target(name).Lock(ctx, 0) })
	if err != nil {
		return key, nil, err
	}
	defer unlock()
	if _, err := env.Compromised.Has(secret.Key{}); err != nil { // the list cannot be read
		return key, nil, err
	}
	weak, make, before, begun := f.Weak, f.New, f.Before, false
	f.Refuse = env.refuse
	f.Weak = func(key secret.Key) string {
		if err := env.refuse(key); err != nil {
			return "is no good one: " + err.Error()
		}
		return weak(key)
	}
	f.New = func() (secret.Key, error) {
		key, err := make()
		return key, cmp.Or(err, env.refuse(key))
	}
	f.Before = func() error {
		err := before()
		if err == nil {
			err = env.Recorder.Check()
		}
		begun = err == nil
		return err
	}
	key, done, err = set.Fill(ctx, f)
	record := audit.Record{Event: "keygen", Stores: append(set.Names(), copies...), Actor: env.Who}
	switch {
	case errors.Is(err, store.ErrPartly):
		record.Outcome = audit.Stuck
	case begun && err != nil, errors.Is(err, store.ErrUnwritten), errors.Is(err, store.ErrPresent), errors.Is(err, store.ErrWeak), errors.Is(err, store.ErrDrift):
		record.Outcome = audit.Refused
	}
	if err != nil {
		record.Error = oneLine(err.Error())
	}
	for _, one := range done {
		if one.Result != store.Unchanged && one.Result != store.Failed {
			record.Outcome, record.New = one.Result, key.Fingerprint()
		}
		record.Old = cmp.Or(record.Old, one.Old.Fingerprint())
	}
	if record.Outcome == "" { // everything was as it should be, or a place was not found, or busy
		return key, done, err
	}
	if failed := env.Recorder.Append(context.WithoutCancel(ctx), record); failed != nil && err == nil {
		err = hint.Add(fmt.Errorf("%w: %w", ErrUnlogged, failed), "nothing is to be done again; blnkctl audit verify says whether the log is whole")
	}
	return key, done, err
}
