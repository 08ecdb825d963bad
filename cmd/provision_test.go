package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/keygen"
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

func newKey(t *testing.T) secret.Key {
	t.Helper()
	key, err := keygen.Generate(keygen.Base62, keygen.DefaultBits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func placesOf(t *testing.T, shelves ...*shelf) []place {
	t.Helper()
	var stores []store.Store
	for _, s := range shelves {
		stores = append(stores, s)
	}
	places, err := readPlaces(context.Background(), stores)
	if err != nil {
		t.Fatal(err)
	}
	return places
}

var errDisk = errors.New("disk on fire")

// The write of the second store fails, before or after it had its effect: the
// first one gets its old key back.
func TestWritePlacesPutsBack(t *testing.T) {
	for name, put := range map[string]func(*shelf, secret.Key) error{
		"failed before": func(*shelf, secret.Key) error { return errDisk },
		"failed after": func(s *shelf, next secret.Key) error {
			s.put = nil
			s.key = next
			return errDisk
		},
	} {
		t.Run(name, func(t *testing.T) {
			oldA, oldB, next := newKey(t), newKey(t), newKey(t)
			a, b := &shelf{name: "a", key: oldA}, &shelf{name: "b", key: oldB, put: put}
			err := writePlaces(context.Background(), placesOf(t, a, b), next)
			if !errors.Is(err, errDisk) {
				t.Fatalf("got %v", err)
			}
			if code, _ := judge(err); code != exitFailed {
				t.Errorf("exit status %d, want %d: nothing is changed", code, exitFailed)
			}
			if !a.key.Equal(oldA) || !b.key.Equal(oldB) {
				t.Error("not put back")
			}
		})
	}
}

// A store that says it wrote, and did not.
func TestWritePlacesReadsBack(t *testing.T) {
	oldA, oldB := newKey(t), newKey(t)
	a := &shelf{name: "a", key: oldA}
	b := &shelf{name: "b", key: oldB, put: func(*shelf, secret.Key) error { return nil }}
	if err := writePlaces(context.Background(), placesOf(t, a, b), newKey(t)); err == nil {
		t.Fatal("no error")
	}
	if !a.key.Equal(oldA) {
		t.Error("not put back")
	}
}

// What cannot be put back is told store by store, without a key.
func TestWritePlacesTellsWhatIsLeft(t *testing.T) {
	next, strange := newKey(t), newKey(t)
	created := &shelf{name: "created"}
	stubborn := &shelf{name: "stubborn", key: newKey(t), put: func(s *shelf, next secret.Key) error {
		s.key = next
		s.put = func(*shelf, secret.Key) error { return errDisk }
		return nil
	}}
	foreign := &shelf{name: "foreign", key: newKey(t)}
	foreign.put = func(*shelf, secret.Key) error {
		foreign.key = strange // somebody else, right behind our write
		return nil
	}
	err := writePlaces(context.Background(), placesOf(t, created, stubborn, foreign), next)
	code, hint := judge(err)
	if code != exitStuck || !strings.Contains(hint, "--force") {
		t.Errorf("exit status %d, hint %q", code, hint)
	}
	e, ok := errors.AsType[*exitError](err)
	if !ok || len(e.details) != 3 {
		t.Fatalf("got %v", err)
	}
	text := strings.Join(e.details, "\n")
	for _, want := range []string{
		"shelf:created: holds the new key (" + next.Fingerprint() + "), and held none before",
		"shelf:stubborn: holds the new key (",
		"shelf:foreign: holds the key of somebody else (" + strange.Fingerprint() + ")",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, key := range []secret.Key{next, strange} {
		if strings.Contains(text, key.Reveal()) {
			t.Error("a key is shown")
		}
	}
}

// A signal between two writes: everything goes back all the same.
func TestWritePlacesInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	oldA, oldB := newKey(t), newKey(t)
	a, b := &shelf{name: "a", key: oldA}, &shelf{name: "b", key: oldB}
	a.put = func(s *shelf, next secret.Key) error {
		s.key, s.put = next, nil
		cancel()
		return nil
	}
	err := writePlaces(ctx, placesOf(t, a, b), newKey(t))
	if code, _ := judge(err); code != exitInterrupted {
		t.Errorf("exit status %d: %v", code, err)
	}
	if !a.key.Equal(oldA) || !b.key.Equal(oldB) {
		t.Error("not put back")
	}
}
