package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
)

// ErrCompromised: the key is one that others are known to have, and would be put in
// force.
var ErrCompromised = errors.New("it is known to be compromised")

// KnownKeys are the keys that others are known to have, of whatever target.
type KnownKeys interface {
	Add(keys ...secret.Key) error
	Has(keys ...secret.Key) (bool, error) // one of them
}

// refuse is ErrCompromised where others know a key.
func (e *Env) refuse(key secret.Key) error {
	known, err := e.Compromised.Has(key)
	if known && err == nil {
		err = fmt.Errorf("%s: %w", key.Name(), ErrCompromised)
	}
	return err
}

// Known is what a state folder knows of stores, and of keys and where they were found:
// the ID of an open rotation of theirs, "" for none, and what a person has to be warned
// of. Without stores only the keys are looked up.
func Known(ctx context.Context, dir *state.Dir, set store.Set, keys proof.Questions) (open string, warnings []string) {
	for _, q := range keys {
		if known, err := dir.Compromised().Has(q.Key); known && err == nil {
			warnings = append(warnings, fmt.Sprintf("the key in %s is known to be compromised; blnkctl rotate --compromised replaces it", q.From[0]))
		}
	}
	if len(set) == 0 {
		return "", warnings
	}
	switch o, err := OpenOf(ctx, dir, set); {
	case err != nil:
		warnings = append(warnings, strings.TrimSuffix(fmt.Sprintf("%v; %s", err, hint.Of(err)), "; "))
	case o != nil:
		open = o.Rotation
		warnings = append(warnings, fmt.Sprintf("rotation %s is %s, %s: %s; %s", o.Rotation, o.Is(), o.Begun(), o.Where(), o.Help()))
	}
	return open, warnings
}

// beware: where one of the keys that would be replaced is known to others, there is
// no way back to it.
func (r *run) beware(p *Plan, old ...secret.Key) error {
	known, err := r.env.Compromised.Has(old...)
	if known && !r.in.Compromised {
		r.in.Compromised = true
		r.warn("a key that is replaced is known to be compromised: there is no way back to it")
		p.Remarks = append(p.Remarks, r.report.Warnings[len(r.report.Warnings)-1])
	}
	p.Compromised = r.in.Compromised
	return err
}

// learn takes note of it where an old key of the rotation has become known to others
// since it was begun.
func (r *run) learn() error {
	if r.rec.Compromised {
		return nil
	}
	known, err := r.env.Compromised.Has(slices.DeleteFunc(r.rec.open().Keys, r.rec.next().Equal)...)
	r.rec.Compromised = known
	return err
}

// onlyForward: a rotation of which the old key is compromised goes forward, and ends
// nowhere if the new one is.
func (r *run) onlyForward() error {
	err := r.env.refuse(r.rec.next())
	if err == nil && r.rec.Compromised {
		err = r.markCompromised(r.rec.live())
	}
	if err != nil || !r.rec.Compromised || !r.undoing() {
		return err
	}
	r.note("the old key is compromised: going on to the new one")
	r.rec.Direction, r.rec.Row = forward, rowSet
	return r.save()
}

// markCompromised remembers a key that the servers ran with, but for one that this
// rotation brings them.
func (r *run) markCompromised(live secret.Key) error {
	if r.rec != nil && live.Equal(r.rec.next()) {
		return nil
	}
	return r.env.Compromised.Add(live)
}
