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
func newText(path []string, key secret.Key) []byte {
	st := style{newline: "\n", unit: defaultUnit, colon: ": "}
	return append(st.object("", path, key.Reveal()), '\n')
}

// addition is the text that adds the key, and where it goes: behind the last
// member of the innermost object of the path that is there, laid out as that
// member is; into an object without members, as the rest of the text is.
func (d *document) addition(key secret.Key) (at int, added []byte) {
	obj := d.objects[len(d.objects)-1]
	path := d.path[len(d.objects)-1:]
	st := d.style(obj)
	if n := len(obj.members); n > 0 {
		last := obj.members[n-1]
		between := d.between(obj)
		st.inline, st.pad = !strings.ContainsAny(between, "\r\n"), d.pad(obj)
		return last.value.to, append([]byte(between), st.member(indentOf(between), path, key.Reveal())...)
	}
	// {} or white space between the braces.
	inner := string(d.text[obj.from+1 : obj.to-1])
	indent := d.indentAt(obj.from)
	switch {
	case strings.ContainsAny(inner, "\r\n"):
		st.inline = false
		// What is there already leads to the closing brace.
		return obj.from + 1, append([]byte(st.newline+indent+st.unit), st.member(indent+st.unit, path, key.Reveal())...)
	case inner != "" || st.inline:
		st.inline, st.pad = true, inner
		return obj.from + 1, append([]byte(inner), st.member("", path, key.Reveal())...)
	default:
		added = append([]byte(st.newline+indent+st.unit), st.member(indent+st.unit, path, key.Reveal())...)
		return obj.from + 1, append(added, st.newline+indent...)
	}
}

// between is what stands between the last two members of obj, comma and all;
// with one member, what would.
func (d *document) between(obj object) string {
	n := len(obj.members)
	last := obj.members[n-1]
	if n > 1 {
		return string(d.text[obj.members[n-2].value.to:last.at.from])
	}
	lead := string(d.text[obj.from+1 : last.at.from])
	if lead == "" && strings.HasSuffix(d.colon(last), " ") {
		lead = " " // {"a": 1}: who writes a space behind a colon does so behind a comma
	}
	return "," + lead
}

// pad is the white space inside of the braces of an object on one line.
func (d *document) pad(obj object) string {
	lead := string(d.text[obj.from+1 : obj.members[0].at.from])
	if strings.ContainsAny(lead, "\r\n") {
		return ""
	}
	return lead
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
	newline string // "\n", "\r\n" or "\r"
	unit    string // one step of indentation
	colon   string // between name and value, with its white space
	inline  bool   // objects are on one line
	pad     string // within the braces of such an object
}

// style looks around obj: its own members first, then the outermost object's.
func (d *document) style(obj object) style {
	st := style{newline: d.newline(obj.from), unit: defaultUnit, colon: ": "}
	root := d.objects[0]
	if len(root.members) > 0 {
		first := root.members[0]
		lead := string(d.text[root.from+1 : first.at.from])
		st.inline = !strings.ContainsAny(lead, "\r\n")
		if !st.inline {
			st.unit = strings.TrimPrefix(indentOf(lead), d.indentAt(root.from))
		}
		st.colon = d.colon(root.members[len(root.members)-1])
	}
	if n := len(obj.members); n > 0 {
		st.colon = d.colon(obj.members[n-1])
	}
	return st
}

// newline is the line end in use before text[at], or behind it where there is
// none before.
func (d *document) newline(at int) string {
	i := bytes.LastIndexAny(d.text[:at], "\r\n")
	if i < 0 {
		if i = bytes.IndexAny(d.text, "\r\n"); i >= 0 && bytes.HasPrefix(d.text[i:], []byte("\r\n")) {
			i++
		}
	}
	switch {
	case i < 0:
		return "\n"
	case d.text[i] == '\r':
		return "\r"
	case i > 0 && d.text[i-1] == '\r':
		return "\r\n"
	default:
		return "\n"
	}
}

// indentAt is the white space at the start of the line of text[at].
func (d *document) indentAt(at int) string {
	start := bytes.LastIndexAny(d.text[:at], "\r\n") + 1
	end := start
	for end < at && (d.text[end] == ' ' || d.text[end] == '\t') {
		end++
	}
	return string(d.text[start:end])
}

// indentOf is what follows the last line end of white space.
func indentOf(white string) string {
	return white[strings.LastIndexAny(white, "\r\n")+1:]
}

// member writes a name and its value: the key, or an object that leads to it.
func (st style) member(indent string, path []string, key string) []byte {
	text := append(quote(path[0]), st.colon...)
	if len(path) == 1 {
		return append(text, quote(key)...)
	}
	return append(text, st.object(indent, path[1:], key)...)
}

// object writes an object with nothing but the way to the key. indent is that
// of the line on which it starts.
func (st style) object(indent string, path []string, key string) []byte {
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
