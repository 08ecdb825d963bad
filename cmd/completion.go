package cmd

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newCompletionCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion",
		Short: "Print a shell completion script",
		Long:  "Print a script that completes blnkctl's commands and flags in a shell.",
		Args:  cobra.ArbitraryArgs,
		RunE:  runGroup,
	}
	for _, s := range shells() {
		sub := &cobra.Command{
			Use:     s.name,
			Short:   "Print the completion script for " + s.name,
			Example: s.example,
			Args:    noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return runCompletion(a, cmd.Root(), s.write)
			},
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

type shell struct {
	name    string
	example string
	write   func(root *cobra.Command, w io.Writer) error
}

func shells() []shell {
	return []shell{
		{"bash", "  source <(blnkctl completion bash)", func(root *cobra.Command, w io.Writer) error {
			return root.GenBashCompletionV2(w, true)
		}},
		{"zsh", `  blnkctl completion zsh >"${fpath[1]}/_blnkctl"`, (*cobra.Command).GenZshCompletion},
		{"fish", "  blnkctl completion fish | source", func(root *cobra.Command, w io.Writer) error {
			return root.GenFishCompletion(w, true)
		}},
		{"powershell", "  blnkctl completion powershell | Out-String | Invoke-Expression", (*cobra.Command).GenPowerShellCompletionWithDesc},
	}
}

func runCompletion(a *app, root *cobra.Command, write func(*cobra.Command, io.Writer) error) error {
	var b bytes.Buffer
	if err := write(root, &b); err != nil {
		return fmt.Errorf("make the completion script: %w", err)
	}
	return a.print(strings.TrimLeft(b.String(), "\n"))
}
