package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A provision is the stores that keygen puts a key into, and what they held
// before: the zero Key for nothing.
type provision struct {
	store.Set
	old []secret.Key
}

type putResult struct {
	Store  string `json:"store"`
	Result string `json:"result"` // created, replaced, unchanged
}

// bringTogether is the way out where stores differ: one of their keys may be
// live.
const bringTogether = "blnkctl sync copies the key of one store to the others, and proves it"

// putKey is keygen --store: all stores get one new key, or none of them does.
func putKey(ctx context.Context, a *app, opt *keygenOptions) error {
	stores, err := opt.stores.open(a, keygen.Use(opt.use.value).Field)
	if err != nil {
		return err
	}
	p := provision{Set: stores}
	unlock, err := p.Lock(ctx, 0)
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.Repair(ctx); err != nil {
		return err
	}
	if p.old, err = p.Keys(ctx); err != nil {
		return err
	}
	if unchanged, err := p.judge(opt); err != nil {
		return err
	} else if unchanged {
		return p.report(a, p.old[0], opt)
	}
	if err := p.ready(ctx, a, &opt.stores); err != nil {
		return err
	}
	key, _, err := makeKey(opt)
	if err != nil {
		return err
	}
	if err := p.write(ctx, key); err != nil {
		return err
	}
	return p.report(a, key, opt)
}

// judge decides by what stands there: whether everything may stay as it is, or
// why nothing may be written.
func (p provision) judge(opt *keygenOptions) (unchanged bool, err error) {
	full := slices.IndexFunc(p.old, func(k secret.Key) bool { return !k.IsZero() })
	if opt.force || full < 0 {
		return false, nil
	}
	if !opt.ifAbsent {
		hint := "--if-absent leaves a good key where it is; --force replaces it"
		if keygen.Use(opt.use.value) == keygen.Tokenization {
			hint = "--if-absent leaves a good one where it is"
		}
		return false, fail(exitFailed, fmt.Errorf("%s holds a key already (%s)", p.Set[full], p.old[full].Name()), hint)
	}
	if empty := slices.IndexFunc(p.old, secret.Key.IsZero); empty >= 0 {
		return false, fail(exitCheck, fmt.Errorf("%s holds a key and %s does not", p.Set[full], p.Set[empty]), bringTogether)
	}
	for i, key := range p.old {
		if !key.Equal(p.old[0]) {
			return false, fail(exitCheck, fmt.Errorf("%s and %s hold different keys", p.Set[0], p.Set[i]), bringTogether)
		}
	}
	if fault := faultOf(p.old[0], opt); fault != "" {
		return false, fail(exitCheck, fmt.Errorf("the key in %s %s", p.Set[0], fault),
			"replace it with blnkctl rotate where a server runs with it; else with --force")
	}
	return true, nil
}

// faultOf says why a key that stands somewhere is no good one; "" where it is.
func faultOf(key secret.Key, opt *keygenOptions) string {
	check := keygen.Check
	if keygen.Use(opt.use.value) == keygen.Tokenization {
		check = keygen.CheckTokenization
	}
	found := check(key)
	if keygen.Worst(found) < keygen.Weak {
		return ""
	}
	return found[0].Text // the worst comes first
}

// ready makes sure, before the first store is written, that no rotation is open
// on the way and that every store could be written.
func (p provision) ready(ctx context.Context, a *app, flags *storeFlags) error {
	private, err := a.openState()
	if err != nil {
		return err
	}
	for _, ref := range p.Names() {
		if _, err := private.Target(ref).LoadJournal(); err != nil {
			return fail(exitStuck, err, "")
		}
	}
	if o, err := flags.overlapping(a, private, nil, p.Set); err != nil {
		return err
	} else if o != nil {
		return o.refusal(exitStuck)
	}
	return p.CheckPut(ctx)
}

// write puts the key into every store. After a failure the stores get back what
// they held; what could not be put back is told.
func (p provision) write(ctx context.Context, key secret.Key) error {
	change := store.Change{Set: p.Set, New: key, Old: func(ref string) secret.Key { return p.old[slices.Index(p.Names(), ref)] }}
	err := change.Put(ctx)
	if err == nil {
		return nil
	}
	problems := change.PutBack(context.WithoutCancel(ctx))
	if len(problems) == 0 {
		return err
	}
	e := &exitError{
		code: exitStuck,
		err:  fmt.Errorf("%w; not everything could be put back", err),
		hint: "once the cause is mended, run it again with --force: all stores get one new key",
	}
	for _, problem := range problems {
		e.details = append(e.details, problem.Error())
	}
	return e
}

// report says on stderr what stands where now.
func (p provision) report(a *app, key secret.Key, opt *keygenOptions) error {
	var results []putResult
	replaced := false
	for i, ref := range p.Names() {
		r := putResult{ref, "replaced"}
		switch old := p.old[i]; {
		case old.Equal(key):
			r.Result = "unchanged"
			a.say("%s: unchanged (%s)", ref, key.Name())
		case old.IsZero():
			r.Result = "created"
			a.say("%s: new key (%s)", ref, key.Name())
		default:
			replaced = true
			a.say("%s: new key (%s) in place of %s", ref, key.Name(), old.Name())
		}
		results = append(results, r)
	}
	if replaced {
		what := strings.ReplaceAll(opt.use.value, "-", " ")
		a.warn("a running server keeps the old %s until it is restarted, and its workers too", what)
	}
	if !a.json() {
		return nil
	}
	return a.printJSON(struct {
		Fingerprint string      `json:"fingerprint"`
		Stores      []putResult `json:"stores"`
	}{key.Fingerprint(), results})
}
