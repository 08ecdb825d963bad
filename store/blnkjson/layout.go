package blnkjson

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// defaultUnit is one step of indentation where the text shows none.
const defaultUnit = "  "

// newText is the text of a new file with nothing but the key.
func (e editor) newText(key secret.Key) []byte {
	st := style{newline: "\n", unit: defaultUnit, colon: ": "}
	return append(st.object("", e.path, e.literal(key)), '\n')
}

// literal is the key as JSON has it.
func (e editor) literal(key secret.Key) []byte {
	if e.truth {
		return []byte(key.Reveal())
	}
	return quote(key.Reveal())
}

// addition is the text that adds the key, and where it goes: behind the last
// member of the innermost object of the path that is there, laid out as that
// member is; into an object without members, as the rest of the text is.
func (d *document) addition(key secret.Key) (at int, added []byte) {
	obj := d.objects[len(d.objects)-1]
	path := d.path[len(d.objects)-1:]
	st := d.style(obj)
	lead, at, end := "", obj.from+1, ""
	inner := string(d.text[obj.from+1 : obj.to-1])
	outer := indentOf(string(d.text[:obj.from]))
	outer = outer[:len(outer)-len(strings.TrimLeft(outer, " \t"))]
	switch n := len(obj.members); {
	case n > 0:
		lead, at = d.between(obj), obj.members[n-1].value.to
		st.inline, st.pad = !strings.ContainsAny(lead, "\r\n"), d.lead(obj)
		if strings.ContainsAny(st.pad, "\r\n") {
			st.pad = ""
		}
	case strings.ContainsAny(inner, "\r\n"): // what is there already leads to the closing brace
		st.inline, lead = false, st.newline+outer+st.unit
	case inner != "" || st.inline:
		st.inline, st.pad, lead = true, inner, inner
	default:
		lead, end = st.newline+outer+st.unit, st.newline+outer
	}
	indent := ""
	if !st.inline {
		indent = indentOf(lead)
	}
	return at, append(append([]byte(lead), st.member(indent, path, d.literal(key))...), end...)
}

// lead is what stands in front of the first member of an object.
func (d *document) lead(obj object) string {
	return string(d.text[obj.from+1 : obj.members[0].at.from])
}

// between is what stands between the last two members of obj, comma and all;
// with one member, what would.
func (d *document) between(obj object) string {
	n := len(obj.members)
	last := obj.members[n-1]
	if n > 1 {
		return string(d.text[obj.members[n-2].value.to:last.at.from])
	}
	lead := d.lead(obj)
	if lead == "" && strings.HasSuffix(d.colon(last), " ") {
		lead = " " // {"a": 1}: who writes a space behind a colon does so behind a comma
	}
	return "," + lead
}

// colon is what stands between name and value of a member. A line end in there
// is too odd to be repeated.
func (d *document) colon(m member) string {
	colon := string(d.text[m.at.to:m.value.from])
	if strings.ContainsAny(colon, "\r\n") {
		return ": "
	}
	return colon
}

// A style is how a text is laid out.
type style struct {
	newline string // "\n" or "\r\n"
	unit    string // one step of indentation
	colon   string // between name and value, with its white space
	inline  bool   // objects are on one line
	pad     string // within the braces of such an object
}

// style looks at the members of obj, then at those of the outermost object.
func (d *document) style(obj object) style {
	st := style{newline: "\n", unit: defaultUnit, colon: ": "}
	if bytes.Contains(d.text, []byte("\r\n")) {
		st.newline = "\r\n"
	}
	root := d.objects[0]
	if n := len(root.members); n > 0 {
		lead := d.lead(root)
		st.inline = !strings.ContainsAny(lead, "\r\n")
		if !st.inline {
			st.unit = strings.TrimPrefix(indentOf(lead), indentOf(string(d.text[:root.from])))
		}
		st.colon = d.colon(root.members[n-1])
	}
	if n := len(obj.members); n > 0 {
		st.colon = d.colon(obj.members[n-1])
	}
	return st
}

// indentOf is what follows the last line end of a text.
func indentOf(text string) string {
	return text[strings.LastIndexAny(text, "\r\n")+1:]
}

// member writes a name and its value: the key, or an object that leads to it.
func (st style) member(indent string, path []string, key []byte) []byte {
	text := append(quote(path[0]), st.colon...)
	if len(path) == 1 {
		return append(text, key...)
	}
	return append(text, st.object(indent, path[1:], key)...)
}

// object writes an object with nothing but the way to the key. indent is that
// of the line on which it starts.
func (st style) object(indent string, path []string, key []byte) []byte {
	open, inner, end := st.newline+indent+st.unit, indent+st.unit, st.newline+indent
	if st.inline {
		open, inner, end = st.pad, "", st.pad
	}
	text := append([]byte("{"+open), st.member(inner, path, key)...)
	return append(text, end+"}"...)
}

// quote writes a JSON string. Only what JSON demands is escaped: "<" stays
// readable.
func quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string never fails
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
