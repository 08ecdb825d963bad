package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A shelf is a store in memory whose writes can be made to fail.
type shelf struct {
	name string
	key  secret.Key
	// put, where it is not nil, happens in the place of a write; it may write.
	put func(s *shelf, next secret.Key) error
}

var _ store.Store = (*shelf)(nil)

func (s *shelf) String() string { return "shelf:" + s.name }

func (s *shelf) Get(ctx context.Context) (secret.Key, store.Version, error) {
	if s.key.IsZero() {
		return secret.Key{}, "", fmt.Errorf("%s: %w", s, store.ErrNotFound)
	}
	return s.key, store.Version(s.key.Reveal()), ctx.Err()
}

func (s *shelf) Put(ctx context.Context, next secret.Key, at store.Version) (store.Version, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if at != store.Version(s.key.Reveal()) {
		return "", store.ErrConflict
	}
	if s.put != nil {
		return "", s.put(s, next)
	}
	s.key = next
	return store.Version(next.Reveal()), nil
}

func newKey() secret.Key { return secret.New(rand.Text() + rand.Text()) }

// write is what a caller does with a Set: put the key into every store, or put
// everything back.
func write(ctx context.Context, next secret.Key, shelves ...*shelf) (problems []error, err error) {
	change := store.Change{New: next}
	olds := map[string]secret.Key{}
	for _, s := range shelves {
		change.Set = append(change.Set, s)
		olds[s.String()] = s.key
	}
	change.Old = func(ref string) secret.Key { return olds[ref] }
	if err = change.Put(ctx); err != nil {
		problems = change.PutBack(context.WithoutCancel(ctx))
	}
	return problems, err
}

var errDisk = errors.New("disk on fire")

// The write of the second store fails, or says that it wrote and did not: the
// first one gets its old key back.
func TestSetPutsBack(t *testing.T) {
	for name, c := range map[string]struct {
		put  func(*shelf, secret.Key) error
		want error
	}{
		"failed":      {func(*shelf, secret.Key) error { return errDisk }, errDisk},
		"did nothing": {func(*shelf, secret.Key) error { return nil }, store.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			oldA, oldB := newKey(), newKey()
			a, b := &shelf{name: "a", key: oldA}, &shelf{name: "b", key: oldB, put: c.put}
			problems, err := write(t.Context(), newKey(), a, b)
			if !errors.Is(err, c.want) || len(problems) != 0 {
				t.Fatalf("got %v, %v", err, problems)
			}
			if !a.key.Equal(oldA) || !b.key.Equal(oldB) {
				t.Error("not put back")
			}
		})
	}
}

// A write whose answer was lost is a write.
func TestSetLooksAfterAFailure(t *testing.T) {
	next := newKey()
	a := &shelf{name: "a", key: newKey(), put: func(s *shelf, next secret.Key) error { s.key = next; return errDisk }}
	if _, err := write(t.Context(), next, a); err != nil || !a.key.Equal(next) {
		t.Errorf("%v", err)
	}
}

// What cannot be put back is told store by store, without a key.
func TestSetTellsWhatIsNotPutBack(t *testing.T) {
	next, strange, old := newKey(), newKey(), newKey()
	created := &shelf{name: "created"}
	stubborn := &shelf{name: "stubborn", key: old, put: func(s *shelf, next secret.Key) error {
		s.key = next
		s.put = func(*shelf, secret.Key) error { return errDisk }
		return nil
	}}
	foreign := &shelf{name: "foreign", key: newKey()}
	foreign.put = func(*shelf, secret.Key) error {
		foreign.key = strange // somebody else, right behind our write
		return nil
	}
	problems, _ := write(t.Context(), next, created, stubborn, foreign)
	text := fmt.Sprint(problems)
	for _, want := range []string{
		"shelf:created holds " + next.Fingerprint() + " now: it held none before",
		"write shelf:stubborn: disk on fire",
		"shelf:foreign: changed by someone else: it holds " + strange.Fingerprint(),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if len(problems) != 3 || !errors.Is(problems[2], store.ErrKept) {
		t.Errorf("%d problems", len(problems))
	}
	for _, key := range []secret.Key{next, strange, old} {
		if strings.Contains(text, key.Reveal()) {
			t.Error("a key is shown")
		}
	}
}

// A signal between two writes: everything goes back all the same.
func TestSetIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	oldA, oldB := newKey(), newKey()
	a, b := &shelf{name: "a", key: oldA}, &shelf{name: "b", key: oldB}
	a.put = func(s *shelf, next secret.Key) error {
		s.key, s.put = next, nil
		cancel()
		return nil
	}
	if problems, err := write(ctx, newKey(), a, b); !errors.Is(err, context.Canceled) || len(problems) != 0 {
		t.Errorf("%v, %v", err, problems)
	}
	if !a.key.Equal(oldA) || !b.key.Equal(oldB) {
		t.Error("not put back")
	}
}

func TestSetAgrees(t *testing.T) {
	key, other := newKey(), newKey()
	for _, c := range []struct {
		keys []secret.Key
		want error
	}{
		{[]secret.Key{key, key}, nil}, {[]secret.Key{key, other}, store.ErrDrift}, {[]secret.Key{key, {}}, store.ErrNotFound},
	} {
		set := store.Set{&shelf{name: "a", key: c.keys[0]}, &shelf{name: "b", key: c.keys[1]}}
		if got, err := set.Agreed(t.Context()); !errors.Is(err, c.want) || (err == nil) != got.Equal(key) {
			t.Errorf("%v", err)
		}
	}
}

// A Fill that fails does not put a compromised key back: what has the new key keeps
// it, and that is said.
func TestFillKeepsCompromisedKeysOut(t *testing.T) {
	leaked, next := newKey(), newKey()
	a, b := &shelf{name: "a", key: leaked}, &shelf{name: "b", key: leaked, put: func(*shelf, secret.Key) error { return errDisk }}
	_, _, err := store.Set{a, b}.Fill(t.Context(), store.Fill{
		Force: true, Weak: func(secret.Key) string { return "" }, Refuse: func(key secret.Key) error {
			if leaked.Equal(key) {
				return errors.New("is known to be compromised")
			}
			return nil
		},
		Before: func() error { return nil }, New: func() (secret.Key, error) { return next, nil },
	})
	if !errors.Is(err, store.ErrPartly) || !errors.Is(err, errDisk) || !a.key.Equal(next) {
		t.Errorf("%v; the first has the leaked key again: %v", err, a.key.Equal(leaked))
	}
	if !strings.Contains(err.Error(), "is known to be compromised") || !strings.Contains(err.Error(), "holds the new key") || !strings.Contains(err.Error(), "holds the old key") {
		t.Error(err)
	}
}
