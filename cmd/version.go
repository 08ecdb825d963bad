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

func thisBuild() build.Info {
	info, _ := debug.ReadBuildInfo()
	return build.Of(info)
}

func (a *app) printVersion() error {
	v := thisBuild()
	return a.show(v, fmt.Sprintf("blnkctl %v %s %s\n", v, v.Go, v.Platform))
}
