package rotate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A letterbox is a write-only copy.
type letterbox struct {
	got  []secret.Key
	fail error
}

func (*letterbox) String() string { return "command:ci" }

func (*letterbox) Check(context.Context) error { return nil }

func (l *letterbox) Write(_ context.Context, key secret.Key) error {
	if l.fail != nil {
		return l.fail
	}
	l.got = append(l.got, key)
	return nil
}

func (l *letterbox) last() secret.Key {
	if len(l.got) == 0 {
		return secret.Key{}
	}
	return l.got[len(l.got)-1]
}

func TestCopies(t *testing.T) {
	t.Run("get the new key last", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world, r *process) {
			box := &letterbox{}
			r.Copies = []store.Copy{box}
			res, err := r.Run(t.Context())
			if err != nil || res.Incomplete || !box.last().Equal(newKey) {
				t.Errorf("%+v, %v", res, err)
			}
		})
	})
	t.Run("get the old key back", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world, r *process) {
			box := &letterbox{}
			r.Copies = []store.Copy{box}
			r.drive(restartsAs{w, func() { w.server.dead = w.keys[1].Equal(newKey) }})
			if _, err := r.Run(t.Context()); !errors.Is(err, ErrUndone) || !box.last().Equal(oldKey) || len(box.got) != 2 {
				t.Errorf("%v, %d writes", err, len(box.got))
			}
		})
	})
	t.Run("one that fails undoes nothing", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world, r *process) {
			r.Copies = []store.Copy{&letterbox{fail: errFault}}
			res, err := r.Run(t.Context())
			if err != nil || res.Outcome != Rotated || !res.Incomplete || len(res.Warnings) != 1 {
				t.Errorf("%+v, %v", res, err)
			}
		})
	})
	t.Run("one that is behind is remembered, and a sync writes it alone", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world, r *process) {
			box := &letterbox{fail: errFault}
			r.Copies, r.Spec.Stores = []store.Copy{box}, append(r.Spec.Stores, box.String())
			if res, err := r.Run(t.Context()); err != nil || !slices.Equal(res.Unwritten, w.history.Unwritten) || len(w.history.Unwritten) != 1 {
				t.Fatalf("%+v, %v, %+v", res, err, w.history)
			}
			proved, touches := w.history.ProvedAt, len(w.trace)
			for _, fail := range []error{errFault, nil} {
				box.fail = fail
				if res, err := r.syncing().Run(t.Context()); err != nil || res.Outcome != Synced || res.Incomplete != (fail != nil) {
					t.Errorf("%+v, %v", res, err)
				}
			}
			if !box.last().Equal(newKey) || w.history.Unwritten != nil || !w.history.ProvedAt.Equal(proved) {
				t.Errorf("%+v", w.history)
			}
			if res, err := r.syncing().Run(t.Context()); err != nil || res.Outcome != InSync || len(box.got) != 1 {
				t.Errorf("%+v, %v, %d writes", res, err, len(box.got))
			}
			if did := strings.Join(w.trace[touches:], ","); strings.Contains(did, "put") || strings.Contains(did, "restart") {
				t.Errorf("something else was done: %s", did)
			}
		})
	})
	t.Run("are written again by who resumes in that row", func(t *testing.T) {
		bubble(t, func(t *testing.T, w *world, r *process) {
			box := &letterbox{}
			w.faults = []fault{{w.touchesUntil(Intent{}, "put cell:1"), crashAfter}}
			if _, crashed, _ := w.run(forwards, Intent{}); !crashed {
				t.Fatal("did not crash as planned")
			}
			r.Copies = []store.Copy{box}
			if _, err := r.Run(t.Context()); err != nil || !box.last().Equal(newKey) {
				t.Errorf("%v", err)
			}
		})
	})
}

// A vault keeps old versions of its key, and knows since when it has this one.
type vault struct {
	cell
	created time.Time
	fail    error
	purged  []secret.Key
}

func (v *vault) Created(context.Context) (time.Time, error) { return v.created, v.fail }

func (v *vault) CheckPurge(context.Context) error { return v.fail }

func (v *vault) Purge(_ context.Context, dead secret.Key) error {
	if v.keys[v.i].Equal(dead) {
		panic("the current key was purged")
	}
	v.purged = append(v.purged, dead)
	return v.fail
}

func (v *vault) Remarks(context.Context) ([]string, error) { return []string{"keeps versions"}, v.fail }

func TestPurge(t *testing.T) {
	for name, c := range map[string]struct {
		compromised bool
		fail        error
		purged      int
	}{
		"a usual rotation keeps old versions": {false, nil, 0},
		"a compromised key is destroyed":      {true, nil, 1},
		"where that fails, it is said":        {true, errFault, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, _ *process) {
				r := w.process(Intent{Compromised: c.compromised})
				v := &vault{cell: cell{w, 0}}
				r.Set[0] = v
				r.Confirm = func(_ context.Context, p Plan) error {
					if !slices.Contains(p.Remarks, "keeps versions") {
						t.Error("the plan does not say what the store says")
					}
					v.fail = c.fail
					return nil
				}
				res, err := r.Run(t.Context())
				if err != nil || len(v.purged) != c.purged || res.Incomplete != (c.fail != nil) {
					t.Errorf("%d purged, %+v, %v", len(v.purged), res, err)
				}
			})
		})
	}
}

// The creation time of a version counts as a sighting of its key.
func TestDatedStore(t *testing.T) {
	for name, c := range map[string]struct {
		age  time.Duration
		fail error
		want Outcome
	}{
		"old enough":        {91 * day, nil, Rotated},
		"too young":         {89 * day, nil, NotDue},
		"it does not know":  {0, nil, Adopted},
		"it cannot be read": {91 * day, errFault, Adopted},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, _ *process) {
				r := w.process(Intent{IfDue: true, Policy: policy.Policy{MaxAge: 90 * day}, IfUnknown: AdoptUnknown})
				v := &vault{cell: cell{w, 0}, fail: c.fail}
				if c.age != 0 {
					v.created = time.Now().Add(-c.age)
				}
				r.Set[0] = v
				if res, err := r.Run(t.Context()); err != nil || res.Outcome != c.want {
					t.Errorf("%q, %v; want %q", res.Outcome, err, c.want)
				}
			})
		})
	}
}
