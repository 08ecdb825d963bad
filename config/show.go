package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/screen"
)

// A Row is a setting, with where it comes from.
type Row struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
	Origin string   `json:"origin"`
}

// Rows are settings for a person who asks.
type Rows []Row

// Rows are what only the file can say: of a target its policy and notices, and the commands.
func (f File) Rows(t Target) (rows Rows) {
	if said := t.Policy.Lines(); len(said) > 0 {
		rows = append(rows, Row{"policy", said, f.Path})
	}
	for _, n := range t.Notify {
		rows = append(rows, Row{"notify", []string{strings.TrimSpace(n.To + " " + strings.Join(n.On, ","))}, f.Path})
	}
	for _, name := range slices.Sorted(maps.Keys(f.Commands)) {
		rows = append(rows, Row{"command:" + name, f.Commands[name].Parts(), f.Path})
	}
	return rows
}

// Text is a table of them, with their origins or without.
func (rows Rows) Text(look screen.Look, origins bool) string {
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
	for i := range table {
		if !origins {
			table[i] = table[i][:2]
		}
	}
	return look.Table(table, nil)
}
