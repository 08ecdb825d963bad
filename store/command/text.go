package command

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/secret"
)

// keyOf is the key in what a command printed: without one line end. why says
// what it is where it cannot be a key.
func keyOf(printed secret.Key) (key secret.Key, why string) {
	text := printed.Reveal()
	if cut, ok := strings.CutSuffix(text, "\n"); ok {
		text = strings.TrimSuffix(cut, "\r")
	}
	if text == "" {
		return secret.Key{}, ""
	}
	return secret.New(text), fault(text)
}

// fault says why a text is not handed through commands: white space gets lost
// or added on the way, and is a sign that something else was printed.
func fault(text string) string {
	switch {
	case text == "":
		return "empty"
	case !utf8.ValidString(text):
		return "not valid UTF-8"
	case strings.ContainsFunc(text, unicode.IsControl):
		return "not a key: a line end or another control character is in it"
	case strings.ContainsFunc(text, unicode.IsSpace):
		return "not a key: white space is in it"
	}
	return ""
}

const (
	maxLines = 3
	maxSaid  = 500 // bytes
)

// lastLines is the end of an output on one line: what a command says last is
// mostly the reason.
func lastLines(output string) string {
	var lines []string
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	lines = lines[max(0, len(lines)-maxLines):]
	said := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '.'
		}
		return r
	}, strings.Join(lines, "; "))
	if len(said) > maxSaid {
		said = "…" + strings.ToValidUTF8(said[len(said)-maxSaid:], "")
	}
	return said
}

// withoutKeys redacts every word that may be a key: strong enough, and with a
// digit, as any key of chance has one, but no name of an error. A key that was
// never seen cannot be masked by its text: a command that fails before it has
// printed it on stdout may still tell it on stderr.
func withoutKeys(output string) string {
	var b strings.Builder
	for rest := output; rest != ""; {
		n := strings.IndexFunc(rest, func(r rune) bool { return !keyLetter(r) })
		if n < 0 {
			n = len(rest)
		}
		word := rest[:n]
		if strings.ContainsAny(word, "0123456789") && secret.New(word).Bits() >= secret.MinBits {
			word = secret.Redacted
		}
		b.WriteString(word)
		_, size := utf8.DecodeRuneInString(rest[n:])
		b.WriteString(rest[n : n+size])
		rest = rest[n+size:]
	}
	return b.String()
}

// keyLetter is what stands in a key without quotes: the letters of base64, its
// URL form, and all of base62.
func keyLetter(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("+/_-=", r)
}
