package blnkjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	text    []byte
	path    []string // the names of the way, the last is that of the key
	objects []object // those of the way that are there, the outermost first
	names   []string // how the names on the way are really written, for those that are there
	value   span     // of the key's value; only where it is there
	key     secret.Key
}

// parse reads text, which Go's encoding/json must accept whole, and follows
// path in it.
func parse(text []byte, path []string) (*document, error) {
	d := &document{text: text, path: path}
	start, err := d.check()
	if err != nil {
		return nil, err
	}
	at := span{start, skip(text, start)}
	for i, name := range path {
		if text[at.from] != '{' {
			return nil, d.bad(at.from, d.what(i)+" is not an object")
		}
		obj := object{at, members(text, at.from)}
		d.objects = append(d.objects, obj)
		m, err := d.only(obj, name)
		if err != nil || m == nil {
			return d, err
		}
		d.names = append(d.names, m.name)
		at = m.value
	}
	if text[at.from] != '"' {
		return nil, d.bad(at.from, d.what(len(path))+" is not a string")
	}
	d.value = at
	d.key = secret.New(unquote(text[at.from:at.to]))
	return d, nil
}

// check lets encoding/json judge the text: what Blnk's decoder would not read,
// or not read to the end, is not edited. It returns where the value starts.
func (d *document) check() (start int, err error) {
	dec := json.NewDecoder(bytes.NewReader(d.text))
	var all json.RawMessage
	if err := dec.Decode(&all); err != nil {
		var syntax *json.SyntaxError
		switch {
		case errors.As(err, &syntax):
			return 0, d.bad(int(syntax.Offset)-1, "not valid JSON")
		case errors.Is(err, io.EOF):
			return 0, d.bad(len(d.text), "not valid JSON: there is nothing")
		case errors.Is(err, io.ErrUnexpectedEOF):
			return 0, d.bad(len(d.text), "not valid JSON: it ends too early")
		default:
			return 0, d.bad(0, "not valid JSON")
		}
	}
	end := int(dec.InputOffset())
	if rest := space(d.text, end); rest < len(d.text) {
		return 0, d.bad(rest, "data behind the JSON value")
	}
	return space(d.text, 0), nil
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

// at is where the key's value stands, or the object that it would be added to.
func (d *document) at() int {
	if d.value.to > 0 {
		return d.value.from
	}
	return d.objects[len(d.objects)-1].from
}

// members lists the names and values of the object at text[i]. The text is
// known to be valid JSON.
func members(text []byte, i int) []member {
	var all []member
	for i = space(text, i+1); text[i] != '}'; i = space(text, i) {
		if text[i] == ',' {
			i = space(text, i+1)
		}
		var m member
		m.at = span{i, skip(text, i)}
		m.name = unquote(text[m.at.from:m.at.to])
		i = space(text, m.at.to)
		i = space(text, i+1) // the colon
		m.value = span{i, skip(text, i)}
		all = append(all, m)
		i = m.value.to
	}
	return all
}

// skip returns where the JSON value at text[i] ends.
func skip(text []byte, i int) int {
	depth := 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = skipString(text, i) - 1
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		case ' ', '\t', '\r', '\n', ',', ':':
			continue // only inside of an object or array
		default:
			for i+1 < len(text) && !bytes.ContainsRune([]byte(" \t\r\n,:]}"), rune(text[i+1])) {
				i++
			}
		}
		if depth == 0 {
			return i + 1
		}
	}
	return i
}

func skipString(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// space returns where the white space of JSON that starts at text[i] ends.
func space(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// unquote decodes a JSON string as Blnk's decoder does: a lone surrogate or a
// byte that is no UTF-8 becomes U+FFFD.
func unquote(quoted []byte) string {
	var s string
	_ = json.Unmarshal(quoted, &s) // part of a text that is known to be valid
	return s
}
