package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/secret"
)

// A Set is several stores that are to hold the same key: they are locked, read,
// agreed on, written and put back together. The first is the source of truth.
//
// Whoever changes something holds the lock, and calls Repair first. Methods may
// be called from one goroutine at a time.
type Set []Store

var (
	// ErrDrift: the stores of a Set hold different keys.
	ErrDrift = errors.New("the stores hold different keys")
	// ErrKept: a store held no key before, and cannot be emptied again.
	ErrKept = errors.New("it held none before, and no store forgets a key")
)

// Names are the references of the stores.
func (s Set) Names() []string {
	names := make([]string, 0, len(s))
	for _, one := range s {
		names = append(names, one.String())
	}
	return names
}

// Lock locks the place of every store that has a lock, and returns what unlocks
// them all. Two stores in one folder share one lock: a second one of the same
// process would wait for the first for ever. The order does not depend on the
// order of the stores, so that two processes cannot hold one lock each and wait
// for the other's. A lock that somebody else holds for longer than wait is
// flock.ErrHeld.
func (s Set) Lock(ctx context.Context, wait time.Duration) (unlock func(), err error) {
	paths, err := s.Folders()
	if err != nil {
		return nil, err
	}
	return flock.All(paths, func(path string) (func(), error) { return flock.Lock(ctx, path, wait) })
}

// Folders are those of the stores in files, each once, whatever paths lead to it, sorted.
func (s Set) Folders() ([]string, error) {
	var paths []string
	var infos []os.FileInfo
	err := each(s, func(one Store, l Locker) error {
		path, err := l.LockPath()
		if err != nil {
			return fmt.Errorf("lock %s: %w", one, err)
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // where there is no folder, there is nothing to keep others from
		}
		if err != nil {
			return fmt.Errorf("lock %s: %w", one, err)
		}
		if !slices.ContainsFunc(infos, func(i os.FileInfo) bool { return os.SameFile(i, info) }) {
			infos = append(infos, info)
			paths = append(paths, path)
		}
		return nil
	})
	slices.SortFunc(paths, strings.Compare)
	return paths, err
}

// each calls do for every store that can do what T names, until one fails.
func each[T any](s Set, do func(Store, T) error) error {
	for _, one := range s {
		if able, ok := one.(T); ok {
			if err := do(one, able); err != nil {
				return err
			}
		}
	}
	return nil
}

// Repair puts right what a crash left in the stores.
func (s Set) Repair(ctx context.Context) error {
	return each(s, func(_ Store, r Repairer) error { return r.Repair(ctx) })
}

// CheckPut says whether every store could be written.
func (s Set) CheckPut(ctx context.Context) error {
	return each(s, func(_ Store, c Checker) error { return c.CheckPut(ctx) })
}

// CheckPurge says whether every store that keeps old values could destroy them.
func (s Set) CheckPurge(ctx context.Context) error {
	return each(s, func(_ Store, p Purger) error { return p.CheckPurge(ctx) })
}

// Remarks is what the stores have to say in a plan.
func (s Set) Remarks(ctx context.Context) (all []string, err error) {
	err = each(s, func(_ Store, r Remarker) error {
		said, err := r.Remarks(ctx)
		all = append(all, said...)
		return err
	})
	return all, err
}

// SwappersFirst is the order of writing: stores whose Put is a real
// compare-and-swap come first, so that of two hosts only one gets past the first
// write.
func (s Set) SwappersFirst() Set {
	var swappers, others Set
	for _, one := range s {
		if sw, ok := one.(Swapper); ok && sw.Swaps() {
			swappers = append(swappers, one)
		} else {
			others = append(others, one)
		}
	}
	return append(swappers, others...)
}

// Keys reads every store; the key of one that holds none is the zero Key.
func (s Set) Keys(ctx context.Context) ([]secret.Key, error) {
	keys := make([]secret.Key, len(s))
	for i, one := range s {
		var err error
		if keys[i], err = Held(ctx, one); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// Agreed reads every store and returns the key that all of them hold; ErrDrift or
// ErrNotFound (wrapped) where they do not.
func (s Set) Agreed(ctx context.Context) (secret.Key, error) {
	var keys []secret.Key
	for _, one := range s {
		key, _, err := one.Get(ctx)
		if err != nil {
			return secret.Key{}, err
		}
		keys = append(keys, key)
	}
	for _, key := range keys[1:] {
		if !key.Equal(keys[0]) {
			var held []string
			for i, one := range s {
				held = append(held, fmt.Sprintf("%s has %s", one, keys[i].Name()))
			}
			return secret.Key{}, fmt.Errorf("%w: %s", ErrDrift, strings.Join(held, ", "))
		}
	}
	return keys[0], nil
}

// A Change is the replacement of the keys of a Set: Old tells, by reference, what
// each store held before (the zero Key for nothing).
type Change struct {
	Set Set
	Old func(ref string) secret.Key
	New secret.Key
	// NewCalled and OldCalled are what the two are called for people; "new" and "old" where
	// that is "".
	NewCalled, OldCalled string
	// Settings are places beside the keys (secure mode, say), each with a new value of
	// its own, which Values tells. They are written behind the keys, and put back first.
	Settings Set
	Values   func(ref string) secret.Key
	// Absence is, by reference, how a store looked that held nothing, for an Eraser to
	// bring back; nil, or "", where it keeps what it was given.
	Absence func(ref string) string
	// Refuse says why a key is not written, whatever it is for; nil refuses none.
	Refuse func(secret.Key) error
	// Wrote says that a Put was called since, so that a store may have held New
	// even if it holds something else now.
	Wrote bool
}

// Put writes the new key into every store that holds its old one, and reads it
// back. It may be repeated: a store that has the new key already is left alone. It
// stops at the first that fails, with ErrConflict where a store holds neither.
func (c *Change) Put(ctx context.Context) error {
	for _, one := range c.Set.SwappersFirst() {
		if err := c.replace(ctx, one, c.Old(one.String()), c.New); err != nil {
			return err
		}
	}
	for _, one := range c.Settings {
		if err := c.replace(ctx, one, c.Old(one.String()), c.Values(one.String())); err != nil {
			return err
		}
	}
	return nil
}

// Holds says of each store which key it holds, in one line where all hold the same.
// Without Old it calls none old or new.
func (c *Change) Holds(ctx context.Context) (lines []string) {
	same := true
	for _, one := range c.Set {
		key, _, err := one.Get(ctx)
		text := "holds another key, " + key.Name()
		switch {
		case errors.Is(err, ErrNotFound):
			text = "holds no key"
		case err != nil:
			text = fmt.Sprintf("cannot be read: %v", err)
		case c.Old == nil:
			text = "holds " + key.Name()
		case key.Equal(c.New):
			text = "holds the " + cmp.Or(c.NewCalled, "new") + " key, " + key.Name()
		case key.Equal(c.Old(one.String())):
			text = "holds the " + cmp.Or(c.OldCalled, "old") + " key, " + key.Name()
		}
		same = same && (len(lines) == 0 || strings.HasSuffix(lines[0], " "+text))
		lines = append(lines, one.String()+" "+text)
	}
	if same && len(lines) > 1 {
		lines = []string{"every store " + strings.TrimPrefix(lines[0], c.Set[0].String()+" ")}
	}
	for _, one := range c.Settings {
		key, err := Held(ctx, one)
		switch {
		case err != nil:
			lines = append(lines, fmt.Sprintf("%s cannot be read: %v", one, err))
		case isTruth(key), key.IsZero():
			lines = append(lines, one.String()+" is "+named(key))
		}
	}
	return lines
}

// Held is the key that a store holds; the zero Key where it holds none.
func Held(ctx context.Context, one Store) (secret.Key, error) {
	key, _, err := one.Get(ctx)
	if errors.Is(err, ErrNotFound) {
		return secret.Key{}, nil
	}
	return key, err
}

// isTruth knows the value of a setting that is no secret.
func isTruth(key secret.Key) bool { return key.Reveal() == "true" || key.Reveal() == "false" }

// named is what a key is called, or the value of a setting that is no secret.
func named(key secret.Key) string {
	switch {
	case isTruth(key):
		return key.Reveal()
	case key.IsZero():
		return "not set"
	}
	return key.Name()
}

// PutBack writes the old key into every store that holds the new one. A store that
// cannot be put back, or holds something else, is left as it is, and is one of the
// errors; the others go on. Where it is a setting, the keys stay, too.
func (c *Change) PutBack(ctx context.Context) (problems []error) {
	for _, one := range slices.Backward(c.Settings) {
		if err := c.replace(ctx, one, c.Values(one.String()), c.Old(one.String())); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return problems // secure mode without the key would let nobody in
	}
	// The last that was added to a file is the first to be taken out.
	for _, one := range slices.Backward(c.Set.SwappersFirst()) {
		if err := c.replace(ctx, one, c.New, c.Old(one.String())); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// replace puts next into a store that holds from. It looks first, so that it may
// be repeated, and afterwards, so that a write whose answer was lost still counts.
func (c *Change) replace(ctx context.Context, one Store, from, next secret.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	key, at, err := one.Get(ctx)
	if errors.Is(err, ErrNotFound) && (from.IsZero() || next.IsZero()) {
		err = nil // where there was nothing, nothing is what to expect
	}
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", one, err)
	case key.Equal(next):
		return nil
	case !key.Equal(from):
		return fmt.Errorf("%s: %w: it holds %s", one, ErrConflict, named(key))
	case next.IsZero():
		return c.erase(ctx, one, key, at)
	}
	if c.Refuse != nil {
		if err := c.Refuse(next); err != nil {
			return fmt.Errorf("%s holds %s now: %w", one, key.Name(), err)
		}
	}
	c.Wrote = true
	_, putErr := one.Put(ctx, next, at)
	key, _, err = one.Get(ctx)
	switch {
	case err == nil && key.Equal(next):
		return nil
	case putErr != nil:
		return fmt.Errorf("write %s: %w", one, putErr)
	case err != nil:
		return fmt.Errorf("read %s back: %w", one, err)
	default:
		return fmt.Errorf("%s: %w right after the write: it holds %s", one, ErrConflict, key.Name())
	}
}

// erase takes a key out of a store that held none before.
func (c *Change) erase(ctx context.Context, one Store, key secret.Key, at Version) error {
	eraser, ok := one.(Eraser)
	absence := ""
	if c.Absence != nil {
		absence = c.Absence(one.String())
	}
	if !ok || absence == "" {
		return fmt.Errorf("%s holds %s now: %w", one, key.Name(), ErrKept)
	}
	err := eraser.Erase(ctx, at, absence)
	switch now, failed := Held(ctx, one); {
	case failed == nil && now.IsZero():
		return nil
	case err != nil:
		return fmt.Errorf("take the new value out of %s: %w", one, err)
	default:
		return fmt.Errorf("%s: %w right after the write", one, ErrConflict)
	}
}

// SamePlace returns the first two stores that are the same place, or "", "".
func (s Set) SamePlace() (a, b string) {
	seen := map[string]string{}
	for _, one := range s {
		id := Identity(one)
		if first, ok := seen[id]; ok {
			return first, one.String()
		}
		seen[id] = one.String()
	}
	return "", ""
}
