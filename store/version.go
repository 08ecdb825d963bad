package store

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/blnkctl/blnkctl/secret"
)

// VersionOf is the Version of a place that has no versions of its own: that of
// the key alone, the same for every handle; "" for no key. The SHA-256 of a
// weak key gives it away to who guesses: a Version is compared, never shown.
func VersionOf(key secret.Key) Version {
	if key.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(key.Reveal()))
	return Version(hex.EncodeToString(sum[:]))
}
