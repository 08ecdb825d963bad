package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/supervise"
)

// An exitStatus ends blnkctl with the exit status of a command, which said
// itself what there was to say.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

type execOptions struct {
	supervise.Options
	stores places
}

func newExecCmd(a *app) *cobra.Command {
	opt := &execOptions{stores: places{reads: true}}
	cmd := newCmd("", "exec [flags] -- COMMAND [ARG...]", func(cmd *cobra.Command) error {
		opt.Args = cmd.Flags().Args()
		return execFailure(cmd, runExec(cmd.Context(), a, opt))
	})
	cmd.Args = cobra.ArbitraryArgs
	// Whatever fails before the command runs, exits as docker run would.
	cmd.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		return execFailure(cmd, cmd.Root().PersistentPreRunE(cmd, args))
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return execFailure(cmd, flagError(cmd, err)) })
	flags := cmd.Flags()
	flags.SetInterspersed(false) // flags behind COMMAND are its own
	opt.stores.addStores(cmd, "`REF`: where the key is (default "+defaultStore+")")
	flags.StringVar(&opt.Variable, "env", "BLNK_SERVER_SECRET_KEY", "`NAME`: the variable that gets the key")
	flags.BoolVar(&opt.Again, "watch", false, "start the command again when the key has changed")
	flags.DurationVar(&opt.Interval, "interval", 30*time.Second, "how often to read the store, give or take a tenth")
	flags.DurationVar(&opt.KillTimeout, "kill-timeout", 100*time.Second, "for the command to end, before it is killed")
	opt.stores.addNetwork()
	configured(cmd, "store")
	return cmd
}

func runExec(ctx context.Context, a *app, opt *execOptions) error {
	if len(opt.stores.spec.Stores) > 1 && typed(opt.stores.cmd, "store") {
		return usage("name the source of truth alone", "--store is given twice: a command gets one key")
	}
	if err := cmp.Or(opt.Check(func(flag string) bool { return typed(opt.stores.cmd, flag) }), atLeast(opt.stores.cmd, 1, "kill-timeout")); err != nil {
		return err
	}
	if err := a.useDefault(&opt.stores); err != nil {
		return err
	}
	opt.stores.spec.Stores = opt.stores.spec.Stores[:1] // of a list, the source of truth
	stores, err := a.openStores(&opt.stores)
	if err != nil {
		return err
	}
	key, err := supervise.Read(ctx, stores[0])
	if err != nil {
		return err
	}
	var held proof.Questions
	held.Add(key, stores[0].String())
	a.warnOfKnown(ctx, nil, held)
	opt.Environ, opt.Source = a.env.Environ, stores[0]
	opt.Say, opt.Warn = func(line string) { a.say("%s", line) }, func(line string) { a.warn("%s", line) }
	if !opt.Again {
		a.env.AllowCoreDumps()
	}
	status, err := supervise.Run(ctx, key, opt.Options)
	if err == nil && status != 0 {
		err = exitStatus(status)
	}
	return err
}

// execFailure gives an error the exit code that exec has for it.
func execFailure(cmd *cobra.Command, err error) error {
	if _, ok := errors.AsType[exitStatus](err); ok || err == nil {
		return err
	}
	code, help := classify(err)
	if code == exitUsage {
		help = cmp.Or(help, helpHint(cmd))
	}
	if own := supervise.ExitCode(err); own != supervise.Failed {
		code, help = own, "" // not the hint for a store without permission
	} else if code != exitInterrupted {
		code = own
	}
	return fail(code, err, help)
}
