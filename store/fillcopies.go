package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/secret"
)

// held is what is known of a copy.
type held int

const (
	untold held = iota
	holdsNone
	holdsKey
)

// holds asks the copies.
func (f Fill) holds(ctx context.Context) ([]held, error) {
	all := make([]held, len(f.Copies))
	for i, c := range f.Copies {
		h, ok := c.(Holder)
		if !ok {
			continue
		}
		switch there, known, err := h.Holds(ctx); {
		case err != nil:
			return nil, err
		case there:
			all[i] = holdsKey
		case known:
			all[i] = holdsNone
		}
	}
	return all, nil
}

// copiesFilled decides by the copies, where no store holds a key: which one they hold
// nobody can read.
func (f Fill) copiesFilled(s Set, holds []held) (done bool, err error) {
	const help = "put the key that is in it into the others, if somebody has it: blnkctl keygen --key-file -; else --force gives all a new one"
	kept, count := 0, 0
	for i, h := range holds {
		switch {
		case !f.IfAbsent:
		case h == untold && len(s) == 0:
			return false, hint.Add(fmt.Errorf("--if-absent: %s: %w", f.Copies[i], ErrUntold), "give it an exists command in blnkctl.yaml, or name first a store that can be read")
		case h == holdsKey:
			kept = i
			count++
		}
	}
	switch {
	case count == 0:
		return false, nil
	case len(s) > 0:
		return false, hint.Add(fmt.Errorf("%w: %s holds a key and %s does not", ErrDrift, f.Copies[kept], s[0]), help)
	case count < len(holds):
		return false, hint.Add(fmt.Errorf("%w: %s holds a key and others do not", ErrDrift, f.Copies[kept]), help)
	}
	return true, nil
}

// writeAll gives the copies the key, and looks then whether the stores still have it: a
// lock keeps nobody on another host away, who may have written the copies before us.
func (f Fill) writeAll(ctx context.Context, s Set, holds []held, key secret.Key) (done []Filled, err error) {
	var failed []error
	for i, c := range f.Copies {
		one, err := f.write(ctx, c, holds[i], key)
		done, failed = append(done, one), append(failed, err)
	}
	help := "once the cause is mended, --force gives all one new key"
	if len(s) > 0 {
		now, err := s.Agreed(ctx)
		if err == nil && !now.Equal(key) {
			err = fmt.Errorf("%s: %w: it holds %s by now", s[0], ErrConflict, now.Name())
		}
		if failed = append(failed, err); err == nil {
			help = "once the cause is mended: blnkctl keygen --if-absent" + hint.Flags("--store", append(s.Names(), f.CopyNames()...))
		}
	}
	err = errors.Join(failed...)
	if len(s) == 0 && !slices.Contains(failed, nil) {
		return nil, err // there is nothing to tell but why
	}
	if err != nil {
		err = hint.Add(fmt.Errorf("%w: %w", ErrUnwritten, err), "%s", help)
	}
	return done, err
}

// CopyNames are the references of the copies.
func (f Fill) CopyNames() (all []string) {
	for _, c := range f.Copies {
		all = append(all, c.String())
	}
	return all
}

// write gives a copy the key, unless one stands there that is to stay.
func (f Fill) write(ctx context.Context, c Copy, before held, key secret.Key) (Filled, error) {
	one := Filled{Store: c.String()}
	switch {
	case before == holdsKey && !f.Force:
		one.Result, one.text = Unchanged, "unchanged (it can only be written: which key is in it is not known)"
		return one, nil
	case before == holdsKey:
		one.Result, one.text = Replaced, fmt.Sprintf("new key (%s) in place of another one; it cannot be read back", key.Name())
	case before == holdsNone:
		one.Result, one.text = Created, fmt.Sprintf("new key (%s); it cannot be read back", key.Name())
	default:
		one.Result, one.text = Written, fmt.Sprintf("written (%s); it can only be written: whether another key stood there is not known", key.Name())
	}
	err := c.Write(ctx, key)
	if err != nil {
		one.Result, one.text = Failed, "not written"
	}
	return one, err
}
