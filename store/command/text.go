package command

import (
	"regexp"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// word is what a key without quotes is made of: the letters of base64, its URL
// form, and all of base62.
var word = regexp.MustCompile(`[A-Za-z0-9+/_=-]+`)

// withoutKeys redacts every word that may be a key: strong enough, and with a
// digit, as any key of chance has one, but no name of an error. A key that was
// never seen cannot be masked by its text: a command that fails before it has
// printed it on stdout may still tell it on stderr.
func withoutKeys(output string) string {
	return word.ReplaceAllStringFunc(output, func(w string) string {
		if strings.ContainsAny(w, "0123456789") && secret.New(w).Bits() >= secret.MinBits {
			return secret.Redacted
		}
		return w
	})
}
