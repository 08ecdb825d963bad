package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/secret"
)

// parse reads the text of the file. The document is walked node by node: only
// so an unknown name can be told with its line and what was probably meant.
func parse(data []byte) (File, error) {
	var f File
	number := 0
	for line := range strings.Lines(string(data)) {
		if number++; secret.Holds(line) {
			return f, fmt.Errorf("line %d: a key stands in it; the file names the places of keys", number)
		}
	}
	doc, err := document(data)
	if err != nil || doc == nil {
		return f, err // nil: empty, or comments only
	}
	known := f.Target.readers()
	maps.Copy(known, map[string]reader{
		"targets":   f.targets,
		"owners":    list(&f.Owners),
		"state_dir": text(&f.StateDir),
		"commands":  f.commands,
		"baseline":  f.baseline,
		"audit":     within(map[string]reader{"syslog": yes(&f.Syslog)}),
	})
	err = fields("", doc, known)
	for name, t := range f.Targets {
		t.Policy = t.Policy.Over(f.Policy)
		if t.Notify == nil {
			t.Notify = f.Notify
		}
		f.Targets[name] = t
	}
	if err == nil {
		err = f.checkNotices()
	}
	return f, err
}

// document returns the one document of the text; nil where there is none. What
// a second one says would have no effect, and was meant to have one.
func document(data []byte) (*yaml.Node, error) {
	var first, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, yamlError(err)
	}
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
		return first.Content[0], nil
	case err != nil:
		return nil, yamlError(err)
	}
	return nil, at(&second, "a second document begins: want one")
}

// A reader takes the value of a name.
type reader func(name string, value *yaml.Node) error

// readers are those of a target's names.
func (t *Target) readers() map[string]reader {
	return map[string]reader{
		"stores":  list(&t.Stores),
		"restart": list(&t.Restart),
		"servers": list(&t.Servers),
		"policy": within(map[string]reader{
			"max_age":       age(func(d time.Duration) { t.Policy.MaxAge = d }),
			"min_interval":  age(func(d time.Duration) { t.Policy.MinInterval = d }),
			"splay":         age(func(d time.Duration) { t.Policy.Splay = d }),
			"window":        t.windows,
			"keep_previous": age(func(d time.Duration) { t.Policy.KeepPrevious = &d }),
		}),
		"notify": t.notices,
	}
}

func (f *File) targets(key string, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return at(n, key+": want names with their settings")
	}
	f.Targets = map[string]Target{}
	for i := 0; i < len(n.Content); i += 2 {
		name := n.Content[i].Value
		if _, twice := f.Targets[name]; twice || !plainName(name) {
			return at(n.Content[i], fmt.Sprintf("%s: %q is given twice, or is no name of letters, digits, - and _", key, name))
		}
		t := Target{Name: name}
		if err := fields(name, n.Content[i+1], t.readers()); err != nil {
			return err
		}
		if len(t.Stores) == 0 {
			return at(n.Content[i], fmt.Sprintf("%s: %q names no stores", key, name))
		}
		f.Targets[name] = t
	}
	return nil
}

// plainName says whether a text can be the name of a target: it is typed as an argument.
func plainName(name string) bool {
	letters := strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_")
	return name != "" && letters == "" && name[0] != '-'
}

// windows reads when a rotation may run.
func (t *Target) windows(key string, n *yaml.Node) error {
	var texts []string
	if err := list(&texts)(key, n); err != nil {
		return err
	}
	for _, text := range texts {
		w, err := policy.ParseWindow(text)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", n.Line, key, err)
		}
		t.Policy.Windows = append(t.Policy.Windows, w)
	}
	return nil
}

// within reads names with values below a name.
func within(known map[string]reader) reader {
	return func(name string, n *yaml.Node) error { return fields(name, n, known) }
}

// age reads a duration as people write it; 0 is one, too.
func age(set func(time.Duration)) reader {
	return func(name string, n *yaml.Node) error {
		var s string
		err := text(&s)(name, n)
		if err != nil || s == "0" {
			set(0)
			return err
		}
		d, err := policy.ParseAge(s)
		if err != nil {
			return at(n, name+": "+err.Error())
		}
		set(d)
		return nil
	}
}

// yes reads true or false.
func yes(into *bool) reader {
	return func(name string, n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(into) != nil {
			return at(n, name+": want true or false")
		}
		return nil
	}
}

func (f *File) commands(key string, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return at(n, key+": want names with their programs")
	}
	f.Commands = map[string]Command{}
	for i := 0; i < len(n.Content); i += 2 {
		name := n.Content[i].Value
		if _, twice := f.Commands[name]; twice || name == "" {
			return at(n.Content[i], fmt.Sprintf("commands: %q is given twice or is empty", name))
		}
		var c Command
		err := fields(name, n.Content[i+1], map[string]reader{
			"read": words(&c.Read), "write": words(&c.Write), "exists": words(&c.Exists), "run": words(&c.Run),
		})
		if err != nil {
			return err
		}
		if c.Read == nil && c.Write == nil && c.Exists == nil && c.Run == nil {
			return at(n.Content[i], fmt.Sprintf("commands: %q does nothing: want read, write, exists or run", name))
		}
		f.Commands[name] = c
	}
	return nil
}

// baseline reads the exceptions. Each says why, and when it ends.
func (f *File) baseline(key string, n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return at(n, key+": want a list")
	}
	for _, item := range n.Content {
		var e Exception
		var until string
		err := fields(key, item, map[string]reader{"id": text(&e.ID), "place": text(&e.Place), "reason": text(&e.Reason), "until": text(&until)})
		if err != nil {
			return err
		}
		day, err := time.Parse(time.DateOnly, until)
		switch {
		case e.ID == "" || e.Place == "" || e.Reason == "" || until == "":
			return at(item, key+": want id, place, reason and until")
		case err != nil:
			return at(item, key+": until: want a day such as 2027-01-31")
		}
		e.Until = day.AddDate(0, 0, 1)
		f.Baseline = append(f.Baseline, e)
	}
	return nil
}

// fields hands the value of each name to what reads it. of is what n is the
// value of; "" for the document.
func fields(of string, n *yaml.Node, known map[string]reader) error {
	if n.Kind != yaml.MappingNode {
		if of != "" {
			of += ": "
		}
		return at(n, of+"want names with values")
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
		if err := read(key.Value, value); err != nil {
			return err
		}
	}
	return nil
}

// list reads a list of texts; a single text is a list of one.
func list(into *[]string) reader {
	return func(name string, n *yaml.Node) error {
		items := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			items = n.Content
		}
		for _, item := range items {
			var s string
			if err := text(&s)(name, item); err != nil {
				return err
			}
			*into = append(*into, s)
		}
		return nil
	}
}

// words reads a program with its arguments. A text with white space is no
// program's name: who wrote it took it for a command line, which nothing splits.
func words(into *[]string) reader {
	return func(name string, n *yaml.Node) error {
		line := n.Kind == yaml.ScalarNode && strings.ContainsFunc(n.Value, unicode.IsSpace)
		if line || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
			return at(n, name+": want a list of words: [PROGRAM, ARGUMENT]")
		}
		return list(into)(name, n)
	}
}

func text(into *string) reader {
	return func(name string, n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
			return at(n, name+": want a text")
		}
		*into = n.Value
		return nil
	}
}

func at(n *yaml.Node, what string) error { return fmt.Errorf("line %d: %s", n.Line, what) }

// unknown names the known name that was probably meant.
func unknown(name string, known map[string]reader) string {
	names := slices.Sorted(maps.Keys(known))
	if meant := hint.Nearest(name, names); meant != "" {
		return fmt.Sprintf("unknown name %q (did you mean %q?)", name, meant)
	}
	return fmt.Sprintf("unknown name %q (known: %s)", name, strings.Join(names, ", "))
}

// yamlError keeps the line of a syntax error and drops the library's name.
func yamlError(err error) error {
	var types *yaml.TypeError
	if errors.As(err, &types) {
		return errors.New("not a document of names and values")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}
