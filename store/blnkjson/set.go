package blnkjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/sjson"

	"github.com/blnkctl/blnkctl/secret"
)

// errEdit: the edit did not come out as it should have, so it is not made.
var errEdit = errors.New("the value cannot be set without a change to something else")

// set returns the text with key as its value. Every other byte is that of the
// text; what is returned has been read again and compared.
func (d *document) set(key secret.Key) ([]byte, error) {
	if d.value.to > 0 {
		return d.replace(key)
	}
	at, added := d.addition(key)
	next := splice(d.text, span{at, at}, added)
	return next, d.verify(next, span{at, at}, key)
}

// replace lets sjson put the key where a value is. The path that it gets has
// the names as they are written, so that a lone name in another letter case is
// found; sjson would otherwise append a twin. It gets the value as JSON text:
// its own would escape "<" once the key has a letter beyond ASCII.
func (d *document) replace(key secret.Key) ([]byte, error) {
	names := make([]string, len(d.names))
	for i, name := range d.names {
		names[i] = escape(name)
	}
	next, err := sjson.SetRawBytes(d.text, strings.Join(names, "."), quote(key.Reveal()))
	if err != nil {
		return nil, errEdit // its own text may quote the name
	}
	return next, d.verify(next, d.value, key)
}

// escape takes every meaning but the letters' own out of a name: gjson and
// sjson read dots, wildcards, queries, modifiers and a leading colon in a path,
// and a backslash takes its meaning from any of them.
func escape(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c < utf8.RuneSelf && !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_') {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// verify compares next with the text: the same bytes before and behind the
// part old, and a decoder that knows nothing of spans reads the key.
func (d *document) verify(next []byte, old span, key secret.Key) error {
	before, behind := d.text[:old.from], d.text[old.to:]
	if len(next) < len(before)+len(behind) || !bytes.HasPrefix(next, before) || !bytes.HasSuffix(next, behind) {
		return errEdit
	}
	if got, err := decode(next, d.path); err != nil || got != key.Reveal() {
		return errEdit
	}
	return nil
}

// decode reads the value at path with encoding/json alone.
func decode(text []byte, path []string) (string, error) {
	raw := json.RawMessage(text)
	for _, name := range path {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			return "", err
		}
		raw = nil
		for have, value := range object {
			if strings.EqualFold(have, name) {
				if raw != nil {
					return "", errEdit
				}
				raw = value
			}
		}
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", errEdit
	}
	return *s, nil
}

// splice returns text with the part old replaced.
func splice(text []byte, old span, by []byte) []byte {
	next := make([]byte, 0, len(text)-(old.to-old.from)+len(by))
	next = append(next, text[:old.from]...)
	next = append(next, by...)
	return append(next, text[old.to:]...)
}
