package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/rotate/site"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// initOptions are the flags that init has besides those of rotate.
type initOptions struct {
	stage, keyFile string
}

func newInitCmd(a *app) *cobra.Command {
	o := &rotateOptions{intent: rotate.Intent{Event: rotate.Init, Weak: keygen.SecretKey.Weakness}, bits: keygen.DefaultBits, init: &initOptions{}}
	o.intent.NewKey = o.newKey
	cmd := newCmd("", "init [TARGET] [flags]", func(cmd *cobra.Command) error {
		if o.init.keyFile != "" {
			if o.init.stage == "enforce" {
				return usage(helpHint(cmd), "--key-file: --stage enforce takes the key that stands")
			}
			var err error
			if o.intent.Given, err = a.readGiven(cmd.Context(), o.init.keyFile, keygen.SecretKey); err != nil {
				return err
			}
		}
		o.intent.KeyOnly, o.intent.Standing = o.init.stage == "key", o.init.stage == "enforce"
		if o.intent.KeyOnly && typed(cmd, "restart") {
			a.say("--stage key restarts nothing: secure mode stays off, and there is nothing to prove")
		}
		return a.runRotation(cmd.Context(), o)
	})
	o.addPlaces(cmd)
	f := cmd.Flags()
	choice(cmd, f, &o.init.stage, "stage", "", "what to do", "both", "key", "enforce")
	f.StringVar(&o.init.keyFile, "key-file", "", "`FILE`: take this key, - for stdin (default: make one)")
	o.addUsual(cmd)
	o.addRare()
	return cmd
}

// readGiven reads a key of --key-file, which has to be a good one.
func (a *app) readGiven(ctx context.Context, file string, use keygen.Use) (secret.Key, error) {
	key, from, err := a.readKey(ctx, file)
	if err != nil {
		return key, fail(exitUsage, fmt.Errorf("--key-file: %w", err), "")
	}
	if why := use.Weakness(key); why != "" {
		return key, fail(exitCheck, fmt.Errorf("%w: the key from %s %s", store.ErrWeak, from, why), "make one: blnkctl keygen; or leave --key-file away")
	}
	return key, nil
}

// securing is what init looks for besides a key.
func (w *work) securing() (*site.Secure, error) {
	file, err := w.configFile()
	if err != nil {
		return nil, err
	}
	in := &site.Secure{Offers: func(ctx context.Context, opt restart.Options) []string {
		opt.Env = w.env.Environ
		return w.restartSchemes().Offers(ctx, opt)
	}}
	if file.Path == "" {
		in.ConfigDir, err = w.env.Getwd()
	}
	if err == nil {
		in.Dir, err = w.dirOf(w.cmd, "store")
	}
	if w.canAsk() && !w.yes {
		in.Choose = w.chooseRestart
	}
	return in, err
}

// chooseRestart asks a person what restarts the server.
func (w *work) chooseRestart(ctx context.Context, question string, offers []string) (string, error) {
	answer, err := w.env.Stderr.Choose(ctx, w.env.Stdin, question, offers, "nothing: the files are written, and I restart it myself", func(text string) string {
		if strings.Contains(text, ":") {
			return ""
		}
		return "want a number, or SCHEME:PLACE; for a command: sh:" + text
	})
	if answer == "" || err != nil {
		return "", err
	}
	return answer, w.cmd.Flags().Set("restart", answer) // as if it had been typed
}
