package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/supervise"
)

// An exitStatus ends blnkctl with the exit status of a command, which said
// itself what there was to say.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

type execOptions struct {
	stores   places
	variable string
	watch    bool
	interval time.Duration
	kill     time.Duration
}

func newExecCmd(a *app) *cobra.Command {
	opt := &execOptions{stores: places{reads: true}}
	cmd := newCmd("", "exec [flags] -- COMMAND [ARG...]", func(cmd *cobra.Command) error {
		args := cmd.Flags().Args()
		err := checkExec(cmd, opt, args)
		if err == nil {
			err = runExec(cmd.Context(), a, opt, args)
		}
		return execFailure(cmd, err)
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
	flags.StringVar(&opt.variable, "env", "BLNK_SERVER_SECRET_KEY", "`NAME`: the variable that gets the key")
	flags.BoolVar(&opt.watch, "watch", false, "start the command again when the key has changed")
	flags.DurationVar(&opt.interval, "interval", 30*time.Second, "how often to read the store, give or take a tenth")
	flags.DurationVar(&opt.kill, "kill-timeout", 100*time.Second, "for the command to end, before it is killed")
	opt.stores.addNetwork()
	configured(cmd, "store")
	return cmd
}

func checkExec(cmd *cobra.Command, opt *execOptions, args []string) error {
	switch {
	case len(args) == 0 || args[0] == "":
		return usage(helpHint(cmd), "no command to run")
	case len(opt.stores.spec.Stores) > 1 && typed(cmd, "store"):
		return usage("name the source of truth alone", "--store is given twice: a command gets one key")
	case !run.IsVariable(opt.variable):
		return usage("", "--env%s: want a name of letters, digits and underscores", secret.Shown(opt.variable))
	case strings.HasPrefix(opt.variable, "BLNKCTL_"):
		return usage("", "--env: BLNKCTL_* variables are blnkctl's own")
	case opt.interval < supervise.MinInterval:
		return usage("", "--interval: want %v or more", supervise.MinInterval)
	}
	for _, name := range []string{"interval", "kill-timeout"} {
		if typed(cmd, name) && !opt.watch {
			return usage("add --watch", "--%s without --watch", name)
		}
	}
	return atLeast(cmd, 1, "kill-timeout")
}

func runExec(ctx context.Context, a *app, opt *execOptions, args []string) error {
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
	job := supervise.Options{
		Args: args, Environ: a.env.Environ, Variable: opt.variable,
		Source: stores[0], Interval: opt.interval, KillTimeout: opt.kill,
		Say:  func(line string) { a.say("%s", line) },
		Warn: func(line string) { a.warn("%s", line) },
	}
	status := 0
	if opt.watch {
		status, err = supervise.Watch(ctx, key, job)
	} else {
		a.env.AllowCoreDumps()
		err = supervise.Become(ctx, key, job)
	}
	if errors.Is(err, supervise.ErrNotFound) || errors.Is(err, supervise.ErrNotExecutable) {
		return fmt.Errorf("run%s: %w", secret.Shown(args[0]), err)
	}
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
