package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A slot is a copy that nobody can read.
type slot struct {
	key  secret.Key
	fail error
}

func (*slot) String() string              { return "slot" }
func (*slot) Check(context.Context) error { return nil }
func (s *slot) Write(_ context.Context, key secret.Key) error {
	if s.fail == nil {
		s.key = key
	}
	return s.fail
}

// A window shows whether there is something in the slot.
type window struct {
	slot
	blind error
}

func (w *window) Holds(context.Context) (there, known bool, err error) {
	return !w.key.IsZero(), w.blind == nil, w.blind
}

func TestFillCopies(t *testing.T) {
	old, other, next := newKey(), newKey(), newKey()
	type S = []secret.Key
	full := func() store.Copy { return &window{slot: slot{key: other}} }
	empty := func() store.Copy { return &window{} }
	dark := func() store.Copy { return &slot{key: other} }
	deaf := func() store.Copy { return &slot{fail: errDisk} }
	blind := func() store.Copy { return &window{blind: errDisk} }
	for _, c := range []struct {
		name            string
		stores          S
		copies          []func() store.Copy
		ifAbsent, force bool
		want            string // the results, or a part of the error
		is              error
		holds           secret.Key // all that are not unchanged hold it then
	}{
		{"one that is dark", nil, []func() store.Copy{dark}, false, false, "written", nil, next},
		{"one that is empty", nil, []func() store.Copy{empty}, false, false, "created", nil, next},
		{"one that holds a key", nil, []func() store.Copy{full}, false, false, "slot holds a key already", store.ErrPresent, secret.Key{}},
		{"one that holds a key, by force", nil, []func() store.Copy{full}, false, true, "replaced", nil, next},
		{"one that cannot be written", nil, []func() store.Copy{deaf}, false, false, "disk", errDisk, secret.Key{}},
		{"one that fails to say", nil, []func() store.Copy{blind}, false, true, "disk", errDisk, secret.Key{}},
		{"if absent, dark", nil, []func() store.Copy{dark}, true, false, "not known", store.ErrUntold, secret.Key{}},
		{"if absent, empty", nil, []func() store.Copy{empty}, true, false, "created", nil, next},
		{"if absent, full", nil, []func() store.Copy{full}, true, false, "unchanged", nil, secret.Key{}},
		{"if absent, two", nil, []func() store.Copy{full, empty}, true, false, "holds a key and others do not", store.ErrDrift, secret.Key{}},
		{"beside an empty store", S{{}}, []func() store.Copy{dark, empty}, false, false, "created written created", nil, next},
		{"beside an empty store, if absent", S{{}}, []func() store.Copy{dark, empty}, true, false, "created written created", nil, next},
		{"full beside an empty store", S{{}}, []func() store.Copy{full}, false, false, "slot holds a key already", store.ErrPresent, secret.Key{}},
		{"full beside an empty store, if absent", S{{}}, []func() store.Copy{full}, true, false, "slot holds a key and shelf:a does not", store.ErrDrift, secret.Key{}},
		{"beside a full store", S{old}, []func() store.Copy{empty}, false, false, "a holds a key already", store.ErrPresent, secret.Key{}},
		{"beside a full store, if absent", S{old}, []func() store.Copy{dark, empty, full}, true, false, "unchanged written created unchanged", nil, old},
		{"beside a full store, by force", S{old}, []func() store.Copy{dark, full}, false, true, "replaced written replaced", nil, next},
		{"failing beside a store", S{{}}, []func() store.Copy{deaf, dark}, false, false, "created failed written", store.ErrUnwritten, next},
	} {
		var set store.Set
		for _, key := range c.stores {
			set = append(set, &shelf{name: "a", key: key})
		}
		fill := store.Fill{
			IfAbsent: c.ifAbsent, Force: c.force, Weak: func(secret.Key) string { return "" },
			Before: func() error { return nil }, New: func() (secret.Key, error) { return next, nil },
		}
		for _, one := range c.copies {
			fill.Copies = append(fill.Copies, one())
		}
		_, done, err := set.Fill(t.Context(), fill)
		var got []string
		for _, one := range done {
			got = append(got, one.Result)
		}
		text := strings.Join(got, " ")
		if len(done) == 0 && err != nil {
			text = err.Error()
		}
		if !errors.Is(err, c.is) || !strings.Contains(text, c.want) {
			t.Errorf("%s: %q, %v", c.name, text, err)
		}
		for i, one := range fill.Copies {
			key := secret.Key{}
			switch x := one.(type) {
			case *slot:
				key = x.key
			case *window:
				key = x.key
			}
			if at := i + len(set); len(done) > at && done[at].Result != store.Unchanged && done[at].Result != store.Failed && !key.Equal(c.holds) {
				t.Errorf("%s: copy %d has another key", c.name, i)
			}
		}
	}
}

// A safe is a store in a file, which is a folder's lock.
type safe struct {
	shelf
	dir string
}

func (s *safe) LockPath() (string, error) { return s.dir, nil }

// A hatch is a copy that is asked and written while somebody looks on.
type hatch struct {
	window
	look func(at string)
}

func (h *hatch) Holds(ctx context.Context) (there, known bool, err error) {
	h.look("asked")
	return h.window.Holds(ctx)
}

func (h *hatch) Write(ctx context.Context, key secret.Key) error {
	h.look("written")
	return h.slot.Write(ctx, key)
}

// Of two at once a copy would have the key of the one, and the stores that of the other.
func TestFillLocksForTheCopies(t *testing.T) {
	one := &safe{shelf{name: "a"}, t.TempDir()}
	fill := store.Fill{Force: true, Weak: func(secret.Key) string { return "" }, Before: func() error { return nil }, New: func() (secret.Key, error) { return newKey(), nil }}
	var seen []string
	second := fill
	fill.Copies = []store.Copy{&hatch{look: func(at string) {
		_, _, err := store.Set{one}.Fill(t.Context(), second)
		if seen = append(seen, at); !errors.Is(err, flock.ErrHeld) {
			t.Errorf("%s: another one is let in: %v", at, err)
		}
	}}}
	if key, _, err := (store.Set{one}).Fill(t.Context(), fill); err != nil || !key.Equal(one.key) || strings.Join(seen, " ") != "asked written" {
		t.Errorf("%v, %v", seen, err)
	}
}

// Somebody on another host, whom no lock keeps away, has written the stores before us or
// after us: which key a copy has then nobody knows.
func TestFillSeesAnotherKeyBehindTheCopies(t *testing.T) {
	theirs := newKey()
	one := &shelf{name: "a"}
	fill := store.Fill{
		Weak: func(secret.Key) string { return "" }, Before: func() error { return nil }, New: func() (secret.Key, error) { return newKey(), nil },
		Copies: []store.Copy{&hatch{look: func(at string) {
			if at == "written" {
				one.key = theirs
			}
		}}},
	}
	_, done, err := store.Set{one}.Fill(t.Context(), fill)
	if !errors.Is(err, store.ErrUnwritten) || !errors.Is(err, store.ErrConflict) || len(done) != 2 || !strings.Contains(hint.Of(err), "--force") {
		t.Errorf("%v, %v", done, err)
	}
}
