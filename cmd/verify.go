package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/rotate/site"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

type verifyOptions struct {
	places
	keyFile string
	expect  string
}

func newVerifyCmd(a *app) *cobra.Command {
	opt := &verifyOptions{}
	cmd := newCmd("", "verify [TARGET] [flags]", func(cmd *cobra.Command) error { return runVerify(cmd.Context(), a, opt) })
	flags := cmd.Flags()
	opt.addStores(cmd, "`REF`: where a key is (default "+defaultStore+")")
	opt.addServers("`URL`: each server (default: the port in blnk.json)")
	flags.StringVar(&opt.keyFile, "key-file", "", "`FILE`: the key to ask for, - for stdin")
	choice(cmd, flags, &opt.expect, "expect", "", "what servers should do", proof.Accepted, proof.Refused)
	opt.addConnection()
	configured(cmd, "store", "server")
	return cmd
}

// openVerify opens the stores and finds the servers and the keys to ask them for.
func openVerify(ctx context.Context, a *app, opt *verifyOptions) (t *target.Target, questions proof.Questions, err error) {
	if noServer, noKey := len(opt.spec.Servers) == 0, opt.keyFile == ""; noServer || noKey {
		if err := a.useDefault(&opt.places); err != nil && noServer && noKey {
			return nil, nil, err
		}
	}
	t = &target.Target{Spec: opt.spec}
	if len(opt.spec.Stores) > 0 { // else the state folder does not matter
		if t.Set, err = a.openStores(&opt.places); err != nil {
			return nil, nil, err
		}
	}
	err = t.Locate(ctx, target.Openers{Server: a.openServer}, nil)
	if errors.Is(err, target.ErrNoServer) {
		err = hint.Add(err, "where the server's blnk.json is here: --store %s", hint.Quote(defaultStore))
	}
	if err == nil {
		questions, err = readKeys(ctx, a, opt, t.Set)
	}
	return t, questions, err
}

func runVerify(ctx context.Context, a *app, opt *verifyOptions) error {
	t, questions, err := openVerify(ctx, a, opt)
	if err != nil {
		return err
	}
	r := site.Verify(ctx, t, questions, opt.expect)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(t.Set) > 0 {
		r.Open = a.warnOfKnown(ctx, t.Set, questions)
	}
	return cmp.Or(a.result(r, r.Text(a.env.Look)), r.Err())
}

// warnOfKnown warns of what the state folder knows of stores and keys, and returns the
// ID of an open rotation of theirs.
func (a *app) warnOfKnown(ctx context.Context, set store.Set, keys proof.Questions) (open string) {
	if dir, err := a.openState(); err == nil {
		var warnings []string
		open, warnings = rotate.Known(ctx, dir, set, keys)
		for _, text := range warnings {
			a.warn("%s", text)
		}
	}
	return open
}

// readKeys reads the keys of the stores and of --key-file; with neither it asks for
// one. Stores that nobody typed say where the server is, where another key is asked for.
func readKeys(ctx context.Context, a *app, opt *verifyOptions, stores store.Set) (q proof.Questions, err error) {
	if opt.keyFile != "" && (fromFile(opt.cmd, "store") || !given(opt.cmd, "store")) {
		stores = nil
	}
	if err := q.Read(ctx, stores); err != nil {
		return nil, err
	}
	if opt.keyFile == "" && len(stores) > 0 {
		return q, nil
	}
	key, from, err := a.readKey(ctx, opt.keyFile)
	switch {
	case errors.Is(err, keygen.ErrNoKey):
		return nil, fail(exitUsage, fmt.Errorf("key from %s: %w", from, err), "")
	case errors.Is(err, keygen.ErrNoFile):
		return nil, fail(exitUsage, fmt.Errorf("--key-file: %w", err), "")
	case err != nil && from != "" && ctx.Err() == nil:
		return nil, fmt.Errorf("read the key from %s: %w", from, err)
	case err == nil:
		q.Add(key, from)
	}
	return q, err
}

// readKey reads a key, and says where it came from.
func (a *app) readKey(ctx context.Context, file string) (secret.Key, string, error) {
	source := keygen.Source{File: file, Stdin: a.env.Stdin}
	if a.canAsk() {
		source.Ask = func(ctx context.Context) (string, error) {
			return a.env.Stderr.AskHidden(ctx, a.env.Terminal, "Key (it is not shown): ")
		}
	}
	return source.Read(ctx)
}
