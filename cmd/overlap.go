package cmd

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
)

// An overlap is a rotation that is open for another target, and one of its
// stores that is also meant here.
type overlap struct {
	open  *rotate.Open
	store store.Store
}

// overlapping looks for an open rotation of a target other than own (nil for
// none) that has one of the stores: a target is named after its first store as
// it is spelled, and a place can be named in other ways, or second. A journal
// that cannot be read is its own target's to tell.
func (f *storeFlags) overlapping(a *app, private *state.Dir, own *state.Target, stores []store.Store) (*overlap, error) {
	others, err := openElsewhere(private, own)
	for _, open := range others {
		held := f.identities(a, open.Target.Stores)
		for _, s := range stores {
			if slices.Contains(held, store.Identity(s)) || slices.Contains(held, s.String()) {
				return &overlap{open, s}, nil
			}
		}
	}
	return nil, err
}

// openElsewhere are the open rotations of the targets other than own (nil for
// none).
func openElsewhere(private *state.Dir, own *state.Target) (all []*rotate.Open, err error) {
	targets, err := private.OpenTargets()
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if own != nil && t.Path() == own.Path() {
			continue
		}
		data, err := t.LoadJournal()
		if err != nil {
			continue
		}
		if open, err := rotate.ReadJournal(data); err == nil && open != nil {
			all = append(all, open)
		}
	}
	return all, nil
}

// nothingToEnd refuses to say that there is nothing to abort or to abandon where
// the store was not typed, and a rotation of another one is open.
func (s *session) nothingToEnd(cmd *cobra.Command, own string) error {
	flag := "--abort"
	if s.options.abandon {
		flag = "--abandon"
	}
	if s.open != nil || given(cmd, "store") || !s.options.abort && !s.options.abandon {
		return nil
	}
	others, err := openElsewhere(s.state, s.folder)
	if err != nil || len(others) == 0 {
		return err
	}
	first := others[0].Target.Stores[0]
	return usage("name its first store: blnkctl rotate "+flag+" --store "+quoted(first),
		"no rotation of %s is open; one of %s is: %s, %s", own, first, others[0].Rotation, others[0].Begun())
}

// identities are what tells the places of references apart; of one that cannot
// be opened here (it has another environment), the reference itself.
func (f *storeFlags) identities(a *app, refs []string) []string {
	var ids []string
	opt, err := f.options(a)
	for _, ref := range refs {
		id := ref
		if err == nil {
			if s, err := a.storeSchemes().Open(ref, opt); err == nil {
				id = store.Identity(s)
			}
		}
		ids = append(ids, id)
	}
	return ids
}

// refusal is the error for who would have changed the key of an open rotation.
func (o *overlap) refusal(code int) error {
	first := o.open.Target.Stores[0]
	return fail(code, fmt.Errorf("%s is part of an open rotation: %s, %s, of %s", o.store, o.open.Rotation, o.open.Begun(), first),
		"blnkctl rotate --store "+quoted(first)+" finishes it, with --abort it goes back")
}
