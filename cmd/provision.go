package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A place is one store on its way to a key of keygen.
type place struct {
	store store.Store
	old   secret.Key // zero where there was none
	at    store.Version
}

type putResult struct {
	Store  string `json:"store"`
	Result string `json:"result"` // created, replaced, unchanged
}

// bringTogether is the way out where stores differ: one of their keys may be
// live.
const bringTogether = "blnkctl sync copies the key of one store to the others, and proves it"

// putKey is keygen --store: all stores get one new key, or none of them does.
func putKey(ctx context.Context, a *app, opt *keygenOptions) error {
	stores, err := opt.stores.open(a, keygen.Use(opt.use.value).Field)
	if err != nil {
		return err
	}
	unlock, err := store.LockAll(ctx, stores, 0)
	if err != nil {
		return err
	}
	defer unlock()
	places, err := readPlaces(ctx, stores)
	if err != nil {
		return err
	}
	if unchanged, err := judgePlaces(places, opt); err != nil {
		return err
	} else if unchanged {
		return reportPut(a, places, places[0].old, opt)
	}
	if err := readyToPut(ctx, a, &opt.stores, places); err != nil {
		return err
	}
	key, _, err := makeKey(opt)
	if err != nil {
		return err
	}
	if err := writePlaces(ctx, places, key); err != nil {
		return err
	}
	return reportPut(a, places, key, opt)
}

// mend puts right what a crash left in the stores. The caller holds their
// locks.
func mend(ctx context.Context, stores []store.Store) error {
	for _, s := range stores {
		if r, ok := s.(store.Repairer); ok {
			if err := r.Repair(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// readPlaces mends what a crash left, and reads what stands in the stores.
func readPlaces(ctx context.Context, stores []store.Store) ([]place, error) {
	if err := mend(ctx, stores); err != nil {
		return nil, err
	}
	var places []place
	for _, s := range stores {
		key, at, err := s.Get(ctx)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		places = append(places, place{store: s, old: key, at: at})
	}
	return places, nil
}

// judgePlaces decides by what stands there: whether everything may stay as it
// is, or why nothing may be written.
func judgePlaces(places []place, opt *keygenOptions) (unchanged bool, err error) {
	if opt.force {
		return false, nil
	}
	var full, empty []place
	for _, p := range places {
		if p.old.IsZero() {
			empty = append(empty, p)
		} else {
			full = append(full, p)
		}
	}
	if len(full) == 0 {
		return false, nil
	}
	if !opt.ifAbsent {
		hint := "--if-absent leaves a good key where it is; --force replaces it"
		if keygen.Use(opt.use.value) == keygen.Tokenization {
			hint = "--if-absent leaves a good one where it is"
		}
		return false, fail(exitFailed, fmt.Errorf("%s holds a key already (%s)", full[0].store, rotate.Name(full[0].old)), hint)
	}
	if len(empty) > 0 {
		return false, fail(exitCheck, fmt.Errorf("%s holds a key and %s does not", full[0].store, empty[0].store), bringTogether)
	}
	for _, p := range full {
		if !p.old.Equal(full[0].old) {
			return false, fail(exitCheck, fmt.Errorf("%s and %s hold different keys", full[0].store, p.store), bringTogether)
		}
	}
	if fault := faultOf(full[0].old, opt); fault != "" {
		return false, fail(exitCheck, fmt.Errorf("the key in %s %s", full[0].store, fault),
			"replace it with blnkctl rotate where a server runs with it; else with --force")
	}
	return true, nil
}

// faultOf says why a key that stands somewhere is no good one; "" where it is.
func faultOf(key secret.Key, opt *keygenOptions) string {
	check := keygen.Check
	if keygen.Use(opt.use.value) == keygen.Tokenization {
		check = keygen.CheckTokenization
	}
	found := check(key)
	if keygen.Worst(found) < keygen.Weak {
		return ""
	}
	return found[0].Text // the worst comes first
}

// readyToPut makes sure, before the first store is written, that no rotation
// is open on the way and that every store could be written.
func readyToPut(ctx context.Context, a *app, flags *storeFlags, places []place) error {
	private, err := a.openState()
	if err != nil {
		return err
	}
	var stores []store.Store
	for _, p := range places {
		if _, err := private.Target(p.store.String()).LoadJournal(); err != nil {
			return fail(exitStuck, err, "")
		}
		stores = append(stores, p.store)
	}
	if o, err := flags.overlapping(a, private, nil, stores); err != nil {
		return err
	} else if o != nil {
		return o.refusal(exitStuck)
	}
	for _, p := range places {
		if c, ok := p.store.(store.Checker); ok {
			if err := c.CheckPut(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// writePlaces writes the key into every store and reads it back. After a
// failure the stores get back what they held.
func writePlaces(ctx context.Context, places []place, key secret.Key) error {
	for i, p := range places {
		_, err := p.store.Put(ctx, key, p.at)
		if err == nil {
			err = readBack(ctx, p.store, key)
		}
		if err != nil {
			return putBack(context.WithoutCancel(ctx), places[:i+1], key, err)
		}
	}
	return nil
}

func readBack(ctx context.Context, s store.Store, key secret.Key) error {
	now, _, err := s.Get(ctx)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !now.Equal(key) {
		return fmt.Errorf("read back %s: %w", s, store.ErrConflict)
	}
	return nil
}

// putBack undoes the writes that were made before cause. Of a store that held
// nothing the key cannot be taken away again, since no store forgets: then the
// error says so.
func putBack(ctx context.Context, places []place, key secret.Key, cause error) error {
	var left []string
	for _, p := range places {
		now, at, err := p.store.Get(ctx)
		switch {
		case errors.Is(err, store.ErrNotFound) && p.old.IsZero(), err == nil && now.Equal(p.old):
			continue
		case err != nil:
			left = append(left, fmt.Sprintf("%s: cannot be read: %v", p.store, err))
			continue
		case !now.Equal(key):
			left = append(left, fmt.Sprintf("%s: holds the key of somebody else (%s)", p.store, rotate.Name(now)))
			continue
		}
		if p.old.IsZero() {
			left = append(left, fmt.Sprintf("%s: holds the new key (%s), and held none before", p.store, rotate.Name(key)))
		} else if _, err := p.store.Put(ctx, p.old, at); err != nil {
			left = append(left, fmt.Sprintf("%s: holds the new key (%s) instead of %s: %v", p.store, rotate.Name(key), rotate.Name(p.old), err))
		}
	}
	if len(left) == 0 {
		return cause
	}
	return &exitError{
		code:    exitStuck,
		err:     fmt.Errorf("%w; not everything could be put back", cause),
		details: left,
		hint:    "once the cause is mended, run it again with --force: all stores get one new key",
	}
}

// reportPut says on stderr what stands where now.
func reportPut(a *app, places []place, key secret.Key, opt *keygenOptions) error {
	var results []putResult
	replaced := false
	for _, p := range places {
		r := putResult{p.store.String(), "replaced"}
		switch {
		case p.old.Equal(key):
			r.Result = "unchanged"
			a.say("%s: unchanged (%s)", r.Store, rotate.Name(key))
		case p.old.IsZero():
			r.Result = "created"
			a.say("%s: new key (%s)", r.Store, rotate.Name(key))
		default:
			replaced = true
			a.say("%s: new key (%s) in place of %s", r.Store, rotate.Name(key), rotate.Name(p.old))
		}
		results = append(results, r)
	}
	if replaced {
		what := strings.ReplaceAll(opt.use.value, "-", " ")
		a.warn("a running server keeps the old %s until it is restarted, and its workers too", what)
	}
	if !a.json() {
		return nil
	}
	return a.printJSON(struct {
		Fingerprint string      `json:"fingerprint"`
		Stores      []putResult `json:"stores"`
	}{key.Fingerprint(), results})
}
