package cmd

import (
	"maps"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/restart"
	restartcommand "github.com/blnkctl/blnkctl/restart/command"
	"github.com/blnkctl/blnkctl/restart/compose"
	"github.com/blnkctl/blnkctl/restart/docker"
	"github.com/blnkctl/blnkctl/restart/systemd"
	"github.com/blnkctl/blnkctl/restart/wait"
	"github.com/blnkctl/blnkctl/rotate/site"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/store/command"
	"github.com/blnkctl/blnkctl/store/dotenv"
	"github.com/blnkctl/blnkctl/store/vault"
	"github.com/blnkctl/blnkctl/target"
)

// storeSchemes is every kind of place that can hold a key.
func (a *app) storeSchemes() store.Schemes {
	return store.Schemes{
		blnkjson.Scheme: blnkjson.Open,
		command.Scheme:  command.Named(a.configFile),
		dotenv.Scheme:   dotenv.Open,
		vault.Scheme:    vault.Open,
	}
}

// restartSchemes is every way to restart a Blnk server.
func (a *app) restartSchemes() restart.Schemes {
	return restart.Schemes{
		command.Scheme: restartcommand.Named(a.configFile),
		"compose":      compose.Scheme(),
		"docker":       docker.Scheme(),
		"manual":       wait.Manual(),
		"sh":           restartcommand.Sh(),
		"systemd":      systemd.Scheme(),
		"wait":         wait.Scheme(),
	}
}

// schemeNames lists the schemes as a reference begins with them.
func schemeNames[V any](table map[string]V) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(table)) {
		names = append(names, name+":")
	}
	return names
}

// storeOpener opens a store, or a copy that can only be written.
func (a *app) storeOpener(p *places) func(string, target.Spec) (store.Store, store.Copy, error) {
	return func(ref string, spec target.Spec) (store.Store, store.Copy, error) {
		opt, err := a.storeOptions(p, spec)
		if err != nil {
			return nil, nil, err
		}
		if scheme, _, ok := strings.Cut(ref, ":"); ok && p.field != nil {
			opt.DefaultField = p.field(scheme)
		}
		return site.OpenStore(a.storeSchemes(), ref, opt)
	}
}

func (a *app) storeOptions(p *places, spec target.Spec) (opt store.Options, err error) {
	opt = store.Options{Env: a.env.Environ, Stdin: a.env.Stdin, Proxy: spec.Proxy, AllowPlaintext: spec.AllowPlaintext}
	if opt.Dir = p.dir; p.dir == "" {
		opt.Dir, err = a.dirOf(p.cmd, "store")
	}
	if err != nil {
		return opt, err
	}
	private, err := a.openState()
	switch {
	case err == nil:
		opt.CopyDir = private.CopyDir()
	case p.looks, p.reads && a.global.stateDir == "":
		err = nil
	}
	return opt, err
}

// openDriver opens a restart driver.
func (a *app) openDriver(ref string, opt restart.Options) (target.Driver, error) {
	opt.Env = a.env.Environ
	return site.OpenDriver(a.restartSchemes(), ref, opt)
}

// openServer takes the address of a server.
func (a *app) openServer(url string, spec target.Spec) (*proof.Server, error) {
	return site.OpenServer(url, spec, func(line string) { a.say("%s", line) })
}
