package rotate

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/secret"
)

func syncs(r *process) (Report, error) {
	r.Intent.Trust = true
	return r.syncing().Run(context.Background())
}

// behind is a world whose source of truth has moved on: another host has
// rotated the key, and this one has to follow.
func behind(w *world) { w.keys[0] = newKey }

func TestSync(t *testing.T) {
	for name, c := range map[string]struct {
		setup func(w *world, r *process)
		want  error
		end   Outcome
		// What the second store, the server and the worker have in the end.
		copy, server secret.Key
		restarts     bool
	}{
		"nothing differs":         {func(*world, *process) {}, nil, InSync, oldKey, oldKey, false},
		"the source is not live":  {func(w *world, _ *process) { behind(w) }, ErrSourceNotLive, Refused, oldKey, oldKey, false},
		"the source is trusted":   {func(w *world, r *process) { behind(w); r.Intent.Trust = true }, nil, Synced, newKey, newKey, true},
		"a copy is behind":        {func(w *world, _ *process) { w.keys[1] = thirdKey }, nil, Synced, oldKey, oldKey, true},
		"a copy has no key":       {func(w *world, _ *process) { w.keys[1] = secret.Key{} }, nil, Synced, oldKey, oldKey, true},
		"the server is behind":    {func(w *world, _ *process) { w.server.key = thirdKey }, nil, Synced, oldKey, oldKey, true},
		"the source has no key":   {func(w *world, _ *process) { w.keys[0] = secret.Key{} }, errNoKey, Refused, oldKey, oldKey, false},
		"the server is open":      {func(w *world, _ *process) { w.open = true }, ErrOpen, Refused, oldKey, oldKey, false},
		"the server is silent":    {func(w *world, _ *process) { w.server.dead = true }, ErrSilent, Refused, oldKey, oldKey, false},
		"another source is named": {func(w *world, r *process) { behind(w); r.Source = 1 }, nil, Synced, oldKey, oldKey, true},
		"a sealed copy is behind": {func(w *world, r *process) {
			w.keys[1], r.Set[1] = thirdKey, sealed{cell{w, 1}}
		}, errFault, Refused, thirdKey, oldKey, false},
		"the source is sealed": {func(w *world, r *process) {
			w.keys[1], r.Set[0] = thirdKey, sealed{cell{w, 0}}
		}, nil, Synced, oldKey, oldKey, true},
		"it fails, and goes back": {func(w *world, r *process) {
			behind(w)
			r.Intent.Trust = true
			r.drive(restartsAs{w, func() { w.server.dead = w.keys[1].Equal(newKey) }})
		}, ErrUndone, RolledBack, oldKey, oldKey, true},
		"it fails, with no way back": {func(w *world, r *process) {
			w.server.key = thirdKey
			r.drive(restartsAs{w, func() { w.server.key = thirdKey }})
		}, ErrStuck, Stuck, oldKey, thirdKey, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, r *process) {
				c.setup(w, r)
				_, dry := r.syncing().Check(t.Context())
				if refused := c.end == Refused; refused != (dry != nil) || refused && !errors.Is(dry, c.want) {
					t.Errorf("dry run: %v", dry)
				}
				before := len(w.trace)
				res, err := r.syncing().Run(t.Context())
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || res.Outcome != c.end {
					t.Errorf("%q, %v; want %q, %v", res.Outcome, err, c.end, c.want)
				}
				if restarts := slices.Contains(w.trace[before:], "restart server"); restarts != c.restarts {
					t.Errorf("restarted: %v", restarts)
				}
				if !w.keys[1].Equal(c.copy) || !w.server.key.Equal(c.server) {
					t.Error("the copy or the server ended with another key")
				}
				if (w.journal != nil) != (c.end == Stuck) {
					t.Errorf("journal there: %v", w.journal != nil)
				}
				if res, err := r.syncing().Run(t.Context()); c.end == Synced && (err != nil || res.Outcome != InSync) {
					t.Errorf("once more: %q, %v", res.Outcome, err)
				}
			})
		})
	}
}

// A sync does not count as a rotation: it makes no key, so the clock of the one
// that it brings starts when it is first seen here.
func TestSyncIsNoRotation(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, r *process) {
		behind(w)
		if _, err := syncs(r); err != nil {
			t.Fatal(err)
		}
		if w.made != 0 || w.history.Key != newKey.Fingerprint() || !w.history.ProvedAt.IsZero() || w.history.SeenAt.IsZero() {
			t.Errorf("%d keys made, %+v", w.made, w.history)
		}
		if len(w.audit) != 1 || w.audit[0].Event != "sync" || w.audit[0].Outcome != string(Synced) {
			t.Errorf("audit: %+v", w.audit)
		}
	})
}

// The sweep of a sync: whatever pair of faults hits it, the copy, the server
// and the worker end with one key, and the source of truth is not touched.
func TestSweepSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s tally
		c := sweepCase{setup: behind, first: syncs, audits: Synced}
		c.sweep(&s)
		for i, b := range s.broken {
			if i < 3 {
				t.Error(b)
			}
		}
		if s.stuck != 0 || len(s.broken) != 0 {
			t.Errorf("%d cases, %d stuck, %d broken; ends: %v", s.cases, s.stuck, len(s.broken), s.ends)
		}
		if want := 26447; s.cases != want && !needs.Raced {
			t.Errorf("%d cases, want %d", s.cases, want)
		}
	})
}
