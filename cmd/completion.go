package cmd

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newCompletionCmd(a *app) *cobra.Command {
	group := newGroup("completion")
	for shell, write := range map[string]func(root *cobra.Command, w io.Writer) error{
		"bash":       func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":        (*cobra.Command).GenZshCompletion,
		"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
	} {
		group.AddCommand(newCmd("completion", shell, func(cmd *cobra.Command) error {
			var b bytes.Buffer
			if err := write(cmd.Root(), &b); err != nil {
				return fmt.Errorf("make the completion script: %w", err)
			}
			return a.print(strings.TrimLeft(b.String(), "\n"))
		}))
	}
	return group
}
