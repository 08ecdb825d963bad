package cmd

import (
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
