package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// everything says something of each name there is.
const everything = `
stores: [vault:secret/blnk, 'blnkjson:./blnk.json']
restart: sh:systemctl restart blnk
servers: [http://127.0.0.1:5001]
policy: {max_age: 90d, min_interval: 36h, splay: 1h30m, window: ['Sun 02:00-05:00 UTC', daily 01:00-02:00 Europe/Berlin], keep_previous: 0}
notify: [webhook:env:HOOK, {to: 'slack:file:./slack', on: [failure, stuck]}]
targets:
  prod:
    stores: dotenv:./.env
    restart: [compose:]
    servers: http://127.0.0.1:5002
    policy: {max_age: 12w, min_interval: 1d, splay: 5m, window: Sun 02:00-05:00 UTC, keep_previous: 24h}
    notify: {to: 'command:mail', on: failure}
owners: [me]
state_dir: state
commands: {mail: {run: [mail, -n, 5, true], read: cat, write: [tee, key], exists: ./there}}
baseline: [{id: BLNK-0.1, place: here, reason: a test, until: 2027-01-31}]
audit: {syslog: true}
`

func schemaOf(t *testing.T) (s schema) {
	t.Helper()
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// plain is what a JSON Schema sees of a node.
func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.DocumentNode:
		return plain(n.Content[0])
	case yaml.MappingNode:
		all := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			all[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return all
	case yaml.SequenceNode:
		all := []any{}
		for _, item := range n.Content {
			all = append(all, plain(item))
		}
		return all
	}
	switch n.Tag {
	case "!!bool":
		return n.Value == "true"
	case "!!int":
		var i float64
		_ = n.Decode(&i)
		return i
	case "!!null":
		return nil
	}
	return n.Value
}

func asSeen(t *testing.T, text string) any {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil || len(n.Content) == 0 {
		return nil
	}
	return plain(&n)
}

// fits is as much of draft 7 as Schema uses; any other word of it fails the test.
func fits(t *testing.T, s map[string]any, v any) (why string) {
	list := func(word string) []any { all, _ := s[word].([]any); return all }
	text, isText := v.(string)
	names, isObject := v.(map[string]any)
	items, isArray := v.([]any)
	number, isNumber := v.(float64)
	for word, rule := range s {
		ok := true
		switch word {
		case "$schema", "title", "description":
		case "type":
			all := list("type")
			if one, is := rule.(string); is {
				all = []any{one}
			}
			kind := map[bool]string{isText: "string", isObject: "object", isArray: "array", isNumber: "integer"}[true]
			if _, is := v.(bool); is {
				kind = "boolean"
			}
			ok = slices.Contains(all, any(kind)) || isNumber && slices.Contains(all, any("number"))
		case "minLength":
			ok = !isText || len(text) >= int(rule.(float64))
		case "pattern":
			ok = !isText || regexp.MustCompile(rule.(string)).MatchString(text)
		case "minimum":
			ok = !isNumber || number >= rule.(float64)
		case "maximum":
			ok = !isNumber || number <= rule.(float64)
		case "enum":
			ok = slices.Contains(rule.([]any), v)
		case "minItems":
			ok = !isArray || len(items) >= int(rule.(float64))
		case "minProperties":
			ok = !isObject || len(names) >= int(rule.(float64))
		case "required":
			for _, name := range rule.([]any) {
				_, there := names[name.(string)]
				ok = ok && (!isObject || there)
			}
		case "anyOf":
			ok = slices.ContainsFunc(rule.([]any), func(one any) bool { return fits(t, one.(map[string]any), v) == "" })
		case "items":
			for i, item := range items {
				if why := fits(t, rule.(map[string]any), item); why != "" {
					return fmt.Sprintf("%d: %s", i, why)
				}
			}
		case "propertyNames":
			for name := range names {
				ok = ok && fits(t, rule.(map[string]any), name) == ""
			}
		case "properties", "additionalProperties":
			properties, _ := s["properties"].(map[string]any)
			for name, value := range names {
				one, known := properties[name].(map[string]any)
				if !known {
					if one, known = s["additionalProperties"].(map[string]any); !known {
						return name + ": unknown"
					}
				}
				if why := fits(t, one, value); why != "" {
					return name + ": " + why
				}
			}
		default:
			t.Fatalf("nobody checks %q", word)
		}
		if !ok {
			return fmt.Sprintf("%s: %v: %v", word, rule, v)
		}
	}
	return ""
}

// zeros are the exported fields below v that hold nothing.
func zeros(path string, v reflect.Value) (all []string) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type().PkgPath() != reflect.TypeFor[File]().PkgPath() && v.Type().Name() != "Policy" {
			break
		}
		for i := range v.NumField() {
			all = append(all, zeros(path+"."+v.Type().Field(i).Name, v.Field(i))...)
		}
		return all
	case reflect.Map:
		for _, key := range v.MapKeys() {
			all = append(all, zeros(path+"["+key.String()+"]", v.MapIndex(key))...)
		}
	case reflect.Slice:
		if v.Len() > 0 {
			all = zeros(path+"[]", v.Index(v.Len()-1))
		}
	}
	if v.IsZero() {
		all = append(all, path)
	}
	return all
}

// unused are the names of a schema that a document does not have.
func unused(path string, s map[string]any, v any) (all []string) {
	names, _ := v.(map[string]any)
	if items, ok := v.([]any); ok {
		for _, item := range items {
			names, _ = item.(map[string]any)
		}
	}
	for _, other := range append([]any{s["items"]}, anyOf(s)...) {
		if one, ok := other.(map[string]any); ok {
			all = append(all, unused(path, one, v)...)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	properties = maps.Clone(properties)
	if more, ok := s["additionalProperties"].(map[string]any); ok {
		for name, value := range names {
			all = append(all, unused(path+"."+name, more, value)...)
		}
	}
	for name, one := range properties {
		value, there := names[name]
		if !there {
			all = append(all, path+"."+name)
			continue
		}
		all = append(all, unused(path+"."+name, one.(map[string]any), value)...)
	}
	return all
}

func anyOf(s map[string]any) []any { all, _ := s["anyOf"].([]any); return all }

// The schema, the reader and what is read of it have the same names: a file that says
// everything fills every field, uses every name of the schema, and fits it.
func TestSchema(t *testing.T) {
	f, err := parse([]byte(everything), nil)
	if err != nil {
		t.Fatal(err)
	}
	empty := zeros("", reflect.ValueOf(f))
	slices.Sort(empty)
	if want := []string{".Dir", ".Path", ".Target.Name"}; !slices.Equal(empty, want) { // these come from elsewhere
		t.Errorf("empty: %q, want %q", empty, want)
	}
	s, doc := schemaOf(t), asSeen(t, everything)
	if why := fits(t, s, doc); why != "" {
		t.Error(why)
	}
	if names := unused("", s, doc); len(names) > 0 {
		t.Errorf("names of the schema that the file does not have: %q", names)
	}
}

// What the schema refuses, the reader refuses, too; the other way round an editor need
// not see everything, but each wrong name and each wrong kind of value.
func TestSchemaRefuses(t *testing.T) {
	s := schemaOf(t)
	for _, text := range []string{
		"storez: a", "stores: {a: b}", "stores: [a, ~]", "policy: {max_age: soon}", "policy: {max_age: 90}", "policy: {max_agee: 90d}",
		"notify: {on: failure}", "notify: {to: 'command:x', on: failures}", "targets: {a: {restart: x}}", "targets: {'a b': {stores: x}}", "targets: [a]",
		"commands: {x: {}}", "commands: {x: {run: a b}}", "commands: {x: {run: []}}", "commands: {x: {runs: a}}", "baseline: {id: a}",
		"baseline: [{id: a, place: b, until: 2027-01-31}]", "baseline: [{id: a, place: b, reason: c, until: soon}]", "audit: {syslog: 1}", "state_dir: [a]",
	} {
		_, err := parse([]byte(text), nil)
		if why := fits(t, s, asSeen(t, text)); why == "" || err == nil {
			t.Errorf("%s: schema %q, reader %v", text, why, err)
		}
	}
	for _, text := range strings.Split(string(Text(Target{Stores: []string{"a"}})), "---") {
		if why := fits(t, s, asSeen(t, text)); why != "" {
			t.Errorf("%s: %s", text, why)
		}
	}
}
