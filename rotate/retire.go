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
	// ErrLeft: a place still has the key that was to be ended.
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

// Text is the retirement for people.
func (r Retirement) Text(look screen.Look) string {
	keys := slices.Clone(r.Previous)
	for i, key := range keys {
		keys[i] = cmp.Or(key, "a weak key")
	}
	which := fmt.Sprintf(" %s, which was kept in %s\n", cmp.Or(strings.Join(keys, " and "), "a key"), screen.CleanLine(strings.Join(r.From, " and ")))
	switch {
	case r.Outcome == None:
		return "no previous key is kept\n"
	case r.DryRun:
		return "Retire" + which + "Dry run: nothing was changed.\n"
	}
	return look.Paint(screen.Green, "retired") + which
}

// EndPrevious ends the key that was in force before, wherever it is kept: in the state
// folder, and in each store that keeps old values, which are destroyed for good. The
// stores have to agree on the key that is in force, and that one is never touched. It may
// be repeated. Of env it uses Lock, Recorder, Now, Who, Named and Stores.
//
// Where a store does not let it, the error is ErrLeft, and there is no Rollback all the same.
func EndPrevious(ctx context.Context, t *target.Target, in Intent, env Env, dry bool) (end Retirement, err error) {
	end = Retirement{Outcome: Refused, DryRun: dry, Previous: []string{}, From: []string{}}
	r, unlock, err := start(ctx, t, in, env)
	if err != nil {
		return end, err
	}
	defer unlock()
	if r.rec != nil {
		return end, r.unfinished()
	}
	current, err := r.Set.Agreed(ctx)
	if err != nil {
		return end, r.advised(ctx, err)
	}
	dead, err := r.findKept(ctx, current, &end)
	if c, ok := env.Recorder.(interface{ Check() error }); ok && err == nil {
		err = c.Check()
	}
	switch {
	case err != nil:
		return end, err
	case len(end.From) == 0:
		end.Outcome = None
		return end, nil
	}
	if dry {
		err = r.Set.CheckPurge(ctx)
	} else if err = r.markRetired(current); err == nil {
		err = r.retire(ctx, dead)
	} else {
		return end, err
	}
	end.Outcome = Retired
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrLeft, err)
	}
	return end, err
}

// unfinished is the error of an open rotation, with what ends it.
func (r *run) unfinished() error {
	o := r.rec.open()
	return hint.Add(fmt.Errorf("%w: %s, %s", ErrUnfinished, o.Rotation, o.Begun()), "%s", o.Ways(r.env.Named))
}

// findKept are the keys that are kept besides the current one, and where.
func (r *run) findKept(ctx context.Context, current secret.Key, end *Retirement) (dead []secret.Key, err error) {
	add := func(key secret.Key, from string) {
		end.From = append(end.From, from)
		if !key.IsZero() && !key.Equal(current) && !slices.ContainsFunc(dead, key.Equal) {
			dead, end.Previous = append(dead, key), append(end.Previous, key.Fingerprint())
		}
	}
	p, err := r.State.LoadPrevious()
	switch {
	case err == nil && p.IsZero():
	case err == nil, errors.Is(err, state.ErrDamaged), errors.Is(err, state.ErrOtherVersion): // it goes, whoever wrote it
		add(p.Key, "the state folder")
	default:
		return nil, err
	}
	for _, s := range r.Set {
		k, ok := s.(store.Keeper)
		if !ok {
			continue
		}
		switch key, _, err := k.Previous(ctx); {
		case err == nil:
			add(key, s.String())
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	return dead, nil
}

// markRetired comes first, so that there is no way back to a key that is half gone.
func (r *run) markRetired(current secret.Key) error {
	history, err := r.State.LoadHistory()
	if err == nil && history.Key == current.Fingerprint() {
		history.RetiredAt = r.env.Now().UTC()
		err = r.State.SaveHistory(history)
	}
	return err
}

// retire ends the keys, as many as it can.
func (r *run) retire(ctx context.Context, dead []secret.Key) error {
	err := r.State.ForgetPrevious()
	for _, s := range r.Set {
		if p, ok := s.(store.Purger); ok {
			for _, key := range dead {
				if failed := p.Purge(ctx, key); failed != nil {
					err = errors.Join(err, failed)
				}
			}
		}
	}
	if len(dead) == 0 { // nobody can read which it was, or it is in force
		dead = []secret.Key{{}}
	}
	for _, key := range dead {
		record := audit.Record{
			Event: Retire, Outcome: string(Retired), Old: key.Fingerprint(), Stores: r.Set.Names(), Actor: r.env.Who, Reason: r.in.Reason,
		}
		if err != nil {
			record.Error = oneLine(err.Error())
		}
		if failed := r.env.Recorder.Append(context.WithoutCancel(ctx), record); failed != nil {
			err = errors.Join(err, failed)
		}
	}
	return err
}
