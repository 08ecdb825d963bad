package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
)

type keygenOptions struct {
	use      choice
	format   choice
	bits     int
	stores   storeFlags
	ifAbsent bool
	force    bool
}

func newKeygenCmd(a *app) *cobra.Command {
	opt := &keygenOptions{
		use:    newChoice(string(keygen.SecretKey), string(keygen.Tokenization), string(keygen.MetricsToken)),
		format: newChoice(string(keygen.Prefixed), string(keygen.Base62), string(keygen.Base64URL), string(keygen.Hex)),
	}
	cmd := &cobra.Command{
		Use:   "keygen [flags]",
		Short: "Make a strong random key",
		Long: `Make a strong random key, and print it or put it into stores.

A key of the default format is blnk_sk_, 43 characters for 256 random bits, and
6 characters that tell a whole key from one that was cut short. No shell, env
file, YAML, JSON or URL can mangle it, and secret scanners can find it.

With --store nothing is printed: the key goes into every store that is named. A
key that stands there already is not replaced, unless --force is given. To
replace the key of a running server, rotate it instead: a running server keeps
its key until it is restarted.`,
		Example: `  blnkctl keygen
  blnkctl keygen --store 'blnkjson:./blnk.json' --if-absent
  blnkctl keygen --for tokenization --store 'blnkjson:./blnk.json'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkKeygen(cmd, opt); err != nil {
				return err
			}
			return runKeygen(cmd.Context(), a, opt)
		},
	}
	flags := cmd.Flags()
	flags.Var(&opt.use, "for", "what the key is for; it chooses the field of a store: "+opt.use.words("or"))
	flags.Var(&opt.format, "format", "form of the key: "+opt.format.words("or"))
	flags.IntVar(&opt.bits, "bits", keygen.DefaultBits, fmt.Sprintf("random bits in the key, `number` from %d to %d", secret.MinBits, keygen.MaxBits))
	opt.stores.add(cmd, "`place` to put the key into, as blnkjson:./blnk.json (repeatable)")
	flags.BoolVar(&opt.ifAbsent, "if-absent", false, "change nothing where a good key stands in every store")
	flags.BoolVar(&opt.force, "force", false, "replace a key that stands there")
	addNetwork(cmd)
	actions(cmd, "force")
	brief(cmd)
	completeChoice(cmd, "for", opt.use)
	completeChoice(cmd, "format", opt.format)
	a.exits[cmd] = exits{
		exitOK:          "the key is made, or with --if-absent a good one stands everywhere",
		exitFailed:      "failed, or a key stands there already; nothing is changed",
		exitUsage:       "",
		exitStuck:       "a person is needed: a rotation is open, or stores hold different keys now",
		exitHeld:        "",
		exitCheck:       "with --if-absent: a weak key stands there, or stores differ",
		exitInterrupted: "interrupted; nothing is changed",
	}
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
		if typed(cmd, name) && len(opt.stores.refs) == 0 {
			return usage("name a place with --store", "--%s without --store", name)
		}
	}
	return refuseTogether(cmd, "if-absent", "force")
}

func runKeygen(ctx context.Context, a *app, opt *keygenOptions) error {
	if len(opt.stores.refs) > 0 {
		a.catchSignals()
		return putKey(ctx, a, opt)
	}
	key, bits, err := makeKey(opt)
	if err != nil {
		return err
	}
	if sharedOutput(a.env.Stdout) {
		a.warn("the file that the key is written to can be read by others")
	}
	if a.json() {
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

// tokenizationBits is the entropy of the 32 base62 characters that
// keygen.ForUse makes: 32 * log2(62), rounded down.
const tokenizationBits = 190

// makeKey makes the key that was asked for, and says how many random bits it
// has at least.
func makeKey(opt *keygenOptions) (secret.Key, int, error) {
	use := keygen.Use(opt.use.value)
	var key secret.Key
	var err error
	bits := opt.bits
	if use == keygen.Tokenization {
		bits = tokenizationBits
		key, err = keygen.ForUse(use, "", 0)
	} else {
		// Not ForUse, for which 0 bits are the usual number.
		key, err = keygen.Generate(keygen.Format(opt.format.value), bits)
	}
	if errors.Is(err, keygen.ErrUnsupported) {
		return key, 0, fail(exitUsage, err, "")
	}
	return key, bits, err
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
