package dotenv

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/secret"
)

// An editor knows one variable by its name.
type editor string

// Value reads the variable as compose would.
func (e editor) Value(text []byte) (secret.Key, error) {
	f, err := parse(string(text))
	if err != nil {
		return secret.Key{}, err
	}
	i := f.last(string(e), len(f.all))
	if i < 0 {
		return secret.Key{}, nil
	}
	value, err := reader{f, map[int]string{}}.value(i)
	return secret.New(value), err
}

// Set puts next in the place of the value, or adds a line.
func (e editor) Set(text []byte, next secret.Key) ([]byte, error) {
	f, err := parse(string(text))
	if err != nil {
		return nil, err
	}
	i, err := f.only(string(e))
	if err != nil {
		return nil, err
	}
	var quote byte
	if i >= 0 {
		quote = f.all[i].quote
	}
	value, err := write(next.Reveal(), quote)
	if err != nil {
		return nil, err
	}
	var edited string
	if i >= 0 {
		at := f.all[i].value
		edited = f.text[:at.from] + value + f.text[at.to:]
	} else {
		edited = f.text + f.newLine(string(e), value)
	}
	if !e.isEdit(f, edited, next) {
		return nil, &textfile.LineError{Why: "the value cannot be set without a change to something else"}
	}
	return []byte(edited), nil
}

// only finds the one assignment to name that can be given another value; -1
// where there is none.
func (f *file) only(name string) (int, error) {
	var lines []string
	for _, a := range f.all {
		if a.name == name {
			lines = append(lines, strconv.Itoa(f.line(a.at)))
		}
	}
	i := f.last(name, len(f.all))
	if i < 0 {
		return i, nil
	}
	a := f.all[i]
	switch value := f.text[a.value.from:a.value.to]; {
	case len(lines) > 1:
		return 0, f.bad(a.at, fmt.Sprintf("%s is set more than once, on lines %s: programs differ on which one counts", name, strings.Join(lines, ", ")))
	case a.alone:
		return 0, f.bad(a.at, name+" has no value of its own: it takes that of the environment in which compose runs")
	case linked(a):
		return 0, f.bad(a.at, name+" takes its value from another variable: a key here would cut that link")
	case a.quote == 0 && strings.Contains(value, "\r"):
		return 0, f.bad(a.at, "a carriage return in the middle of a line")
	}
	return i, nil
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
	single := !strings.Contains(key, "'") && trailing(key)%2 == 0
	double := !strings.Contains(key, "`") // compose would keep its backslash
	switch {
	case strings.ContainsFunc(key, unicode.IsControl):
		return "", &textfile.LineError{Why: "the key holds a control character, which env files cannot"}
	case quote == 0 && isPlain(key):
		return key, nil
	case single && (quote != '"' || !double):
		return "'" + key + "'", nil
	case double:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(key) + `"`, nil
	}
	return "", &textfile.LineError{Why: "compose and a shell would read the key differently, whatever the quotes"}
}

// trailing counts the backslashes at the end: compose lets an odd one take the
// meaning from the closing quote.
func trailing(key string) int { return len(key) - len(strings.TrimRight(key, `\`)) }
