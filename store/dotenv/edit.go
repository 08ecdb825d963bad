package dotenv

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store/filestore"
)

// An editor knows one variable by its name.
type editor string

// Value reads the variable; the last of a repeated one, as compose does.
func (e editor) Value(text []byte) (secret.Key, error) {
	f, err := parse(string(text))
	if err != nil {
		return secret.Key{}, err
	}
	all := f.named(string(e))
	if len(all) == 0 {
		return secret.Key{}, nil
	}
	value, err := f.value(all[len(all)-1])
	return secret.New(value), err
}

// Set puts next in the place of the value, or adds a line.
func (e editor) Set(text []byte, next secret.Key) ([]byte, error) {
	f, err := parse(string(text))
	if err != nil {
		return nil, err
	}
	all := f.named(string(e))
	if len(all) > 1 {
		return nil, f.repeated(all)
	}
	var old assignment
	if len(all) == 1 {
		old = all[0]
		if _, err := f.value(old); err != nil {
			return nil, err
		}
	}
	value, err := write(next.Reveal(), old.quote)
	if err != nil {
		return nil, err
	}
	edited := f.text + f.newLine(string(e), value)
	if len(all) == 1 {
		edited = f.text[:old.value.from] + value + f.text[old.value.to:]
	}
	if !e.isEdit(f, edited, next) {
		return nil, &filestore.LineError{Why: "the value cannot be set without a change to something else"}
	}
	return []byte(edited), nil
}

// Absence says how a text looks that does not set the variable.
func (e editor) Absence(text []byte) string {
	f, err := parse(string(text))
	switch {
	case err != nil || text == nil:
		return ""
	case len(f.named(string(e))) > 0:
		return filestore.Empty
	case f.text != "" && !strings.HasSuffix(f.text, "\n"):
		return "no line end"
	default:
		return "no line"
	}
}

// Unset are the texts that the value may have been added to: with the variable set to
// nothing, without its line, and without the line end before that.
func (e editor) Unset(text []byte) (before [][]byte) {
	f, err := parse(string(text))
	if err != nil || len(f.named(string(e))) != 1 {
		return nil
	}
	a := f.named(string(e))[0]
	from := strings.LastIndexByte(f.text[:a.at], '\n') + 1
	to := min(a.value.to+lineEnd(f.text[a.value.to:])+1, len(f.text))
	rest := f.text[to:]
	for _, nothing := range []string{"", "''", `""`} {
		before = append(before, []byte(f.text[:a.value.from]+nothing+f.text[a.value.to:]))
	}
	before = append(before, []byte(f.text[:from]+rest))
	if rest == "" {
		before = append(before, []byte(strings.TrimSuffix(strings.TrimSuffix(f.text[:from], "\n"), "\r")))
	}
	return before
}

// named are the assignments to a variable.
func (f *file) named(name string) []assignment {
	var all []assignment
	for _, a := range f.all {
		if a.name == name {
			all = append(all, a)
		}
	}
	return all
}

func (f *file) repeated(all []assignment) error {
	var lines []string
	for _, a := range all {
		lines = append(lines, strconv.Itoa(f.line(a.at)))
	}
	last := all[len(all)-1]
	return f.bad(last.at, fmt.Sprintf("%s is set more than once, on lines %s: programs differ on which one counts", last.name, strings.Join(lines, ", ")))
}

// value reads what a is set to, where everybody reads the same.
func (f *file) value(a assignment) (string, error) {
	raw := f.text[a.value.from:a.value.to]
	switch {
	case a.alone:
		return "", f.bad(a.at, a.name+" has no value of its own: it takes that of the environment in which compose runs")
	case a.quote != 0 && strings.Contains(raw, "\n"):
		return "", f.bad(a.at, "a value on several lines")
	case a.quote == 0 && strings.Contains(raw, "\r"):
		return "", f.bad(a.at, "a carriage return in the middle of a line")
	case a.quote == 0 && strings.HasPrefix(raw, "#") && f.skipBlank(a.value.from-1) == a.value.from:
		return "", f.bad(a.at, `a "#" behind a blank: compose takes it for the value, a shell for a comment`)
	case a.quote == 0 && strings.TrimFunc(raw, unicode.IsSpace) == "":
		return "", nil
	case a.quote == 0:
		return raw, f.withoutVariable(a, raw)
	case a.quote == '\'':
		inner := raw[1 : len(raw)-1]
		if strings.Contains(inner, "'") {
			return "", f.bad(a.at, "a backslash before a single quote: compose takes it for a quote, a shell for the end")
		}
		return inner, nil
	}
	return f.doubleQuoted(a, raw[1:len(raw)-1])
}

// doubleQuoted reads the escapes that compose and a shell have in common.
func (f *file) doubleQuoted(a assignment, raw string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '$':
			return "", f.withoutVariable(a, raw[i:])
		case c == '\\' && i+1 < len(raw) && strings.IndexByte(`"$\`, raw[i+1]) >= 0:
			i++
			b.WriteByte(raw[i])
		case c == '\\':
			return "", f.bad(a.at, "a backslash that compose and a shell read differently: single quotes take it as it is")
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// withoutVariable refuses a "$". It says which variable stands there only where
// the file sets it: anything else could be a part of the key.
func (f *file) withoutVariable(a assignment, raw string) error {
	_, rest, found := strings.Cut(raw, "$")
	if !found {
		return nil
	}
	rest = strings.TrimPrefix(rest, "{")
	isLetter := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	other := rest[:len(rest)-len(strings.TrimLeftFunc(rest, isLetter))]
	why := `a "$": compose and a shell put the value of a variable there; if it is part of the key, put the key in single quotes`
	if other == a.name || len(f.named(other)) == 0 {
		return f.bad(a.at, why)
	}
	return &filestore.LineError{Line: f.line(a.at), Why: a.name + " takes its value from another variable of the file: a key here would cut that link", Field: other}
}

// isEdit looks whether edited is f with next as the value and nothing else
// changed, as it is read again.
func (e editor) isEdit(f *file, edited string, next secret.Key) bool {
	g, err := parse(edited)
	if err != nil {
		return false
	}
	if got, err := e.Value([]byte(edited)); err != nil || !got.Equal(next) {
		return false
	}
	return slices.Equal(f.others(string(e)), g.others(string(e)))
}

// others are all statements but those of name, as they are written.
func (f *file) others(name string) []string {
	var texts []string
	for _, a := range f.all {
		if a.name != name {
			texts = append(texts, a.name, strconv.FormatBool(a.export), f.text[a.value.from:a.value.to])
		}
	}
	return texts
}

// newLine is the line that adds a variable at the end, in the manner of the
// file: its line ends, and "export" where every line has it.
func (f *file) newLine(name, value string) string {
	newline, lead := "\n", ""
	if i := strings.LastIndexByte(f.text, '\n'); i > 0 && f.text[i-1] == '\r' {
		newline = "\r\n"
	}
	if f.text != "" && !strings.HasSuffix(f.text, "\n") {
		lead = newline
	}
	if len(f.all) > 0 && !slices.ContainsFunc(f.all, func(a assignment) bool { return !a.export }) {
		lead += "export "
	}
	return lead + name + "=" + value + newline
}

// isPlain says that compose, docker and every shell take the key as it is.
func isPlain(key string) bool {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:@%+,-"
	return key != "" && key[0] != '=' && strings.Trim(key, plain+"=") == ""
}

// write quotes a key so that compose and a shell read the same. The quotes
// that a person has chosen, if any, are kept where they can hold the key.
func write(key string, quote byte) (string, error) {
	trailing := len(key) - len(strings.TrimRight(key, `\`))
	single := !strings.Contains(key, "'") && trailing%2 == 0 // compose lets an odd backslash escape the closing quote
	double := !strings.Contains(key, "`")                    // compose would keep its backslash
	switch {
	case strings.ContainsFunc(key, unicode.IsControl):
		return "", &filestore.LineError{Why: "the key holds a control character, which env files cannot"}
	case quote == 0 && isPlain(key):
		return key, nil
	case single && (quote != '"' || !double):
		return "'" + key + "'", nil
	case double:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(key) + `"`, nil
	}
	return "", &filestore.LineError{Why: "compose and a shell would read the key differently, whatever the quotes"}
}
