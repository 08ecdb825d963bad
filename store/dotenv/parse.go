package dotenv

import (
	"strings"
	"unicode"

	"github.com/blnkctl/blnkctl/store/filestore"
)

// A span is a part of a text: text[from:to].
type span struct{ from, to int }

// An assignment is one statement of an env file.
type assignment struct {
	name   string
	at     int  // where the statement starts
	export bool // "export " stands in front
	// alone is a name without a value: it takes that of the environment in
	// which compose runs.
	alone bool
	value span // with its quotes; with the blanks around nothing
	quote byte // '\'' or '"', or 0
}

// A file is an env file taken apart.
type file struct {
	text string
	all  []assignment
}

func (f *file) bad(at int, why string) error {
	return &filestore.LineError{Line: f.line(at), Why: why}
}

func (f *file) line(at int) int { return filestore.LineOf([]byte(f.text), at) }

// parse takes an env file apart where compose would.
func parse(text string) (*file, error) {
	f := &file{text: text}
	for at := f.start(0); at < len(text); {
		next, err := f.statement(at)
		if err != nil {
			return nil, err
		}
		at = f.start(next)
	}
	return f, nil
}

// start skips white space, line ends among it, and comments.
func (f *file) start(at int) int {
	for {
		rest := strings.TrimLeftFunc(f.text[at:], unicode.IsSpace)
		at = len(f.text) - len(rest)
		if !strings.HasPrefix(rest, "#") {
			return at
		}
		at += lineEnd(rest)
	}
}

// lineEnd is where the line at the start of text ends: at its "\n".
func lineEnd(text string) int {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}

// isBlank is the white space within a line, as compose sees it.
func isBlank(r rune) bool {
	return r != '\n' && unicode.Is(unicode.White_Space, r) && r <= 0xa0
}

// skipBlank returns where the blanks at text[at] end.
func (f *file) skipBlank(at int) int {
	return len(f.text) - len(strings.TrimLeftFunc(f.text[at:], isBlank))
}

// statement reads the one at text[at] and returns where it ends.
func (f *file) statement(at int) (end int, err error) {
	a := assignment{at: at}
	if rest, ok := strings.CutPrefix(f.text[at:], "export"); ok && rest != "" && strings.IndexByte("\t\n\f\r ", rest[0]) >= 0 {
		a.export = true
		at = f.skipBlank(at + len("export"))
	}
	sign, err := f.nameEnd(at)
	if err != nil {
		return 0, err
	}
	a.name = strings.TrimRightFunc(f.text[at:sign], unicode.IsSpace)
	switch {
	case a.name == "":
		return 0, f.bad(at, "a name is missing")
	case strings.ContainsFunc(a.name, unicode.IsSpace):
		return 0, f.bad(at, "white space in a name")
	case f.text[sign] == '\n':
		a.alone, end = true, sign+1
	default:
		if end, err = f.findValue(&a, sign+1); err != nil {
			return 0, err
		}
	}
	f.all = append(f.all, a)
	return end, nil
}

// nameEnd returns where the sign behind the name at text[at] is: "=", ":" or
// a line end.
func (f *file) nameEnd(at int) (int, error) {
	for i, r := range f.text[at:] {
		switch {
		case r == '=' || r == ':' || r == '\n':
			return at + i, nil
		case isBlank(r) || strings.ContainsRune("_.-[]", r) || unicode.IsLetter(r) || unicode.IsNumber(r):
		default:
			return 0, f.bad(at, "neither a comment nor NAME=VALUE")
		}
	}
	// Compose would take it for the value of a variable without a name.
	return 0, f.bad(at, "a name without a value, and without a line end")
}

// findValue finds the value behind text[from-1].
func (f *file) findValue(a *assignment, from int) (end int, err error) {
	at := f.skipBlank(from)
	if at < len(f.text) && (f.text[at] == '"' || f.text[at] == '\'') {
		a.quote = f.text[at]
		if end, err = f.quotesEnd(at); err != nil {
			return 0, err
		}
		a.value = span{at, end}
		behind := strings.TrimLeftFunc(f.text[end:end+lineEnd(f.text[end:])], unicode.IsSpace)
		if behind != "" && behind[0] != '#' {
			return 0, f.bad(end, "something stands behind the closing quote")
		}
	} else {
		line := f.text[at : at+lineEnd(f.text[at:])]
		end = min(at+len(line)+1, len(f.text))
		line, _, _ = strings.Cut(line, " #")
		raw := strings.TrimRightFunc(line, unicode.IsSpace)
		a.value = span{at, at + len(raw)}
		if raw == "" {
			// Blanks behind a key would be a part of it to docker and end it
			// for a shell in front of it.
			a.value = span{from, from + len(strings.TrimSuffix(f.text[from:at+len(line)], "\r"))}
		}
	}
	return end, nil
}

// quotesEnd returns where the value with quotes at text[at] ends. A backslash
// takes the meaning from a quote.
func (f *file) quotesEnd(at int) (int, error) {
	for i := at + 1; i < len(f.text); i++ {
		switch f.text[i] {
		case f.text[at]:
			return i + 1, nil
		case '\\':
			i++
		}
	}
	return 0, f.bad(at, "a quote without an end")
}
