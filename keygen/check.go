package keygen

import (
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// A Flaw is a kind of weakness.
type Flaw int

// The flaws, the worst first.
const (
	Sound       Flaw = iota // none is known
	Empty                   // no key at all
	Length                  // of a tokenization secret
	Unsendable              // no HTTP client can send it as it is
	Broken                  // of our own form, cut or mistyped
	Placeholder             // known, or made of usual words
	Guessable               // too few bits
)

// Weakness is the text of Judge.
func (u Use) Weakness(k secret.Key) string {
	_, text := u.Judge(k)
	return text
}

// Judge says why a key that is in use should be replaced, the worst first: it
// locks everyone out, it is not the one that was made, or it can be guessed. The
// text is a sentence without a subject ("is empty"), that holds nothing of the key;
// "" where nothing is known.
func (u Use) Judge(k secret.Key) (Flaw, string) {
	value := k.Reveal()
	body, prefixed, whole := splitPrefixed(value)
	travels := u != Tokenization // in an HTTP header
	switch bits := secret.New(body).Bits(); {
	case value == "":
		return Empty, "is empty"
	case !travels && len(value) != TokenizationLength:
		return Length, fmt.Sprintf("has %d bytes instead of %d: Blnk turns tokenization off", len(value), TokenizationLength)
	case travels && strings.Trim(value, " \t") != value:
		return Unsendable, "begins or ends with white space, which no HTTP client can send"
	case travels && strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return Unsendable, "has a line break or another control character, which no HTTP client can send"
	case prefixed && !whole:
		return Broken, "is truncated or mistyped: its checksum is wrong"
	case isPlaceholder(body):
		return Placeholder, "is a known placeholder or made of usual words"
	case bits < secret.MinBits:
		return Guessable, fmt.Sprintf("has about %d bits, want %d", bits, secret.MinBits)
	}
	return Sound, ""
}

// splitPrefixed takes a key of the format Prefixed apart. body is the random
// part, where the checksum is right; otherwise all behind the prefix, because
// nobody knows then what of it is missing. prefixed is false for a key of
// another format, whose body is the key itself.
func splitPrefixed(value string) (body string, prefixed, whole bool) {
	body, prefixed = strings.CutPrefix(value, secret.Prefix)
	cut := len(body) - secret.ChecksumLength
	if prefixed && cut > 0 && secret.Checksum(secret.Prefix+body[:cut]) == body[cut:] {
		return body[:cut], true, true
	}
	return body, prefixed, false
}
