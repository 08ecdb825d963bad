package status

import (
	"context"
	"errors"
	"time"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// clock asks whether the key is due as a rotation would ask, in whose words its spec is.
func (t Target) clock(ctx context.Context, h state.History) rotate.Due {
	f := t.Facts
	c := rotate.Clock{History: h, Key: f.Stores(ctx)[0].Key, Target: f.Spec, Now: f.Now(), Written: func() (since time.Time) {
		if d, ok := f.Stores(ctx)[0].Opened.(store.Dated); ok {
			since, _ = d.Created(ctx) // not known, then
		}
		return since
	}}
	if opened, err := target.Open(f.Spec, f.Open); err == nil && opened.Locate(ctx, f.Open, nil) == nil {
		c.Target = opened.Spec
	}
	d, _ := c.Ask(rotate.Intent{Policy: t.Policy, Weak: keygen.SecretKey.Weakness, IfUnknown: rotate.AdoptUnknown}) // which guesses
	return d
}

// previous finds the way back that rollback would find.
func (t Target) previous(ctx context.Context, s *Standing, current secret.Key) {
	f := t.Facts
	opened, _ := f.Target(ctx)
	one := &target.Target{Set: opened.Set, State: f.State.Target(s.Stores[0].Ref)}
	b, err := rotate.LookBack(ctx, one, rotate.Env{Now: f.Now, Compromised: f.State.Compromised()}, current)
	if s.RollbackUntil, s.RollbackFrom = b.Until, b.From; !errors.Is(err, rotate.ErrNoPrevious) {
		s.unseenAll(err)
	}
}
