package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/secret"
)

var (
	// ErrPresent: a store holds a key, and that is not to be replaced.
	ErrPresent = errors.New("holds a key already")
	// ErrWeak: the key that the stores hold is no good one.
	ErrWeak = errors.New("a good key was wanted")
	// ErrPartly: a Fill failed and could not put everything back.
	ErrPartly = errors.New("not everything could be put back")
	// ErrUntold: nobody can say whether a write-only copy holds a key.
	ErrUntold = errors.New("whether it holds a key is not known")
	// ErrUnwritten: everything else was filled, but a write-only copy was not.
	ErrUnwritten = errors.New("a write-only copy may have it or not")
)

// A Fill puts one new key into all stores of a Set, or into none of them.
type Fill struct {
	// Copies are written last, and what goes wrong with them takes nothing back. They
	// can be all that there is: then nobody can read the key again.
	Copies []Copy
	// IfAbsent: where every store holds the same good key, that is what was wanted.
	// Force: a key that stands there is replaced; NeverForce: no hint says so.
	IfAbsent, Force, NeverForce bool
	// Weak says why a key is no good one; "" where it is.
	Weak func(secret.Key) string
	// Refuse says why a key is not put back; nil refuses none.
	Refuse func(secret.Key) error
	// Before is the last check before the first store is written.
	Before func() error
	New    func() (secret.Key, error)
}

// A Filled is what a Fill did to one store.
type Filled struct {
	Store  string     `json:"store"`
	Result string     `json:"result"` // created, replaced, written, unchanged, failed
	Old    secret.Key `json:"-"`
	text   string
}

// Results. Written is that of a copy of which nobody knows what it held.
const (
	Created   = "created"
	Replaced  = "replaced"
	Written   = "written"
	Unchanged = "unchanged"
	Failed    = "failed"
)

// String tells it to a person.
func (f Filled) String() string { return f.Store + ": " + f.text }

// Fill returns the key that every store holds in the end. Unchanged stores are an
// end, too. With an ErrUnwritten there is everything else that was done.
//
// The lock is held until the copies are written: of two at once, one would ask a copy
// that the other is about to write, or write it last with the key that went first.
func (s Set) Fill(ctx context.Context, f Fill) (key secret.Key, done []Filled, err error) {
	unlock, err := s.Lock(ctx, 0)
	if err != nil {
		return key, nil, err
	}
	defer unlock()
	if err := s.Repair(ctx); err != nil {
		return key, nil, err
	}
	holds, err := f.holds(ctx)
	if err != nil {
		return key, nil, err
	}
	old, err := s.Keys(ctx)
	if err != nil {
		return key, nil, err
	}
	key, stays, err := s.filled(old, f, holds)
	if err == nil && !stays {
		key, err = s.put(ctx, f, old)
	}
	if err != nil {
		return key, nil, err
	}
	for i, ref := range s.Names() {
		one := Filled{ref, Replaced, old[i], fmt.Sprintf("new key (%s) in place of %s", key.Name(), old[i].Name())}
		if old[i].Equal(key) {
			one = Filled{ref, Unchanged, old[i], fmt.Sprintf("unchanged (%s)", key.Name())}
		} else if old[i].IsZero() {
			one = Filled{ref, Created, old[i], fmt.Sprintf("new key (%s)", key.Name())}
		}
		done = append(done, one)
	}
	if len(f.Copies) == 0 {
		return key, done, nil
	}
	copies, err := f.writeAll(ctx, s, holds, key)
	return key, append(done, copies...), err
}

// put writes a new key into every store, or puts everything back.
func (s Set) put(ctx context.Context, f Fill, old []secret.Key) (key secret.Key, err error) {
	if err := f.Before(); err != nil {
		return key, err
	}
	if err := s.CheckPut(ctx); err != nil {
		return key, err
	}
	for _, c := range f.Copies {
		if err := c.Check(ctx); err != nil {
			return key, err
		}
	}
	if key, err = f.New(); err != nil {
		return key, err
	}
	names := s.Names()
	change := Change{
		Set: s, New: key, Old: func(ref string) secret.Key { return old[slices.Index(names, ref)] },
		Refuse: f.Refuse,
	}
	if err = change.Put(ctx); err != nil {
		if problems := change.PutBack(context.WithoutCancel(ctx)); len(problems) > 0 {
			err = hint.Add(fmt.Errorf("%w; %w: %w; %s", err, ErrPartly, errors.Join(problems...), strings.Join(change.Holds(context.WithoutCancel(ctx)), "; ")),
				"once the cause is mended, run it again with --force: all stores get one new key")
		}
	}
	return key, err
}

// filled decides by what stands there: whether everything may stay as it is, or why
// nothing may be written. Of copies alone it returns no key: nobody can read it.
func (s Set) filled(old []secret.Key, f Fill, holds []held) (key secret.Key, done bool, err error) {
	full := slices.IndexFunc(old, func(k secret.Key) bool { return !k.IsZero() })
	kept := slices.Index(holds, holdsKey)
	switch {
	case f.Force:
		return key, false, nil
	case full >= 0 && !f.IfAbsent:
		err = fmt.Errorf("%s %w (%s)", s[full], ErrPresent, old[full].Name())
		if slices.ContainsFunc(old, secret.Key.IsZero) && !f.NeverForce { // --if-absent refuses that, too
			return key, false, hint.Add(err, "others hold none: --force gives all of them a new one; blnkctl sync copies one that is live")
		}
		return key, false, f.present(err)
	case kept >= 0 && !f.IfAbsent:
		return key, false, f.present(fmt.Errorf("%s %w", f.Copies[kept], ErrPresent))
	case full < 0:
		done, err = f.copiesFilled(s, holds)
		return key, done, err
	}
	if empty := slices.IndexFunc(old, secret.Key.IsZero); empty >= 0 {
		err = fmt.Errorf("%w: %s holds a key and %s does not", ErrDrift, s[full], s[empty])
	} else if other := slices.IndexFunc(old, func(k secret.Key) bool { return !k.Equal(old[0]) }); other >= 0 {
		err = fmt.Errorf("%w: %s and %s", ErrDrift, s[0], s[other])
	}
	if err != nil { // one of them may be live
		return key, false, hint.Add(err, "copy the one that is live to the others: blnkctl sync%s --restart REF", hint.Flags("--store", s.Names()))
	}
	if why := f.Weak(old[0]); why != "" {
		return key, false, hint.Add(fmt.Errorf("%w: the key in %s %s", ErrWeak, s[0], why),
			"replace it with blnkctl rotate where a server runs with it; else with --force")
	}
	return old[0], true, nil
}

// present is an ErrPresent with what helps.
func (f Fill) present(err error) error {
	help := "--if-absent leaves a good key where it is; --force replaces it"
	if f.NeverForce {
		help = "--if-absent leaves a good one where it is"
	}
	return hint.Add(err, "%s", help)
}
