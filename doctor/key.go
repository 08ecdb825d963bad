package doctor

import (
	"context"
	"errors"
	"strconv"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/keygen"
)

// secureMode: what each configuration says of it.
func secureMode(ctx context.Context, f *Facts) (found []Finding, err error) {
	all := f.Configurations(ctx)
	for _, c := range all {
		if c.Err != nil || c.Effective == nil {
			err = errors.Join(err, c.Err)
			continue
		}
		if v := c.Effective.Value(blnk.Secure); !c.Effective.Secure() {
			text := "server.secure is not true: every request passes, without a key"
			if v.Shadowed() {
				text = v.Source + " turns secure mode off: every request passes, without a key"
			}
			found = append(found, Finding{
				Place: c.Place, Text: text, Evidence: []string{"read from " + v.Source},
				Remedy: "blnkctl init" + f.named(),
			})
		}
	}
	if len(all) == 0 {
		return nil, Unchecked("no configuration of a Blnk is seen")
	}
	return found, err
}

// randomRefused: what the servers do, whatever a configuration says.
func randomRefused(ctx context.Context, f *Facts) (found []Finding, err error) {
	live, err := f.Live(ctx)
	for _, s := range live.Servers {
		switch {
		case s.RandomRefused == nil:
			err = errors.Join(err, errors.New(s.Error))
		case !*s.RandomRefused:
			found = append(found, Finding{
				Place: s.URL, Text: "a random key is let in: the ledger is open to anybody who reaches it",
				Evidence: []string{strconv.Itoa(s.Connections) + " connections"},
				Remedy:   "blnkctl init" + f.named(),
			})
		}
	}
	return found, err
}

// keyThere: a store without a key, or one that cannot be read.
func keyThere(ctx context.Context, f *Facts) (found []Finding, err error) {
	for _, s := range f.Stores(ctx) {
		switch {
		case s.Err != nil:
			err = errors.Join(err, s.Err)
		case s.Key.IsZero():
			found = append(found, Finding{Place: s.Ref, Text: "holds no key", Remedy: "blnkctl init" + f.named()})
		}
	}
	return found, err
}

// keyStrong: by the same judge as rotate.
func keyStrong(ctx context.Context, f *Facts) (found []Finding, err error) {
	if len(f.Keys(ctx)) == 0 {
		return nil, ErrNothing
	}
	for _, s := range f.Stores(ctx) {
		if why := keygen.SecretKey.Weakness(s.Key); !s.Key.IsZero() && why != "" {
			found = append(found, Finding{Place: s.Ref, Text: "the key " + why, Remedy: "blnkctl rotate" + f.named()})
		}
	}
	return found, err
}

// noDrift: all stores hold one key.
func noDrift(ctx context.Context, f *Facts) (found []Finding, err error) {
	stores := f.Stores(ctx)
	if len(stores) < 2 {
		return nil, ErrNothing
	}
	for _, s := range stores {
		if !s.Key.IsZero() && !stores[0].Key.IsZero() && !s.Key.Equal(stores[0].Key) {
			found = append(found, Finding{
				Place: s.Ref, Text: "holds another key than " + stores[0].Ref,
				Evidence: []string{s.Ref + ": " + s.Key.Name(), stores[0].Ref + ": " + stores[0].Key.Name()},
				Remedy:   "blnkctl sync" + f.named(),
			})
		}
	}
	return found, nil
}

// named are the flags that name what this is about, for a remedy.
func (f *Facts) named() string {
	return hint.Flags("--store", f.Spec.Stores) + hint.Flags("--restart", f.Spec.Restart) + hint.Flags("--server", f.Spec.Servers)
}
