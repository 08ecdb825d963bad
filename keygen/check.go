package keygen

import (
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// Weakness says why a key that is in use should be replaced, the worst first: it
// locks everyone out, it is not the one that was made, or it can be guessed. A
// sentence without a subject ("is empty"), that holds nothing of the key; "" where
// nothing is known.
func (u Use) Weakness(k secret.Key) string {
	value := k.Reveal()
	body, prefixed, whole := splitPrefixed(value)
	travels := u != Tokenization // in an HTTP header
	switch bits := secret.New(body).Bits(); {
	case value == "":
		return "is empty"
	case !travels && len(value) != TokenizationLength:
		return fmt.Sprintf("has %d bytes instead of %d: Blnk turns tokenization off", len(value), TokenizationLength)
	case travels && strings.Trim(value, " \t") != value:
		return "begins or ends with white space, which no HTTP client can send"
	case travels && strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "has a line break or another control character, which no HTTP client can send"
	case prefixed && !whole:
		return "is truncated or mistyped: its checksum is wrong"
	case isPlaceholder(body):
		return "is a known placeholder or made of usual words"
	case bits < secret.MinBits:
		return fmt.Sprintf("has about %d bits, want %d", bits, secret.MinBits)
	}
	return ""
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
