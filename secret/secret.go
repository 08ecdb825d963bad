// Package secret holds a key that cannot be printed by accident.
//
// A Key shows itself as "[redacted]" to fmt, log/slog, encoding/json and
// anything else that asks for text. Reveal is the only way out, so that
// `grep Reveal` lists every place where a key leaves the type.
//
// It does not promise to keep the key out of memory dumps: Go's garbage
// collector may copy and keep strings. See cmd for what is done about core
// files.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what a Key shows of itself.
const Redacted = "[redacted]"

// MinBits is the estimated strength, in bits, below which a key counts as
// weak. 128 bits is the usual floor for a secret that may be guessed offline
// (NIST SP 800-57 part 1, table 2).
const MinBits = 128

// A Key is a secret. The zero Key is no key at all. Keys cannot be compared
// with == (it does not compile): Equal does it in constant time.
type Key struct {
	_ [0]func() // not comparable

	// value stands behind a pointer because fmt calls no method of a value in
	// an unexported field, nor of one that it was given with a wrong verb such
	// as %p: it walks through the fields instead, and then prints an address.
	value *string
}

// New takes value as it is: nothing is trimmed, because a Blnk server does not
// trim its key either.
func New(value string) Key {
	if value == "" {
		return Key{}
	}
	return Key{value: &value}
}

// Reveal returns the secret itself. The caller must hand it only to what needs
// it: a store, the journal, an HTTP header.
func (k Key) Reveal() string {
	if k.value == nil {
		return ""
	}
	return *k.value
}

// IsZero says whether there is no key.
func (k Key) IsZero() bool { return k.value == nil }

// Equal compares in a time that does not depend on where two keys differ. It
// does depend on their lengths.
func (k Key) Equal(other Key) bool {
	return subtle.ConstantTimeCompare([]byte(k.Reveal()), []byte(other.Reveal())) == 1
}

// Fingerprint names the key without giving it away: "sha256:" and the first
// 12 hexadecimal digits of its SHA-256, as `printf %s KEY | sha256sum` shows
// them. A weak key has none (""), because it could be found from it by
// guessing.
func (k Key) Fingerprint() string {
	if k.Bits() < MinBits {
		return ""
	}
	sum := sha256.Sum256([]byte(k.Reveal()))
	return "sha256:" + hex.EncodeToString(sum[:6])
}

// Name is what the key is called before people: its fingerprint, or that it has
// none.
func (k Key) Name() string {
	switch fp := k.Fingerprint(); {
	case k.IsZero():
		return "no key"
	case fp == "":
		return "a weak key"
	default:
		return fp
	}
}

// What follows returns Redacted, whoever asks.

func (Key) String() string { return Redacted }

func (Key) GoString() string { return Redacted }

func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// MarshalText returns Redacted. What has to save a key must use Reveal.
func (Key) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

func (Key) LogValue() slog.Value { return slog.StringValue(Redacted) }
