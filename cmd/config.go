package cmd

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

func newConfigCmd(a *app) *cobra.Command {
	schema := newCmd("config", "schema", func(*cobra.Command) error { return a.print(string(config.Schema())) })
	return newGroup("config", newConfigShowCmd(a), newConfigInitCmd(a), newConfigCheckCmd(a), newConfigPolicyCmd(a), schema)
}

func newConfigShowCmd(a *app) *cobra.Command {
	var p places
	origins := true
	cmd := newCmd("config", "show [TARGET] [flags]", func(cmd *cobra.Command) error { return runConfigShow(cmd, a, origins) })
	p.addAll(cmd)
	cmd.Flags().BoolVar(&origins, "origin", true, "where each value comes from, in a column")
	configured(cmd, "store", "restart", "server")
	return cmd
}

// addAll adds the flags of what blnkctl.yaml can say of a target's places.
func (p *places) addAll(cmd *cobra.Command) {
	p.addStores(cmd, "`REF`: where the key is")
	cmd.Flags().StringArrayVar(&p.spec.Restart, "restart", nil, "`REF`: what restarts server and workers")
	cmd.Flags().StringArrayVar(&p.spec.Servers, "server", nil, "`URL`: each server")
}

func newConfigInitCmd(a *app) *cobra.Command {
	var p places
	cmd := newCmd("config", "init [flags]", func(cmd *cobra.Command) error { return runConfigInit(a, &p) })
	p.addAll(cmd)
	return cmd
}

func runConfigInit(a *app, p *places) error {
	path, err := a.abs(cmp.Or(a.global.config, config.Name))
	if len(p.spec.Stores) == 0 {
		p.spec.Stores = []string{defaultStore}
	}
	p.dir = filepath.Dir(path)
	if err == nil {
		err = config.Make(path, config.Target{Stores: p.spec.Stores, Restart: p.spec.Restart, Servers: p.spec.Servers}, a.checkReference(p))
	}
	if err == nil {
		a.say("made %s", path)
	}
	return err
}

// checkReference opens what blnkctl.yaml names, which asks nobody and changes nothing.
func (a *app) checkReference(p *places) func(flag, ref string) error {
	return func(flag, ref string) (err error) {
		switch flag {
		case "store":
			_, _, err = a.storeOpener(p)(ref, p.spec)
		case "restart":
			_, err = a.openDriver(ref, restart.Options{Dir: p.dir})
		default:
			_, err = a.openServer(ref, target.Spec{AllowPlaintext: true}) // a flag may allow it
		}
		return err
	}
}

func newConfigCheckCmd(a *app) *cobra.Command {
	return newCmd("config", "check", func(cmd *cobra.Command) error {
		file, err := a.configFile()
		if err == nil && file.Path == "" {
			err = usage("make one: blnkctl config init", "there is no %s", config.Name)
		}
		if err != nil {
			return err
		}
		p := &places{cmd: cmd, dir: file.Dir, reads: true}
		if _, err = config.Check(file.Path, a.checkReference(p)); err == nil {
			err = target.Overlap(file.AllStores(), nil, target.Openers{Store: a.storeOpener(p)})
		}
		if err != nil {
			return fail(exitUsage, err, "")
		}
		for _, line := range a.openTeller(p, file.Notices()).Check() {
			a.warn("%s", line) // here: a variable may be set where cron runs it
		}
		names := append([]string{}, file.Names()...)
		return a.show(map[string]any{"file": file.Path, "targets": names}, "good: "+file.Called()+"\n")
	})
}

func runConfigShow(cmd *cobra.Command, a *app, origins bool) error {
	file, err := a.configFile()
	dir, failed := a.openState()
	if err = cmp.Or(err, failed); err != nil {
		return err
	}
	usual := map[string]string{"store": defaultStore, "server": "the port in blnk.json, on this host", "state-dir": dir.Path()}
	var rows config.Rows
	for _, name := range []string{"store", "restart", "server", "state-dir"} {
		row := config.Row{Name: name, Values: []string{}, Origin: cmp.Or(origin(cmd, name), "default")}
		if f := cmd.Flags().Lookup(name); f.Changed {
			row.Values = valuesOf(f)
		} else if usual[name] != "" {
			row.Values = []string{usual[name]}
		}
		rows = append(rows, row)
	}
	rows = append(rows, file.Rows(a.target)...)
	return a.show(map[string]any{"file": file.Path, "settings": rows}, rows.Text(a.env.Look, origins))
}

func newConfigPolicyCmd(a *app) *cobra.Command {
	p := &places{}
	cmd := newCmd("config", "policy STORE", func(cmd *cobra.Command) error {
		if p.spec.Stores = cmd.Flags().Args(); len(p.spec.Stores) != 1 {
			return usage(helpHint(cmd), "want one STORE, such as vault:secret/blnk")
		}
		return runConfigPolicy(cmd.Context(), a, p)
	})
	cmd.Args = cobra.ArbitraryArgs
	p.cmd = cmd
	p.addNetwork()
	configured(cmd)
	return cmd
}

func runConfigPolicy(ctx context.Context, a *app, p *places) error {
	stores, err := a.openStores(p)
	if err != nil {
		return err
	}
	policied, ok := stores[0].(store.Policied)
	if !ok {
		return usage("", "%s: this kind of store has no policies", stores[0])
	}
	policy := policied.Policy(ctx)
	return a.show(map[string]any{"store": stores[0].String(), "policy": policy}, policy)
}
