// Command compose is Docker Compose 2 for the tests, as the plugin that
// `docker compose` runs. It ships in no binary.
//
// It is upstream's own program but for its version's text and its tracing,
// and does not promise to answer questions: it asks none, so it must be run
// where there are none.
package main

import (
	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/cli/cli-plugins/plugin"
	"github.com/docker/cli/cli/command"
	commands "github.com/docker/compose/v2/cmd/compose"
	"github.com/docker/compose/v2/pkg/compose"
	"github.com/spf13/cobra"
)

func main() {
	plugin.Run(
		func(cli command.Cli) *cobra.Command {
			root := commands.RootCommand(cli, compose.NewComposeService(cli))
			prepare := root.PersistentPreRunE
			root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
				if err := plugin.PersistentPreRunE(cmd, args); err != nil {
					return err
				}
				return prepare(cmd, args)
			}
			return root
		},
		metadata.Metadata{SchemaVersion: "0.1.0", Vendor: "Docker Inc.", Version: "v2.40.3"},
	)
}
