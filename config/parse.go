package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse reads the text of the file. The document is walked node by node: only
// so an unknown name can be told with its line and what was probably meant.
func parse(data []byte) (File, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return File{}, yamlError(err)
	}
	var f File
	if doc.Kind == 0 {
		return f, nil // empty, or comments only
	}
	err := fields(doc.Content[0], map[string]func(*yaml.Node) error{
		"stores":    list(&f.Stores),
		"restart":   list(&f.Restart),
		"servers":   list(&f.Servers),
		"state_dir": text(&f.StateDir),
		"commands":  f.commands,
	})
	return f, err
}

func (f *File) commands(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return at(n, "commands: want names with their programs")
	}
	f.Commands = map[string]Command{}
	for i := 0; i < len(n.Content); i += 2 {
		name := n.Content[i].Value
		if _, twice := f.Commands[name]; twice || name == "" {
			return at(n.Content[i], fmt.Sprintf("commands: %q is given twice or is empty", name))
		}
		var c Command
		err := fields(n.Content[i+1], map[string]func(*yaml.Node) error{
			"read": list(&c.Read), "write": list(&c.Write), "exists": list(&c.Exists), "run": list(&c.Run),
		})
		if err != nil {
			return err
		}
		f.Commands[name] = c
	}
	return nil
}

// fields hands the value of each name to what reads it.
func fields(n *yaml.Node, known map[string]func(*yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return at(n, "want names with values")
	}
	var seen []string
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read, ok := known[key.Value]
		switch {
		case !ok:
			return at(key, unknown(key.Value, known))
		case slices.Contains(seen, key.Value):
			return at(key, fmt.Sprintf("%q is given twice", key.Value))
		}
		seen = append(seen, key.Value)
		if err := read(value); err != nil {
			return err
		}
	}
	return nil
}

// list reads a list of texts; a single text is a list of one.
func list(into *[]string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		items := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			items = n.Content
		}
		for _, item := range items {
			var s string
			if err := text(&s)(item); err != nil {
				return err
			}
			*into = append(*into, s)
		}
		return nil
	}
}

func text(into *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
			return at(n, "want a text")
		}
		*into = n.Value
		return nil
	}
}

func at(n *yaml.Node, what string) error { return fmt.Errorf("line %d: %s", n.Line, what) }

// unknown names the known name that was probably meant.
func unknown(name string, known map[string]func(*yaml.Node) error) string {
	best, most := "", 0
	for _, k := range sortedNames(known) {
		if n := shared(name, k); n > most && 2*n >= len(k) {
			best, most = k, n
		}
	}
	if best != "" {
		return fmt.Sprintf("unknown name %q (did you mean %q?)", name, best)
	}
	return fmt.Sprintf("unknown name %q (known: %s)", name, strings.Join(sortedNames(known), ", "))
}

func sortedNames(known map[string]func(*yaml.Node) error) []string {
	var names []string
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// shared is the length of the longest common subsequence, which survives
// missing, added and doubled letters alike.
func shared(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range len(a) {
		diagonal := 0
		for j := range len(b) {
			above := row[j+1]
			if a[i] == b[j] {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// yamlError keeps the line of a syntax error and drops the library's name.
func yamlError(err error) error {
	var types *yaml.TypeError
	if errors.As(err, &types) {
		return errors.New("not a document of names and values")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}
