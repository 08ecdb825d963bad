package cmd

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/store"
)

func newConfigCmd(a *app) *cobra.Command {
	return newGroup("config", newConfigShowCmd(a), newConfigPolicyCmd(a))
}

func newConfigShowCmd(a *app) *cobra.Command {
	var p places
	cmd := newCmd("config", "show [TARGET] [flags]", func(cmd *cobra.Command) error { return runConfigShow(cmd, a) })
	p.addStores(cmd, "`REF`: where the key is")
	cmd.Flags().StringArrayVar(&p.spec.Restart, "restart", nil, "`REF`: what restarts server and workers")
	cmd.Flags().StringArrayVar(&p.spec.Servers, "server", nil, "`URL`: each server")
	configured(cmd, "store", "restart", "server")
	return cmd
}

// A settingRow is one value with its origin.
type settingRow struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
	Origin string   `json:"origin"`
}

func runConfigShow(cmd *cobra.Command, a *app) error {
	file, err := a.configFile()
	if err != nil {
		return err
	}
	var rows []settingRow
	for _, name := range []string{"store", "restart", "server", "state-dir"} {
		row, err := a.describe(cmd, name)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	for _, name := range slices.Sorted(maps.Keys(file.Commands)) {
		rows = append(rows, settingRow{"command:" + name, file.Commands[name].Parts(), file.Path})
	}
	if a.json() {
		return a.printJSON(map[string]any{"file": file.Path, "settings": rows})
	}
	table := [][]string{{"SETTING", "VALUE", "FROM"}}
	for _, r := range rows {
		name, origin := r.Name, r.Origin
		for _, v := range r.Values {
			table = append(table, []string{name, v, origin})
			name, origin = "", ""
		}
		if len(r.Values) == 0 {
			table = append(table, []string{name, "-", origin})
		}
	}
	return a.print(a.env.Look.Table(table, nil))
}

// describe says what one flag is, and why.
func (a *app) describe(cmd *cobra.Command, name string) (row settingRow, err error) {
	row = settingRow{name, []string{}, cmp.Or(origin(cmd, name), "default")}
	switch f := cmd.Flags().Lookup(name); {
	case f.Changed:
		row.Values = valuesOf(f)
	case name == "store":
		row.Values = []string{defaultStore}
	case name == "server":
		row.Values = []string{"the port in blnk.json, on this host"}
	case name == "state-dir":
		dir, err := a.openState()
		if err != nil {
			return row, err
		}
		row.Values = []string{dir.Path()}
	}
	return row, nil
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
