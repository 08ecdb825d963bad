package config

import (
	"encoding/json"
	"maps"
)

// A field is what a name of the file stands for: what reads its value, and what an
// editor is told of it.
type field struct {
	read   reader
	schema schema
	says   string
}

// A schema is a JSON Schema (draft 7, which editors know best).
type schema map[string]any

// The kinds of values.
var (
	aText = schema{"type": "string", "minLength": 1}
	aFlag = schema{"type": "boolean"}
	anAge = schema{"type": []string{"string", "integer"}, "pattern": "^(0|[0-9]+[dw]|([0-9.]+(h|m|s|ms|us|µs|ns))+)$", "maximum": 0, "minimum": 0}
	aWord = schema{"type": []string{"string", "number", "boolean"}, "minLength": 1} // as in [sleep, 5]
	aDay  = schema{"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
	texts = schema{"anyOf": []schema{aText, {"type": "array", "items": aText}}}
	wordy = schema{"anyOf": []schema{{"type": "string", "pattern": "^[^ \t\n]+$"}, {"type": "array", "items": aWord, "minItems": 1}}}
	kindy = schema{"anyOf": []schema{oneKind, {"type": "array", "items": oneKind, "minItems": 1}}}

	oneKind = schema{"enum": NoticeKinds}
)

// object is the schema of names with values.
func object(known map[string]field) schema {
	properties := map[string]schema{}
	for name, f := range known {
		one := maps.Clone(f.schema)
		if f.says != "" {
			one["description"] = f.says
		}
		properties[name] = one
	}
	return schema{"type": "object", "additionalProperties": false, "properties": properties}
}

// with are more rules of a schema.
func (s schema) with(more schema) schema {
	s = maps.Clone(s)
	maps.Copy(s, more)
	return s
}

// within is the field of names with values below a name.
func within(known map[string]field, says string) field {
	return field{func(name string, n *node) error { return fields(name, n, known) }, object(known), says}
}

// Schema is the JSON Schema of a blnkctl.yaml, for editors. What it lets pass may still
// be refused, by Load or by who opens what it names.
func Schema() []byte {
	var f File
	s := object(f.fields(nil)).with(schema{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": Name,
	})
	text, _ := json.MarshalIndent(s, "", "  ") // maps of texts: cannot fail
	return append(text, '\n')
}
