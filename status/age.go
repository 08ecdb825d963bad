package status

import (
	"context"
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

// previous finds until when the key before can be brought back.
func (t Target) previous(s *Standing, h state.History, current secret.Key) {
	p, err := t.Facts.State.Target(s.Stores[0].Ref).LoadPrevious()
	retired := h.Key == s.Key.Fingerprint && !h.RetiredAt.IsZero()                                // and whoever did it could not remove it
	if err == nil && !p.IsZero() && !p.Ended(s.now) && !retired && state.Marks(p.Next, current) { // else rollback has no use for it
		s.RollbackUntil = p.Until
	}
}
