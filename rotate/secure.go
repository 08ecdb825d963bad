package rotate

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// findInsecure prepares what brings a strong key in force, and secure mode: whether the
// servers let any key in is asked, and decides about what is proved beforehand.
func (r *run) findInsecure(ctx context.Context, p *Plan) error {
	keys, err := r.Set.Keys(ctx)
	if err != nil {
		return err
	}
	secured, each, err := r.areSecured(ctx, keys)
	if err != nil {
		return err
	}
	p.WasOpen = len(r.Servers) > 0 && secured == proof.Open
	if err := r.findKey(ctx, p, keys, secured); err != nil {
		return err
	}
	if err := r.findChanges(ctx, p, keys); err != nil {
		return err
	}
	if err := r.beware(p, keys...); err != nil {
		return err
	}
	switch {
	case len(p.Differs) == 0 && (!p.WasOpen || !r.proves()):
		return r.alreadySecure(ctx, p, secured, each)
	case !r.proves() && secured == proof.Live && !p.Current.Equal(p.next):
		return hint.Add(errors.New("secure mode is on already, and the servers take another key: they have to be restarted with the new one"),
			"name what restarts them: blnkctl init%s --restart REF", r.env.Stores)
	}
	p.Due = Due{Yes: true, Why: "secure mode is not in place"}
	return nil
}

// areSecured says whether all servers let any key in (proof.Open), or none of them
// (proof.Live), and what each does. Where nothing is restarted, what does not answer is
// proof.Unknown.
func (r *run) areSecured(ctx context.Context, keys []secret.Key) (all proof.Verdict, each []proof.Verdict, err error) {
	candidate := secret.New(rand.Text() + rand.Text())
	for _, key := range keys {
		if blnk.Sendable(key) {
			candidate = key
		}
	}
	verdicts, lacks := r.each(candidate, func(s *proof.Server) (proof.Verdict, error) {
		if r.proves() {
			return r.patiently(ctx, s, candidate)
		}
		return s.Once(ctx, candidate)
	})
	all = proof.Unknown
	for i, v := range verdicts {
		switch {
		case v == proof.Unknown && r.proves():
			return v, nil, lacks[i]
		case v == proof.Unknown:
			r.note("not asked: %v", lacks[i])
			continue
		case v != proof.Open:
			v = proof.Live
		}
		if all != proof.Unknown && v != all {
			return v, nil, hint.Add(errors.New("secure mode is on at one of the servers and off at another"),
				"restart both, and run this again; or name those that are open, each with --server")
		}
		all = v
	}
	return all, verdicts, nil
}

// findKey decides which key is to be in force; none, where it is still to be made.
func (r *run) findKey(ctx context.Context, p *Plan, keys []secret.Key, secured proof.Verdict) (err error) {
	if secured == proof.Live && r.proves() { // one of them is live: which, the stores have to agree on
		if p.Current, err = r.Set.Agreed(ctx); err != nil {
			return err
		}
	}
	var strong secret.Key
	for i, key := range keys {
		known, err := r.env.Compromised.Has(key)
		switch {
		case err != nil:
			return err
		case key.IsZero() || known || r.in.Weak(key) != "":
		case strong.IsZero():
			strong = key
		case !strong.Equal(key) && r.in.Given.IsZero():
			return hint.Add(fmt.Errorf("%w: %s has %s, another one %s", store.ErrDrift, r.Set[i], key.Name(), strong.Name()),
				"say which one is to be in force: blnkctl init --key-file FILE%s%s", r.env.Stores, hint.Flags("--restart", r.Spec.Restart))
		}
	}
	p.next = strong
	if !r.in.Given.IsZero() {
		p.next = r.in.Given
	}
	if r.in.Standing && strong.IsZero() {
		why := "holds no key"
		if !keys[0].IsZero() {
			why = "has a key that " + cmp.Or(r.in.Weak(keys[0]), "is known to be compromised")
		}
		return hint.Add(fmt.Errorf("%w: %s %s", store.ErrWeak, r.Set[0], why), "first: blnkctl init --stage key%s", r.env.Named)
	}
	if err := r.env.refuse(p.next); err != nil {
		return err
	}
	standing := slices.DeleteFunc(slices.Clone(keys), secret.Key.IsZero)
	if p.Current.IsZero() && len(standing) > 0 && !slices.ContainsFunc(standing, func(k secret.Key) bool { return !k.Equal(standing[0]) }) {
		p.Current = standing[0] // what workers sign with
	}
	return nil
}

// findChanges compares every place with what it is to hold.
func (r *run) findChanges(ctx context.Context, p *Plan, keys []secret.Key) error {
	for i, s := range r.Places() {
		ref, want, what := s.String(), p.wants(s), "a new key"
		held, err := secret.Key{}, error(nil)
		if i < len(keys) {
			held = keys[i]
			if !want.IsZero() {
				what = "the key " + want.Name()
			}
		} else if held, err = store.Held(ctx, s); want.Reveal() == "true" {
			what = "true"
		} else {
			what = "a new token"
		}
		p.old[ref] = held
		if e, ok := s.(store.Eraser); ok && held.IsZero() && err == nil {
			p.absent[ref], err = e.Absence(ctx)
		}
		if err != nil {
			return err
		}
		if want.IsZero() || !held.Equal(want) {
			p.Differs = append(p.Differs, ref+": "+what)
		}
	}
	return nil
}

// alreadySecure ends a run that finds nothing to write. What the servers take is asked
// all the same.
func (r *run) alreadySecure(ctx context.Context, p *Plan, secured proof.Verdict, each []proof.Verdict) error {
	r.found(each)
	r.report.open, r.report.keyOnly = secured == proof.Open, r.in.KeyOnly
	switch secured {
	case proof.Live:
		p.Due.Why = "secure mode is on, and " + p.next.Name() + " is the live key"
		r.found(slices.Repeat([]proof.Verdict{secured}, len(r.Servers))) // which is what is proved
		return r.proveLive(ctx, p.next)
	case proof.Open:
		p.Due.Why = p.next.Name() + " stands in every place, and the servers let any key in"
	default:
		p.Due.Why = p.next.Name() + " stands in every place"
	}
	return nil
}
