package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/internal/ghactions"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

type keygenOptions struct {
	use, format     string
	bits            int
	stores          places
	ifAbsent, force bool
	keyFile         string
	env, output     string // of GitHub Actions

	given  secret.Key
	export *ghactions.Export // nil: nobody is given the key
}

func newKeygenCmd(a *app) *cobra.Command {
	opt := &keygenOptions{}
	cmd := newCmd("", "keygen [flags]", func(cmd *cobra.Command) error {
		if err := checkKeygen(cmd, opt); err != nil {
			return err
		}
		var err error
		if opt.env+opt.output != "" && a.json() {
			return usage(helpHint(cmd), "--github-env and --github-output: what masks the key is no JSON")
		}
		if opt.export, err = ghactions.Open(a.env.Getenv, a.out, opt.env, opt.output); err != nil {
			return err
		}
		if opt.output != "" {
			a.warn("GitHub drops an output of a job that has a masked value: only later steps of this job have it")
		}
		if len(opt.stores.spec.Stores) > 0 {
			a.env.CatchSignals()
			return fillStores(cmd.Context(), a, opt)
		}
		return printKey(a, opt)
	})
	flags := cmd.Flags()
	opt.stores.addStores(cmd, "`REF`: where to put the key, as blnkjson:./blnk.json")
	flags.BoolVar(&opt.ifAbsent, "if-absent", false, "change nothing where a good key stands in every store")
	flags.BoolVar(&opt.force, "force", false, "replace a key that stands there")
	choice(cmd, flags, &opt.use, "for", "", "use and field", string(keygen.SecretKey), string(keygen.Tokenization), string(keygen.MetricsToken))
	choice(cmd, flags, &opt.format, "format", "", "form", "prefixed", "base62", "base64url", "hex")
	flags.IntVar(&opt.bits, "bits", keygen.DefaultBits, fmt.Sprintf("random bits in the key, from %d to %d", secret.MinBits, keygen.MaxBits))
	flags.StringVar(&opt.keyFile, "key-file", "", "`FILE`: put this key there, - for stdin (default: make one)")
	flags.StringVar(&opt.env, "github-env", "", "`NAME`: a variable for later steps of GitHub Actions; the key is masked")
	flags.StringVar(&opt.output, "github-output", "", "`NAME`: an output of this step; the key is masked")
	opt.stores.addNetwork()
	actions(cmd, "force", "key-file", "github-env", "github-output")
	return cmd
}

// checkKeygen refuses flags that contradict each other.
func checkKeygen(cmd *cobra.Command, opt *keygenOptions) error {
	if keygen.Use(opt.use) == keygen.Tokenization {
		for _, name := range []string{"format", "bits"} {
			if typed(cmd, name) {
				return usage(helpHint(cmd), "--%s: a tokenization secret always has %d characters", name, keygen.TokenizationLength)
			}
		}
		if opt.force {
			return usage("", "--force: replacing the tokenization secret would make stored identities unreadable")
		}
		opt.format, opt.bits = "", 0 // it has one form
	} else if err := checkBits(cmd, opt.bits); err != nil {
		return err
	}
	for _, name := range []string{"if-absent", "force", "key-file"} {
		if typed(cmd, name) && len(opt.stores.spec.Stores) == 0 {
			return usage("name a place with --store", "--%s without --store", name)
		}
	}
	return cmp.Or(refuseTogether(cmd, "key-file", "bits"), refuseTogether(cmd, "key-file", "format"), refuseTogether(cmd, "if-absent", "force"))
}

func checkBits(cmd *cobra.Command, bits int) error {
	if bits < secret.MinBits || bits > keygen.MaxBits {
		return usage(helpHint(cmd), "--bits %d: want %d to %d", bits, secret.MinBits, keygen.MaxBits)
	}
	return nil
}

func printKey(a *app, opt *keygenOptions) error {
	key, err := opt.newKey()
	switch {
	case err != nil:
		return err
	case opt.export != nil:
		return opt.export.Give(key)
	}
	if a.env.Getenv("GITHUB_ACTIONS") == "true" {
		a.warn("nothing masks this key in the log of the job; --github-env NAME does, and gives it to later steps")
	}
	if a.out.Shared() {
		a.warn("the file that the key is written to can be read by others")
	}
	text := key.Reveal() + "\n"
	if a.json() {
		text, err = screen.JSON(struct {
			Key         string `json:"key"`
			Fingerprint string `json:"fingerprint"`
			Bits        int    `json:"bits"`
		}{key.Reveal(), key.Fingerprint(), keygen.Use(opt.use).Bits(opt.bits)})
	}
	if err == nil {
		err = a.print(text)
	}
	return cmp.Or(err, a.out.Failed()) // a key that nobody read is no key
}

// newKey makes the key, or takes the one that was given. What masks it comes before
// everything that could show it.
func (opt *keygenOptions) newKey() (key secret.Key, err error) {
	if key = opt.given; key.IsZero() {
		key, err = keygen.ForUse(keygen.Use(opt.use), keygen.Format(opt.format), opt.bits)
	}
	if err == nil {
		err = opt.export.Mask(key)
	}
	return key, err
}

// fillStores is keygen --store.
func fillStores(ctx context.Context, a *app, opt *keygenOptions) error {
	use := keygen.Use(opt.use)
	opt.stores.field = use.Field
	open := target.Openers{Store: a.storeOpener(&opt.stores)}
	file, err := a.configFile()
	if err != nil {
		return err
	}
	a.global.stateDir = cmp.Or(a.global.stateDir, file.StateDir)
	set, copies, err := target.OpenPlaces(&opt.stores.spec, open)
	if err != nil {
		return err
	}
	private, err := a.openState()
	if err == nil && opt.keyFile != "" {
		opt.given, err = a.readGiven(ctx, opt.keyFile, use)
	}
	if err != nil {
		return err
	}
	key, done, err := rotate.Fill(ctx, private, set, store.Fill{
		Copies: copies, IfAbsent: opt.ifAbsent, Force: opt.force, NeverForce: use == keygen.Tokenization, Weak: use.Weakness, New: opt.newKey,
		Before: func() error { return rotate.RefuseOverlap(ctx, private, nil, set, opt.stores.spec, open) },
	}, rotate.Env{Recorder: a.auditLog(private), Who: a.actor(), Compromised: private.Compromised()})
	if len(done) > 0 {
		err = cmp.Or(err, opt.export.Give(key))
		renderFilled(a, opt, key, done)
		return err
	}
	if errors.Is(err, rotate.ErrOverlap) { // it has its own keys
		err = fail(exitStuck, err, "")
	}
	return err
}

// renderFilled says what stands where now.
func renderFilled(a *app, opt *keygenOptions, key secret.Key, done []store.Filled) {
	replaced := false
	for _, one := range done {
		a.say("%s", one)
		a.changed, replaced = a.changed || one.Result != store.Unchanged, replaced || one.Result == store.Replaced
	}
	if replaced {
		a.warn("a running server keeps the old %s until it is restarted, and its workers too", strings.ReplaceAll(opt.use, "-", " "))
	}
	if !opt.given.IsZero() && !opt.given.Equal(key) {
		a.warn("another key stands there than the one that was given: --force replaces it")
	}
	if a.json() {
		_ = a.printJSON(struct { // lostOutput says it
			Fingerprint string         `json:"fingerprint"`
			Stores      []store.Filled `json:"stores"`
		}{key.Fingerprint(), done})
	}
}
