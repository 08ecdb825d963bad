package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

var (
	// ErrUnfinished: a rotation is open, and has to be ended first: its journal has the key,
	// and what ends it may not be what was asked for.
	ErrUnfinished = errors.New("a rotation is open")
	// ErrLeft: a place may still have the key that was to be ended.
	ErrLeft = errors.New("there is no way back any more, but not everything is done")
)

// Retire is the event of ending the previous key; Retired is its outcome.
const (
	Retire          = "retire"
	Retired Outcome = "retired"
)

// A Retirement is what ending the previous key did: Outcome is Retired, None where none
// was kept, or Refused.
type Retirement struct {
	Outcome  Outcome  `json:"result"`
	DryRun   bool     `json:"dry_run"`
	Previous []string `json:"previous"` // fingerprints; "" for a weak key
	From     []string `json:"from"`     // where they were kept, for people
}

// which says of which key it is.
func (r Retirement) which() string {
	keys := slices.Clone(r.Previous)
	for i, key := range keys {
		keys[i] = cmp.Or(key, "a weak key")
	}
	return cmp.Or(strings.Join(keys, " and "), "a key") + ", which was kept in " + screen.CleanLine(strings.Join(r.From, " and "))
}

// Text is the retirement for people.
func (r Retirement) Text(look screen.Look) string {
	switch {
	case r.Outcome == None:
		return "no previous key is kept\n"
	case r.DryRun:
		return "Retire " + r.which() + "\nDry run: nothing was changed.\n"
	}
	return look.Paint(screen.Green, "retired") + " " + r.which() + "\n"
}

// A kept is what is to be ended: the keys, and the stores that can be asked to.
type kept struct {
	Retirement
	dead   []secret.Key
	stores []store.Purger
	left   error // why a store could not be looked at: what it keeps, it goes on keeping
}

// EndPrevious ends the key that was in force before, wherever it is kept: in the state
// folder, and in each store that keeps old values, which are destroyed for good. Stores
// that disagree on the key that is in force are refused, and that one is never touched.
// It may be repeated. Of env it uses Lock, Recorder, Now, Who, Named, Stores and Confirm.
//
// The key in the state folder goes, whatever a store says. Where one cannot be asked, or
// does not let it, the error is ErrLeft, and there is no Rollback all the same.
func EndPrevious(ctx context.Context, t *target.Target, in Intent, env Env, dry bool) (Retirement, error) {
	k := kept{Retirement: Retirement{Outcome: Refused, DryRun: dry, Previous: []string{}, From: []string{}}}
	r, unlock, err := start(ctx, t, in, env)
	if err != nil {
		return k.Retirement, err
	}
	defer unlock()
	if r.rec != nil {
		return k.Retirement, r.unfinished()
	}
	err = r.findKept(ctx, &k)
	if err == nil {
		err = env.Recorder.Check()
	}
	switch {
	case err != nil:
	case len(k.From) > 0:
		if dry {
			err = errors.Join(k.left, r.Set.CheckPurge(ctx))
		} else if err = r.confirm(ctx, Plan{in: in, Due: Due{Why: k.which()}}); err == nil {
			err = r.retire(context.WithoutCancel(ctx), k)
		} else {
			break
		}
		if k.Outcome = Retired; err != nil {
			err = fmt.Errorf("%w: %w", ErrLeft, err)
		}
	case k.left != nil:
		err = r.advised(ctx, k.left)
	default:
		k.Outcome = None
	}
	return k.Retirement, err
}

// unfinished is the error of an open rotation, with what ends it.
func (r *run) unfinished() error {
	o := r.rec.open()
	return hint.Add(fmt.Errorf("%w: %s, %s", ErrUnfinished, o.Rotation, o.Begun()), "%s", o.Ways(r.env.Named))
}

// findKept finds the keys that are kept besides the current one, and where.
func (r *run) findKept(ctx context.Context, k *kept) error {
	current, err := r.Set.Agreed(ctx)
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx)
	case errors.Is(err, store.ErrDrift): // one of them may be the one that is kept
		return r.advised(ctx, err)
	}
	k.left = err
	add := func(key secret.Key, from string) {
		k.From = append(k.From, from)
		if !key.IsZero() && !key.Equal(current) && !slices.ContainsFunc(k.dead, key.Equal) {
			k.dead, k.Previous = append(k.dead, key), append(k.Previous, key.Fingerprint())
		}
	}
	p, err := r.State.LoadPrevious()
	switch {
	case err == nil && p.IsZero():
	case err == nil, errors.Is(err, state.ErrDamaged), errors.Is(err, state.ErrOtherVersion): // it goes, whoever wrote it
		add(p.Key, "the state folder")
	default:
		return err
	}
	if k.left != nil { // which key is in force is not known
		return nil
	}
	for _, s := range r.Set {
		if keeper, ok := s.(store.Keeper); ok {
			key, _, err := keeper.Previous(ctx)
			if err == nil {
				add(key, s.String())
			} else if !errors.Is(err, store.ErrNotFound) {
				k.left = errors.Join(k.left, err)
				continue
			}
		}
		if p, ok := s.(store.Purger); ok {
			k.stores = append(k.stores, p)
		}
	}
	return nil
}

// retire ends the keys, as many as it can. Nothing of it needs a store that answers, or
// room on the disk, but for what is remembered and recorded.
func (r *run) retire(ctx context.Context, k kept) error {
	marked := r.markRetired() // first: there is to be no way back to a key that is half gone
	err := r.State.ForgetPrevious()
	if marked != nil {
		marked = r.markRetired() // there may be room for it now
	}
	err = errors.Join(err, marked, k.left)
	for _, s := range k.stores {
		for _, key := range k.dead {
			err = errors.Join(err, s.Purge(ctx, key))
		}
	}
	if len(k.dead) == 0 { // nobody can read which it was, or it is in force
		k.dead = []secret.Key{{}}
	}
	for _, key := range k.dead {
		record := audit.Record{
			Event: Retire, Outcome: string(Retired), Old: key.Fingerprint(), Stores: r.Set.Names(), Actor: r.env.Who, Reason: r.in.Reason,
		}
		if err != nil {
			record.Error = oneLine(err.Error())
		}
		if failed := r.env.Recorder.Append(ctx, record); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// markRetired remembers that there is no way back from the key that is in force.
func (r *run) markRetired() error {
	history, err := r.State.LoadHistory()
	if err == nil {
		history.RetiredAt = r.env.Now().UTC()
		err = r.State.SaveHistory(history)
	}
	return err
}
