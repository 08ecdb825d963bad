package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/rotate"
)

func newRollbackCmd(a *app) *cobra.Command {
	o := &rotateOptions{intent: rotate.Intent{Event: rotate.Rollback, Weak: keygen.SecretKey.Weakness}}
	cmd := newCmd("", "rollback [TARGET] [flags]", func(cmd *cobra.Command) error { return a.runRotation(cmd.Context(), o) })
	o.addPlaces(cmd)
	o.addUsual(cmd)
	cmd.Flags().BoolVar(&o.intent.ServerDown, "server-down", false, "ask for no proof of the newer key: servers are stopped")
	o.addRare()
	actions(cmd, "server-down")
	return cmd
}

func newRetireCmd(a *app) *cobra.Command {
	o := &rotateOptions{intent: rotate.Intent{Event: rotate.Retire}}
	o.field = keygen.SecretKey.Field
	cmd := newCmd("", "retire [TARGET] [flags]", func(cmd *cobra.Command) error { return a.runRetire(cmd.Context(), o) })
	o.addStores(cmd, "`REF`: where the key is (default "+defaultStore+")")
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be destroyed, change nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	f.DurationVar(&o.lockTimeout, "lock-timeout", 0, "for another rotation to end")
	f.StringVar(&o.intent.Reason, "reason", "", "`TEXT`: for the audit log")
	o.addNetwork()
	actions(cmd, "dry-run", "yes")
	configured(cmd, "store")
	return cmd
}

// runRetire ends the previous key.
func (a *app) runRetire(ctx context.Context, o *rotateOptions) error {
	if err := atLeast(o.cmd, 0, "lock-timeout"); err != nil {
		return err
	}
	w := &work{app: a, rotateOptions: o}
	if err := w.openTarget(ctx); err != nil {
		return err
	}
	end, err := w.EndPrevious(ctx)
	a.changed = end.Outcome == rotate.Retired && !o.dryRun
	if end.Outcome != rotate.Refused {
		_ = a.result(end, a.env.Look.Fold(end.Text(a.env.Look))) // lostOutput says it
	}
	return err
}
