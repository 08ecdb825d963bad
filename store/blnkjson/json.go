package blnkjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store/filestore"
)

// A span is a part of a text: text[from:to].
type span struct{ from, to int }

// A member is one name and value of a JSON object.
type member struct {
	name      string // decoded
	at, value span   // of the name with its quotes, and of the value
}

// An object is a JSON object on the way to the key.
type object struct {
	span    // with its braces
	members []member
}

// A document is a JSON text and the way to the key in it.
type document struct {
	editor
	text    []byte
	objects []object // those of the way that are there, the outermost first
	value   span     // of the key's value; only where it is there
	key     secret.Key
}

// parse reads text, which Go's encoding/json must accept whole, and follows
// the path in it.
func (e editor) parse(text []byte) (*document, error) {
	d := &document{text: text, editor: e}
	at, err := d.check()
	if err != nil {
		return nil, err
	}
	for i, name := range e.path {
		if text[at.from] != '{' {
			return nil, d.bad(at.from, d.what(i)+" is not an object")
		}
		obj := object{at, members(text, at)}
		d.objects = append(d.objects, obj)
		m, err := d.only(obj, name)
		if err != nil || m == nil {
			return d, err
		}
		at = m.value
	}
	d.value = at
	switch raw := string(text[at.from:at.to]); {
	case e.truth && (raw == "true" || raw == "false"):
		d.key = secret.New(raw)
		return d, nil
	case e.truth && raw == "null": // which Blnk reads as false
		return d, nil
	case e.truth:
		return nil, d.bad(at.from, d.what(len(e.path))+" is not true or false, without quotes")
	case raw[0] != '"':
		return nil, d.bad(at.from, d.what(len(e.path))+" is not a string")
	}
	var key string
	_ = json.Unmarshal(text[at.from:at.to], &key) // as Blnk does: what is no UTF-8 becomes U+FFFD
	d.key = secret.New(key)
	return d, nil
}

// check lets encoding/json judge the text: what Blnk's decoder would not read,
// or not read to the end, is not edited. It returns where the value stands.
func (d *document) check() (span, error) {
	dec := json.NewDecoder(bytes.NewReader(d.text))
	var all json.RawMessage
	err := dec.Decode(&all)
	end := int(dec.InputOffset())
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	switch {
	case ok:
		return span{}, d.bad(int(syntax.Offset)-1, "not valid JSON")
	case errors.Is(err, io.EOF):
		return span{}, d.bad(len(d.text), "not valid JSON: there is nothing")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return span{}, d.bad(len(d.text), "not valid JSON: it ends too early")
	case err != nil:
		return span{}, d.bad(0, "not valid JSON")
	}
	if rest := bytes.TrimLeft(d.text[end:], " \t\r\n"); len(rest) > 0 {
		return span{}, d.bad(len(d.text)-len(rest), "data behind the JSON value")
	}
	return span{end - len(all), end}, nil
}

// only finds the one member of obj whose name Go's decoder would take for
// name: the letter case does not matter (json.Unmarshal). Of two it would take
// the last; here that is an error, because a person who edits the file sees
// the first.
func (d *document) only(obj object, name string) (*member, error) {
	var found *member
	for i := range obj.members {
		m := &obj.members[i]
		if !strings.EqualFold(m.name, name) {
			continue
		}
		if found != nil {
			return nil, d.bad(m.at.from, fmt.Sprintf("the name %q stands there twice, first on line %d", name, d.line(found.at.from)))
		}
		found = m
	}
	return found, nil
}

// what names the value behind the first n names of the path.
func (d *document) what(n int) string {
	if n == 0 {
		return "the JSON value"
	}
	return fmt.Sprintf("the value of %q", strings.Join(d.path[:n], "."))
}

// bad refuses the text, for what stands at text[at].
func (d *document) bad(at int, why string) error {
	return &filestore.LineError{Line: d.line(at), Why: why}
}

func (d *document) line(at int) int { return filestore.LineOf(d.text, at) }

// members lists the names and values of an object in text, which is known to be
// valid JSON.
func members(text []byte, obj span) []member {
	var all []member
	dec := json.NewDecoder(bytes.NewReader(text[obj.from:obj.to]))
	_, _ = dec.Token() // the brace
	for dec.More() {
		var m member
		before := obj.from + int(dec.InputOffset())
		name, _ := dec.Token()
		m.name, _ = name.(string)
		m.at = span{before + bytes.IndexByte(text[before:], '"'), obj.from + int(dec.InputOffset())}
		var value json.RawMessage
		_ = dec.Decode(&value)
		end := obj.from + int(dec.InputOffset())
		m.value = span{end - len(value), end}
		all = append(all, m)
	}
	return all
}

// set returns the text with key as its value. Every other byte is that of the
// text; what is returned has been read again.
func (d *document) set(key secret.Key) ([]byte, error) {
	old, added := d.value, d.literal(key)
	if d.value.to == 0 {
		old.from, added = d.addition(key)
		old.to = old.from
	}
	next := slices.Concat(d.text[:old.from], added, d.text[old.to:])
	if again, err := d.parse(next); err != nil || !again.key.Equal(key) {
		return nil, d.bad(old.from, "the value cannot be set without a change to something else")
	}
	return next, nil
}
