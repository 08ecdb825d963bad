// Package storetest is the suite that every store passes: what the contract of
// store.Store promises, asked of a real place.
//
// It does not look at what is particular to a place (formats, permissions,
// crashes): that is for the store's own tests.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// The keys of the suite. No text that a store makes may hold them.
const (
	firstKey  = "storetest-first-Kq7ZpW3xVb9T"
	secondKey = "storetest-second-Hc5RmY8dLf2N"
	thirdKey  = "storetest-third-Jx4GtS6wQz1P"
)

// Run asks the suite of stores that open makes. open returns a store at a
// fresh place that holds no key. again returns a second handle on the place of
// s, which shares no memory with it: another process would have such a one.
func Run(t *testing.T, open func(t *testing.T) store.Store, again func(t *testing.T, s store.Store) store.Store) {
	r := runner{open, again}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *place)
	}{
		{"not found", notFound},
		{"create only where absent", create},
		{"get after put", getAfterPut},
		{"conflict", conflict},
		{"two writers", twoWriters},
		{"cancelled", cancelled},
		{"no key in texts", noKey},
		{"keys as they are", oddKeys},
		{"optional interfaces", optional},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, r.place(t)) })
	}
}

type runner struct {
	open  func(t *testing.T) store.Store
	again func(t *testing.T, s store.Store) store.Store
}

// A place is a store under test and the way to a second handle on it.
type place struct {
	*testing.T
	store.Store
	again func() store.Store
}

func (r runner) place(t *testing.T) *place {
	s := r.open(t)
	return &place{t, s, func() store.Store { return r.again(t, s) }}
}

// put must succeed; it returns the new version.
func (p *place) put(s store.Store, key string, at store.Version) store.Version {
	p.Helper()
	v, err := s.Put(p.Context(), secret.New(key), at)
	if err != nil {
		p.Fatalf("put: %v", err)
	}
	if v == "" {
		p.Fatal("put returned the zero version, which stands for no key")
	}
	return v
}

// holds asserts what a handle on the place reads; it returns the version.
func (p *place) holds(s store.Store, key string) store.Version {
	p.Helper()
	got, v, err := s.Get(p.Context())
	if err != nil {
		p.Fatalf("get: %v", err)
	}
	if !got.Equal(secret.New(key)) {
		p.Fatalf("get: read %d characters, other than the %d of the key wanted", len(got.Reveal()), len(key))
	}
	if v == "" {
		p.Fatal("get returned the zero version with a key")
	}
	return v
}

func (p *place) conflicts(s store.Store, key string, at store.Version) {
	p.Helper()
	v, err := s.Put(p.Context(), secret.New(key), at)
	if !errors.Is(err, store.ErrConflict) || v != "" {
		p.Fatalf("put returned version %q, error %v; want ErrConflict", v, err)
	}
}

func notFound(_ *testing.T, p *place) {
	key, v, err := p.Get(p.Context())
	if !errors.Is(err, store.ErrNotFound) || !key.IsZero() || v != "" {
		p.Fatalf("empty place: key %v, version %q, error %v; want ErrNotFound alone", !key.IsZero(), v, err)
	}
	// A version of a place that has no key any more.
	p.conflicts(p.Store, firstKey, "some version")
	if _, _, err := p.Get(p.Context()); !errors.Is(err, store.ErrNotFound) {
		p.Fatalf("after a conflict: %v, want ErrNotFound", err)
	}
}

func create(_ *testing.T, p *place) {
	p.put(p.Store, firstKey, "")
	p.conflicts(p.Store, secondKey, "")
	p.holds(p.Store, firstKey)
}

func getAfterPut(_ *testing.T, p *place) {
	at := p.put(p.Store, firstKey, "")
	for _, key := range []string{secondKey, thirdKey, firstKey, firstKey} {
		if seen := p.holds(p.Store, p.now()); seen != at {
			p.Fatalf("get returned version %q, the put before it %q", seen, at)
		}
		at = p.put(p.Store, key, at)
		// What was written is there for another process too.
		if seen := p.holds(p.again(), key); seen != at {
			p.Fatalf("a second handle sees version %q, put returned %q", seen, at)
		}
	}
}

// now is the key that a second handle reads.
func (p *place) now() string {
	key, _, err := p.again().Get(p.Context())
	if err != nil {
		p.Fatalf("get: %v", err)
	}
	return key.Reveal()
}

func conflict(_ *testing.T, p *place) {
	stale := p.put(p.Store, firstKey, "")
	p.put(p.Store, secondKey, stale)
	p.conflicts(p.Store, thirdKey, stale)
	p.conflicts(p.Store, thirdKey, "")
	p.conflicts(p.Store, thirdKey, "no version at all")
	p.holds(p.Store, secondKey)
}

func twoWriters(_ *testing.T, p *place) {
	at := p.put(p.Store, firstKey, "")
	other := p.again()
	seen := p.holds(other, firstKey)
	p.put(p.Store, secondKey, at)
	p.conflicts(other, thirdKey, seen)
	p.holds(other, secondKey)
	// With the version that it sees now, the other one gets through.
	p.put(other, thirdKey, p.holds(other, secondKey))
	p.holds(p.Store, thirdKey)
}

func cancelled(_ *testing.T, p *place) {
	ctx, cancel := context.WithCancel(p.Context())
	cancel()
	if _, err := p.Put(ctx, secret.New(firstKey), ""); !errors.Is(err, context.Canceled) {
		p.Fatalf("put: %v, want context.Canceled", err)
	}
	if _, _, err := p.Get(ctx); !errors.Is(err, context.Canceled) {
		p.Fatalf("get: %v, want context.Canceled", err)
	}
	if _, _, err := p.Get(p.Context()); !errors.Is(err, store.ErrNotFound) {
		p.Fatalf("get after a cancelled put: %v, want ErrNotFound", err)
	}
	at := p.put(p.Store, firstKey, "")
	if _, err := p.Put(ctx, secret.New(secondKey), at); !errors.Is(err, context.Canceled) {
		p.Fatalf("put: %v, want context.Canceled", err)
	}
	p.holds(p.Store, firstKey)
}

func noKey(_ *testing.T, p *place) {
	at := p.put(p.Store, firstKey, "")
	_, err := p.Put(p.Context(), secret.New(secondKey), "")
	texts := fmt.Sprintln(p.String(), at, err, store.Identity(p.Store))
	texts += fmt.Sprintf("%v %+v", p.Store, p.Store)
	for _, key := range []string{firstKey, secondKey} {
		for _, form := range secret.New(key).Encodings() {
			if strings.Contains(texts, form) {
				p.Fatal("a text of the store holds a key")
			}
		}
	}
	if p.again().String() != p.String() {
		p.Fatalf("two handles on one place: %q and %q", p.String(), p.again().String())
	}
	if ref, err := ref.Parse(p.String()); err != nil || ref.String() != p.String() {
		p.Fatalf("%q is no canonical reference: %v", p.String(), err)
	}
}

// oddKeys: a Blnk server trims nothing, so a store must not either. A format
// that cannot hold a key as it is refuses it, and keeps what it has.
func oddKeys(_ *testing.T, p *place) {
	at := p.put(p.Store, firstKey, "")
	now := firstKey
	for _, key := range []string{"with blank in it", `back\slash "quote" 'single'`, "$HOME ${x} `id` #no", "é日本 😀", "<&>=:;,%2F+/"} {
		next, err := p.Put(p.Context(), secret.New(key), at)
		switch {
		case err == nil:
			at, now = next, key
		case !errors.Is(err, store.ErrNotSafe):
			p.Fatalf("put of an odd key: %v, want success or ErrNotSafe", err)
		}
		if seen := p.holds(p.again(), now); seen != at {
			p.Fatalf("a second handle sees version %q, want %q", seen, at)
		}
	}
}

// optional asks what a store says it can do besides.
func optional(_ *testing.T, p *place) {
	if c, ok := p.Store.(store.Checker); ok {
		if err := c.CheckPut(p.Context()); err != nil {
			p.Fatalf("CheckPut where Put works: %v", err)
		}
		if _, _, err := p.Get(p.Context()); !errors.Is(err, store.ErrNotFound) {
			p.Fatalf("CheckPut had an effect: get says %v", err)
		}
	}
	if r, ok := p.Store.(store.Repairer); ok {
		at := p.put(p.Store, firstKey, "")
		if err := r.Repair(p.Context()); err != nil {
			p.Fatalf("Repair with nothing to mend: %v", err)
		}
		if seen := p.holds(p.Store, firstKey); seen != at {
			p.Fatal("Repair with nothing to mend changed the version")
		}
	}
	if _, err := p.Put(p.Context(), secret.Key{}, p.version()); err == nil {
		p.Fatal("put of no key succeeded")
	}
	if a, b := (store.Set{p.Store, p.again()}).SamePlace(); a == "" || b == "" {
		p.Fatal("two handles on one place are not known as the same place")
	}
}

func (p *place) version() store.Version {
	_, v, err := p.Get(p.Context())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		p.Fatalf("get: %v", err)
	}
	return v
}
