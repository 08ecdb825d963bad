package dotenv

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxValue is the longest value, in bytes, that is put together from others:
// Linux takes no longer variable (MAX_ARG_STRLEN).
const maxValue = 128 << 10

// A part of a value is text, or a variable that is put there.
type part struct {
	text string // also what stands behind the operator
	name string
	op   string // "", or one of operators
	// nested is a variable whose operator has more variables behind it.
	nested bool
}

// operators are those of ${NAME-text}; a colon makes an empty value count as
// none (compose-spec, interpolation).
var operators = [...]string{":-", "-", ":+", "+", ":?", "?"}

// split finds the variables in a value: false where compose would not
// understand them, and would not start.
func split(value string) ([]part, bool) {
	var parts []part
	text := ""
	for value != "" {
		before, rest, found := strings.Cut(value, "$")
		text += before
		switch n := nameLen(rest); {
		case !found:
			value = ""
		case strings.HasPrefix(rest, "$"):
			text, value = text+"$", rest[1:]
		case n > 0:
			parts = append(parts, part{text: text}, part{name: rest[:n]})
			text, value = "", rest[n:]
		case strings.HasPrefix(rest, "{"):
			p, behind, ok := braced(rest[1:])
			if !ok {
				return nil, false
			}
			parts = append(parts, part{text: text}, p)
			text, value = "", behind
		default:
			text, value = text+"$", rest
		}
	}
	return append(parts, part{text: text}), true
}

// braced reads a variable behind "${".
func braced(text string) (p part, behind string, ok bool) {
	n := nameLen(text)
	p.name, text = text[:n], text[n:]
	if n == 0 {
		return p, "", false
	}
	for _, op := range operators {
		if p.op == "" && strings.HasPrefix(text, op) {
			p.op, text = op, text[len(op):]
		}
	}
	inner, behind, ok := strings.Cut(text, "}")
	switch {
	case !ok || strings.Contains(inner, "\n") || p.op == "" && inner != "":
		return p, "", false
	case strings.ContainsAny(inner, "${"):
		// Where it ends depends on what is in it. It is not looked into.
		return part{nested: true}, "", true
	}
	p.text = inner
	return p, behind, true
}

// nameLen is how long the name of a variable at the start of text is. Compose
// matches letters whatever their case, and of two more letters the ASCII one
// is the other case.
func nameLen(text string) int {
	for i, r := range text {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == 'ſ' || r == '\u212a'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return i
		}
	}
	return len(text)
}

// escapes are those of one letter that compose knows.
var escapes = map[byte]string{
	'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", '"': `"`, '\\': `\`,
	'$': "$$", // interpolation, which comes later, makes one of it
}

// unescape reads the escapes within double quotes. Unknown ones stay.
func unescape(raw string) string {
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' || i+1 == len(raw) {
			b.WriteByte(raw[i])
			continue
		}
		i++
		if c, ok := escapes[raw[i]]; ok {
			b.WriteString(c)
			continue
		}
		if raw[i] != '0' {
			b.WriteByte('\\')
			b.WriteByte(raw[i])
			continue
		}
		digits := raw[i+1 : i+1+digitsLen(raw[i+1:])]
		i += len(digits)
		if n, err := strconv.ParseUint(digits, 8, 8); err == nil && len(digits) == 3 {
			b.WriteRune(rune(n))
		} else {
			b.WriteString(`\` + digits) // compose loses the 0
		}
	}
	return b.String()
}

// digitsLen counts up to three digits.
func digitsLen(text string) int {
	n := 0
	for n < len(text) && n < 3 && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}

// A reader works out values; each once, since a file may repeat a variable
// in itself so often that it would never end.
type reader struct {
	*file
	done map[int]string
}

// value is that of the assignment number i.
func (r reader) value(i int) (string, error) {
	if v, ok := r.done[i]; ok {
		return v, nil
	}
	a := r.all[i]
	if a.alone {
		return "", r.bad(a.at, "a name without a value: it takes that of the environment in which compose runs")
	}
	if raw := r.text[a.value.from:a.value.to]; a.quote == 0 && strings.HasPrefix(raw, "#") && isBlank(before(r.text, a.value.from)) {
		return "", r.bad(a.at, `a "#" behind a blank: compose takes it for the value, a shell for a comment`)
	}
	var b strings.Builder
	for _, p := range a.parts {
		text, err := r.part(i, p)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		if b.Len() > maxValue && linked(a) {
			return "", r.bad(a.at, "a value of more than 128 KiB")
		}
	}
	r.done[i] = b.String()
	return r.done[i], nil
}

// before is the character that ends in front of text[at].
func before(text string, at int) rune {
	c, _ := utf8.DecodeLastRuneInString(text[:at])
	return c
}

// linked says whether a value comes from other variables.
func linked(a assignment) bool {
	for _, p := range a.parts {
		if p.name != "" || p.nested {
			return true
		}
	}
	return false
}

// part is what a part of assignment number i stands for. Compose asks its
// own environment first, and then what it has read so far. Of the former
// nothing is known here.
func (r reader) part(i int, p part) (string, error) {
	if p.nested {
		return "", r.bad(r.all[i].at, "variables inside of variables: blnkctl does not read them")
	}
	if p.name == "" {
		return p.text, nil
	}
	from := r.last(p.name, i)
	if from < 0 {
		return "", r.bad(r.all[i].at, "the value depends on a variable that is not set in the lines before: compose takes that from its own environment")
	}
	value, err := r.value(from)
	if err != nil {
		return "", err
	}
	there := value != "" || !strings.HasPrefix(p.op, ":")
	switch p.op {
	case "-", ":-":
		if !there {
			return p.text, nil
		}
	case "+", ":+":
		if there {
			return p.text, nil
		}
	case "?", ":?":
		if !there {
			return "", r.bad(r.all[i].at, "a variable that compose requires has no value")
		}
	}
	return value, nil
}

// last is the number of the last assignment to name before number end; -1
// where there is none.
func (f *file) last(name string, end int) int {
	for i := end - 1; i >= 0; i-- {
		if f.all[i].name == name {
			return i
		}
	}
	return -1
}
