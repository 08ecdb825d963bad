package cmd

import (
	"fmt"
	"maps"
	"slices"

	"github.com/blnkctl/blnkctl/restart"
	restartcommand "github.com/blnkctl/blnkctl/restart/command"
	"github.com/blnkctl/blnkctl/restart/compose"
	"github.com/blnkctl/blnkctl/restart/docker"
	"github.com/blnkctl/blnkctl/restart/systemd"
	"github.com/blnkctl/blnkctl/restart/wait"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/store/command"
	"github.com/blnkctl/blnkctl/store/dotenv"
	"github.com/blnkctl/blnkctl/store/vault"
)

// storeSchemes is every kind of place that can hold a key.
func (a *app) storeSchemes() store.Schemes {
	return store.Schemes{
		blnkjson.Scheme: blnkjson.Open,
		command.Scheme:  a.openCommandStore,
		dotenv.Scheme:   dotenv.Open,
		vault.Scheme:    vault.Open,
	}
}

// restartSchemes is every way to restart a Blnk server.
func (a *app) restartSchemes() restart.Schemes {
	return restart.Schemes{
		command.Scheme: restartcommand.Named(a.runOf),
		"compose":      compose.Scheme(),
		"docker":       docker.Scheme(),
		"manual":       wait.Manual(),
		"sh":           restartcommand.Sh(),
		"systemd":      systemd.Scheme(),
		"wait":         wait.Scheme(),
	}
}

// openRestart opens a restart driver. opt.Dir and opt.Env are those of this
// process where they are not set.
func openRestart(a *app, ref string, opt restart.Options) (restart.Scheme, restart.Driver, error) {
	scheme, place, err := a.restartSchemes().Find(ref)
	if err != nil {
		return restart.Scheme{}, nil, fail(exitUsage, err, "")
	}
	if opt.Dir == "" {
		if opt.Dir, err = a.env.Getwd(); err != nil {
			return restart.Scheme{}, nil, fmt.Errorf("find the working directory: %w", err)
		}
	}
	if opt.Env == nil {
		opt.Env = a.env.Environ
	}
	driver, err := scheme.Open(place, opt)
	if err != nil {
		return restart.Scheme{}, nil, fail(exitUsage, err, "")
	}
	return scheme, driver, nil
}

func storeSchemeNames() []string   { return schemeNames((&app{}).storeSchemes()) }
func restartSchemeNames() []string { return schemeNames((&app{}).restartSchemes()) }

// schemeNames lists the schemes as a reference begins with them.
func schemeNames[V any](table map[string]V) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(table)) {
		names = append(names, name+":")
	}
	return names
}
