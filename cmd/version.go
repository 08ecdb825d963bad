package cmd

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/internal/build"
)

func newVersionCmd(a *app) *cobra.Command {
	return newCmd("", "version", func(*cobra.Command) error { return a.printVersion() })
}

func (a *app) printVersion() error {
	info, _ := debug.ReadBuildInfo()
	v := build.Of(info)
	if a.json() {
		return a.printJSON(v)
	}
	return a.print(fmt.Sprintf("blnkctl %v %s %s\n", v, v.Go, v.Platform))
}
