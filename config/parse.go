package config

import (
	"bytes"
	"cmp"
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
// check is asked of each reference, by the flag that it could stand behind; nil takes any.
func parse(data []byte, check func(flag, ref string) error) (File, error) {
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
	for i := 0; i+1 < len(doc.Content); i += 2 { // each begins with what is the file's, wherever that stands
		if key, its := doc.Content[i], doc.Content[i+1]; key.Value == "targets" {
			doc.Content = append(slices.Delete(doc.Content, i, i+2), key, its)
			break
		}
	}
	err = fields("", doc, f.fields(check))
	for _, t := range append(f.Every(), f.Target) {
		err = cmp.Or(err, t.Policy.Check(cmp.Or(t.Name, "policy")))
	}
	if err == nil {
		err = f.checkNotices()
	}
	return f, err
}

// document returns the one document of the text; nil where there is none. What
// a second one says would have no effect, and was meant to have one.
func document(data []byte) (*node, error) {
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

type node = yaml.Node

// A reader takes the value of a name.
type reader func(name string, value *node) error

// fields are the names of the file.
func (f *File) fields(check func(flag, ref string) error) map[string]field {
	known := f.Target.fields(check)
	var one Target
	var command Command
	maps.Copy(known, map[string]field{
		"targets": {func(key string, n *node) error { return f.targets(key, n, check) }, schema{
			"type": "object", "additionalProperties": object(one.fields(nil)).with(schema{"required": []string{"stores"}}),
			"propertyNames": schema{"pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]*$"},
		}, "Targets by name, for `blnkctl rotate NAME` and --all. What one leaves unsaid of policy and notify is that of the file."},
		"owners":    {list(&f.Owners), texts, "Owners of scoped API keys that doctor looks at."},
		"state_dir": {text(&f.StateDir), aText, "The private folder of journal, audit log and state."},
		"commands": {f.commands, schema{"type": "object", "additionalProperties": object(command.fields()).with(schema{"minProperties": 1})},
			"What command:NAME stands for, each a list of words: read, write and exists of a store, run of a restart."},
		"baseline": {f.baseline, schema{"type": "array", "items": object((&baseline{}).fields()).with(schema{"required": []string{"id", "place", "reason", "until"}})},
			"Findings of doctor to live with, until the end of a day."},
		"audit": within(map[string]field{"syslog": {yes(&f.Syslog), aFlag, "Audit records go to the log of the system, too."}}, "The audit log."),
	})
	return known
}

// fields are the names of a target.
func (t *Target) fields(check func(flag, ref string) error) map[string]field {
	notice := object((&Notice{}).fields()).with(schema{"required": []string{"to"}})
	ages := func(set func(time.Duration), says string) field { return field{age(set), anAge, says} }
	return map[string]field{
		"stores":  {checked("store", list(&t.Stores), check), texts, "Where the key is; the first is the source of truth."},
		"restart": {checked("restart", list(&t.Restart), check), texts, "What restarts the server and its workers, which read the key only at start."},
		"servers": {checked("server", list(&t.Servers), check), texts, "Each server; without it the port in blnk.json, on this host."},
		"policy": within(map[string]field{
			"max_age":       ages(func(d time.Duration) { t.Policy.MaxAge = d }, "The age at which a key is due: 90d, 12w or 36h."),
			"min_interval":  ages(func(d time.Duration) { t.Policy.MinInterval = d }, "How soon after a rotation the next one needs --force."),
			"splay":         ages(func(d time.Duration) { t.Policy.Splay = d }, "How long a scheduled run waits at most, by chance, before it begins."),
			"window":        {t.windows, texts, "When a rotation may run, as in Sun 02:00-05:00 Europe/Berlin."},
			"keep_previous": ages(func(d time.Duration) { t.Policy.KeepPrevious = &d }, "How long the key before can come back by `blnkctl rollback`; 0 keeps none."),
		}, "When a key is due, and when a rotation may run."),
		"notify": {t.notices, schema{"anyOf": []schema{aText, notice, {"type": "array", "items": schema{"anyOf": []schema{aText, notice}}}}},
			"Who is told of what: webhook:file:PATH, slack:env:NAME or command:NAME."},
	}
}

// checked has each item checked after it was read.
func checked(flag string, read reader, check func(flag, ref string) error) reader {
	return func(key string, n *node) error {
		if err := read(key, n); err != nil || check == nil {
			return err
		}
		for _, item := range append(slices.Clone(n.Content), n) {
			if item.Kind != yaml.ScalarNode {
				continue
			}
			if err := check(flag, item.Value); err != nil {
				return fmt.Errorf("line %d: %s: %w", item.Line, key, err)
			}
		}
		return nil
	}
}

func (f *File) targets(key string, n *node, check func(flag, ref string) error) error {
	if n.Kind != yaml.MappingNode {
		return at(n, key+": want names with their settings")
	}
	f.Targets = map[string]Target{}
	for i := 0; i < len(n.Content); i += 2 {
		name := n.Content[i].Value
		if _, twice := f.Targets[name]; twice || !plainName(name) {
			return at(n.Content[i], fmt.Sprintf("%s: %q is given twice, or is no name of letters, digits, - and _", key, name))
		}
		t := Target{Name: name, Policy: f.Policy, Notify: f.Notify}
		if err := fields(name, n.Content[i+1], t.fields(check)); err != nil {
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
func (t *Target) windows(key string, n *node) error {
	var texts []string
	if err := list(&texts)(key, n); err != nil {
		return err
	}
	for i, text := range texts {
		w, err := policy.ParseWindow(text)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", n.Line, key, err)
		}
		t.Policy.Windows = append(t.Policy.Windows[:i:i], w)
	}
	return nil
}

// age reads a duration as people write it; 0 is one, too.
func age(set func(time.Duration)) reader {
	return func(name string, n *node) error {
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
	return func(name string, n *node) error {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(into) != nil {
			return at(n, name+": want true or false")
		}
		return nil
	}
}

func (f *File) commands(key string, n *node) error {
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
		if err := fields(name, n.Content[i+1], c.fields()); err != nil {
			return err
		}
		if c.Read == nil && c.Write == nil && c.Exists == nil && c.Run == nil {
			return at(n.Content[i], fmt.Sprintf("commands: %q does nothing: want read, write, exists or run", name))
		}
		f.Commands[name] = c
	}
	return nil
}

func (c *Command) fields() map[string]field {
	return map[string]field{
		"read": {words(&c.Read), wordy, "Prints the key."}, "write": {words(&c.Write), wordy, "Takes the key from stdin."},
		"exists": {words(&c.Exists), wordy, "Exits 0 where there is a key."}, "run": {words(&c.Run), wordy, "Restarts, or tells somebody."},
	}
}

// A baseline is an Exception as it stands there.
type baseline struct {
	Exception
	until string
}

func (b *baseline) fields() map[string]field {
	return map[string]field{
		"id": {text(&b.ID), aText, "The rule, as doctor prints it."}, "place": {text(&b.Place), aText, "Where, as doctor prints it."},
		"reason": {text(&b.Reason), aText, "Why that is good."}, "until": {text(&b.until), aDay, "The last day, such as 2027-01-31."},
	}
}

// baseline reads the exceptions. Each says why, and when it ends.
func (f *File) baseline(key string, n *node) error {
	if n.Kind != yaml.SequenceNode {
		return at(n, key+": want a list")
	}
	for _, item := range n.Content {
		var e baseline
		if err := fields(key, item, e.fields()); err != nil {
			return err
		}
		day, err := time.Parse(time.DateOnly, e.until)
		switch {
		case e.ID == "" || e.Place == "" || e.Reason == "" || e.until == "":
			return at(item, key+": want id, place, reason and until")
		case err != nil:
			return at(item, key+": until: want a day such as 2027-01-31")
		}
		e.Until = day.AddDate(0, 0, 1)
		f.Baseline = append(f.Baseline, e.Exception)
	}
	return nil
}

// fields hands the value of each name to what reads it. of is what n is the
// value of; "" for the document.
func fields(of string, n *node, known map[string]field) error {
	if n.Kind != yaml.MappingNode {
		if of != "" {
			of += ": "
		}
		return at(n, of+"want names with values")
	}
	var seen []string
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		one, ok := known[key.Value]
		switch {
		case !ok:
			return at(key, unknown(key.Value, known))
		case slices.Contains(seen, key.Value):
			return at(key, fmt.Sprintf("%q is given twice", key.Value))
		}
		seen = append(seen, key.Value)
		if err := one.read(key.Value, value); err != nil {
			return err
		}
	}
	return nil
}

// items are those of a list; what is none is a list of one.
func items(n *node) []*node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*node{n}
}

// list reads a list of texts.
func list(into *[]string) reader {
	return func(name string, n *node) error {
		for _, item := range items(n) {
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
	return func(name string, n *node) error {
		line := n.Kind == yaml.ScalarNode && strings.ContainsFunc(n.Value, unicode.IsSpace)
		if line || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
			return at(n, name+": want a list of words: [PROGRAM, ARGUMENT]")
		}
		return list(into)(name, n)
	}
}

func text(into *string) reader {
	return func(name string, n *node) error {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
			return at(n, name+": want a text")
		}
		*into = n.Value
		return nil
	}
}

func at(n *node, what string) error { return fmt.Errorf("line %d: %s", n.Line, what) }

// unknown names the known name that was probably meant.
func unknown(name string, known map[string]field) string {
	names := slices.Sorted(maps.Keys(known))
	if meant := hint.Nearest(name, names); meant != "" {
		return fmt.Sprintf("unknown name %q (did you mean %q?)", name, meant)
	}
	return fmt.Sprintf("unknown name%s (known: %s)", shown(name), strings.Join(names, ", "))
}

// shown is a word for an error, which repeats no address: it may be a secret.
func shown(word string) string {
	if strings.Contains(word, "://") {
		return ""
	}
	return fmt.Sprintf(" %q", word)
}

// yamlError keeps the line of a syntax error and drops the library's name.
func yamlError(err error) error {
	var types *yaml.TypeError
	if errors.As(err, &types) {
		return errors.New("not a document of names and values")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}
