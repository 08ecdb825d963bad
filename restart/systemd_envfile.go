package restart

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/internal/run"
)

// errNotText: an env file that systemd reads nothing from.
var errNotText = errors.New("it is no UTF-8 text")

const (
	envSpace   = " \t\n\r"
	envNewline = "\n\r"
)

// parseEnvFile reads an env file as systemd's EnvironmentFile= does, which is
// not how docker compose reads one: nothing is interpolated, "export" is no
// word of the language, "#" is a comment only at the beginning of a line, and
// what stands behind a closing quote belongs to the value (systemd
// src/basic/env-file.c, a state for each of its states). version is systemd's: before 254 a
// comment that ends with a backslash goes on in the next line. 0 is one of
// today.
func parseEnvFile(text string, version int) (map[string]string, error) {
	if strings.ContainsRune(text, 0) {
		return nil, errNotText
	}
	p := envParser{vars: map[string]string{}, oldComments: version > 0 && version < 254}
	state := (*envParser).preKey
	for i := 0; i < len(text) && state != nil; i++ {
		p.next = nil
		state(&p, text[i])
		if p.next != nil {
			state = p.next
		}
	}
	if p.inValue {
		p.push()
	}
	if p.notText {
		return nil, errNotText
	}
	return p.vars, nil
}

// An envParser is a machine that is in one state, a method, at each character.
type envParser struct {
	vars        map[string]string
	oldComments bool

	key, value []byte
	inValue    bool // behind the '='
	notText    bool // an assignment is not UTF-8; a comment may be what it is
	// trim is the length of the value without the white space at its end, which
	// is not a part of it unless it was quoted or escaped.
	trim int
	next envState
}

type envState func(*envParser, byte)

func (p *envParser) preKey(c byte) {
	switch {
	case c == '#' || c == ';':
		p.next = (*envParser).comment
	case !in(c, envSpace):
		p.key = append(p.key, c)
		p.next = (*envParser).inKey
	}
}

func (p *envParser) inKey(c byte) {
	switch {
	case in(c, envNewline):
		p.key = nil // a line without '='
		p.next = (*envParser).preKey
	case c == '=':
		p.inValue = true
		p.next = (*envParser).preValue
	default:
		p.key = append(p.key, c)
	}
}

// preValue: in front of a value, and behind a closing quote.
func (p *envParser) preValue(c byte) {
	switch {
	case in(c, envNewline):
		p.push()
		p.next = (*envParser).preKey
	case c == '\'':
		p.next = (*envParser).single
	case c == '"':
		p.next = (*envParser).double
	case c == '\\':
		p.next = (*envParser).escape
	case !in(c, envSpace):
		p.keep(c)
		p.next = (*envParser).plain
	}
}

func (p *envParser) plain(c byte) {
	switch {
	case in(c, envNewline):
		p.push()
		p.next = (*envParser).preKey
	case c == '\\':
		p.trim = len(p.value)
		p.next = (*envParser).escape
	case in(c, envSpace):
		p.value = append(p.value, c)
	default:
		p.keep(c)
	}
}

func (p *envParser) escape(c byte) {
	p.next = (*envParser).plain
	if !in(c, envNewline) { // the line goes on
		p.keep(c)
	}
}

func (p *envParser) single(c byte) {
	if c == '\'' {
		p.next = (*envParser).preValue
		return
	}
	p.keep(c)
}

func (p *envParser) double(c byte) {
	switch c {
	case '"':
		p.next = (*envParser).preValue
	case '\\':
		p.next = (*envParser).doubleEscape
	default:
		p.keep(c)
	}
}

func (p *envParser) doubleEscape(c byte) {
	p.next = (*envParser).double
	if c == '\n' { // the line goes on
		return
	}
	if !in(c, "\"\\`$") {
		p.keep('\\')
	}
	p.keep(c)
}

func (p *envParser) comment(c byte) {
	switch {
	case c == '\\':
		p.next = (*envParser).commentEscape
	case in(c, envNewline):
		p.next = (*envParser).preKey
	}
}

func (p *envParser) commentEscape(c byte) {
	p.next = (*envParser).comment
	if in(c, envNewline) && !p.oldComments {
		p.next = (*envParser).preKey
	}
}

// keep adds a character that stays, whatever follows.
func (p *envParser) keep(c byte) {
	p.value = append(p.value, c)
	p.trim = len(p.value)
}

// push ends an assignment. The last of a repeated name wins; one that no
// program could be given is dropped.
func (p *envParser) push() {
	name := strings.TrimRight(string(p.key), envSpace)
	value := string(p.value[:p.trim])
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		p.notText = true
	}
	// A line with another name, such as "export NAME=VALUE", has no effect
	// (systemd src/basic/env-util.c).
	if run.IsVariable(name) {
		p.vars[name] = value
	}
	p.key, p.value, p.trim, p.inValue = nil, nil, 0, false
}

func in(c byte, set string) bool { return strings.IndexByte(set, c) >= 0 }
