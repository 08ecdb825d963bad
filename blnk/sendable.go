package blnk

import (
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// Sendable says whether an HTTP client can send the key in KeyHeader so that
// the server sees exactly the same: white space at the ends is cut off on the
// way, and control characters are not allowed in a header (RFC 9110, 5.5). A
// server that was started with a key that is not sendable locks everyone out.
func Sendable(key secret.Key) bool {
	value := key.Reveal()
	if value == "" || value != strings.Trim(value, " \t") {
		return false
	}
	for i := range len(value) {
		if c := value[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}
