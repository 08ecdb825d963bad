package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

type keygenOptions struct {
	use      choice
	format   choice
	bits     int
	stores   places
	ifAbsent bool
	force    bool
}

func newKeygenCmd(a *app) *cobra.Command {
	opt := &keygenOptions{
		use:    newChoice(string(keygen.SecretKey), string(keygen.Tokenization), string(keygen.MetricsToken)),
		format: newChoice(string(keygen.Prefixed), string(keygen.Base62), string(keygen.Base64URL), string(keygen.Hex)),
	}
	cmd := newCmd("", "keygen [flags]", func(cmd *cobra.Command) error {
		if err := checkKeygen(cmd, opt); err != nil {
			return err
		}
		if len(opt.stores.spec.Stores) > 0 {
			a.catchSignals()
			return fillStores(cmd.Context(), a, opt)
		}
		return printKey(a, opt)
	})
	flags := cmd.Flags()
	flags.Var(&opt.use, "for", "what the key is for; it chooses the field of a store: "+opt.use.words("or"))
	flags.Var(&opt.format, "format", "form of the key: "+opt.format.words("or"))
	flags.IntVar(&opt.bits, "bits", keygen.DefaultBits, fmt.Sprintf("random bits in the key, `number` from %d to %d", secret.MinBits, keygen.MaxBits))
	opt.stores.addStores(cmd, "`place` to put the key into, as blnkjson:./blnk.json (repeatable)")
	flags.BoolVar(&opt.ifAbsent, "if-absent", false, "change nothing where a good key stands in every store")
	flags.BoolVar(&opt.force, "force", false, "replace a key that stands there")
	opt.stores.addNetwork()
	actions(cmd, "force")
	brief(cmd)
	completeChoice(cmd, "for", opt.use)
	completeChoice(cmd, "format", opt.format)
	return cmd
}

// checkKeygen refuses flags that contradict each other.
func checkKeygen(cmd *cobra.Command, opt *keygenOptions) error {
	if keygen.Use(opt.use.value) == keygen.Tokenization {
		for _, name := range []string{"format", "bits"} {
			if typed(cmd, name) {
				return usage(helpHint(cmd), "--%s: a tokenization secret always has %d characters", name, keygen.TokenizationLength)
			}
		}
		if opt.force {
			return usage("", "--force: replacing the tokenization secret would make stored identities unreadable")
		}
	}
	if opt.bits < secret.MinBits || opt.bits > keygen.MaxBits {
		return usage(helpHint(cmd), "--bits %d: want %d to %d", opt.bits, secret.MinBits, keygen.MaxBits)
	}
	for _, name := range []string{"if-absent", "force"} {
		if typed(cmd, name) && len(opt.stores.spec.Stores) == 0 {
			return usage("name a place with --store", "--%s without --store", name)
		}
	}
	return refuseTogether(cmd, "if-absent", "force")
}

func printKey(a *app, opt *keygenOptions) error {
	key, err := opt.newKey()
	if err != nil {
		return err
	}
	if sharedOutput(a.env.Stdout) {
		a.warn("the file that the key is written to can be read by others")
	}
	if a.json() {
		bits := opt.bits
		if keygen.Use(opt.use.value) == keygen.Tokenization {
			bits = keygen.TokenizationBits
		}
		err = a.printJSON(struct {
			Key         string `json:"key"`
			Fingerprint string `json:"fingerprint"`
			Bits        int    `json:"bits"`
		}{key.Reveal(), key.Fingerprint(), bits})
	} else {
		err = a.print(key.Reveal() + "\n")
	}
	if err == nil {
		err = a.out.failed() // a key that nobody read is no key
	}
	return err
}

func (opt *keygenOptions) newKey() (secret.Key, error) {
	use := keygen.Use(opt.use.value)
	if use == keygen.Tokenization {
		return keygen.ForUse(use, "", 0) // it has one form
	}
	return keygen.ForUse(use, keygen.Format(opt.format.value), opt.bits)
}

// sharedOutput says whether w is a file that everybody may read.
func sharedOutput(w any) bool {
	f, ok := w.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o004 != 0
}

// fillStores is keygen --store.
func fillStores(ctx context.Context, a *app, opt *keygenOptions) error {
	use := keygen.Use(opt.use.value)
	opt.stores.field = use.Field
	set, err := a.openStores(&opt.stores)
	if err != nil {
		return err
	}
	key, old, err := set.Fill(ctx, store.Fill{
		IfAbsent: opt.ifAbsent, Force: opt.force, Weak: use.Weakness, New: opt.newKey,
		Before: func() error { return refuseOpen(a, opt, set) },
	})
	switch {
	case err == nil:
		return renderFilled(a, opt, set.Names(), key, old)
	case errors.Is(err, store.ErrPresent) && use == keygen.Tokenization:
		return hint.Add(err, "--if-absent leaves a good one where it is")
	case errors.Is(err, store.ErrPresent):
		return hint.Add(err, "--if-absent leaves a good key where it is; --force replaces it")
	}
	return err
}

// refuseOpen refuses stores of an open rotation: that has its own keys.
func refuseOpen(a *app, opt *keygenOptions, set store.Set) error {
	private, err := a.openState()
	if err != nil {
		return err
	}
	for _, ref := range set.Names() {
		if _, err := private.Target(ref).LoadJournal(); err != nil {
			return fail(exitStuck, err, "")
		}
	}
	err = a.refuseOverlap(&opt.stores, private, nil, set)
	if errors.Is(err, rotate.ErrOverlap) {
		err = fail(exitStuck, err, "")
	}
	return err
}

type filledJSON struct {
	Store  string `json:"store"`
	Result string `json:"result"` // created, replaced, unchanged
}

// renderFilled says what stands where now.
func renderFilled(a *app, opt *keygenOptions, refs []string, key secret.Key, old []secret.Key) error {
	var results []filledJSON
	replaced := false
	for i, ref := range refs {
		result := "replaced"
		switch {
		case old[i].Equal(key):
			result = "unchanged"
			a.say("%s: unchanged (%s)", ref, key.Name())
		case old[i].IsZero():
			result = "created"
			a.say("%s: new key (%s)", ref, key.Name())
		default:
			replaced = true
			a.say("%s: new key (%s) in place of %s", ref, key.Name(), old[i].Name())
		}
		results = append(results, filledJSON{ref, result})
	}
	if replaced {
		a.warn("a running server keeps the old %s until it is restarted, and its workers too", strings.ReplaceAll(opt.use.value, "-", " "))
	}
	if !a.json() {
		return nil
	}
	return a.printJSON(struct {
		Fingerprint string       `json:"fingerprint"`
		Stores      []filledJSON `json:"stores"`
	}{key.Fingerprint(), results})
}
