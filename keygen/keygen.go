// Package keygen makes keys and judges keys.
//
// A generated key is drawn from crypto/rand without bias and has at least the
// entropy that was asked for. A key that exists can only be judged from the
// outside: Check finds what is known to be bad, and does not promise that a
// key without findings is hard to guess.
package keygen

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"github.com/blnkctl/blnkctl/secret"
)

// ErrUnsupported means that a key of the wanted format, strength or use is not
// made here.
var ErrUnsupported = errors.New("not supported")

// A Format is the shape of a key.
type Format string

// The formats. None holds a character that a shell, a dotenv file, compose,
// YAML, JSON or a URL could mangle.
const (
	// Prefixed is "blnk_sk_", base62 characters, and 6 base62 characters of
	// checksum: see Prefix.
	Prefixed Format = "prefixed"
	// Base62 is digits and letters.
	Base62 Format = "base62"
	// Base64URL is random bytes in the URL alphabet of RFC 4648 section 5,
	// without padding.
	Base64URL Format = "base64url"
	// Hex is random bytes in lower-case hexadecimal digits.
	Hex Format = "hex"
)

// ParseFormat reads the name of a format, or returns ErrUnsupported (wrapped).
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case Prefixed, Base62, Base64URL, Hex:
		return f, nil
	}
	return "", fmt.Errorf("key format %q: %w (known: %s, %s, %s, %s)", name, ErrUnsupported, Prefixed, Base62, Base64URL, Hex)
}

const (
	// DefaultBits is the entropy, in bits, of a key when nobody asks for
	// another: out of reach of guessing, also by a quantum computer.
	DefaultBits = 256
	// MaxBits is the most entropy, in bits, that a key is made with. More adds
	// nothing, and a header line has to carry it.
	MaxBits = 1024
)

// Generate makes a key of the format with at least so many bits of entropy,
// from secret.MinBits to MaxBits; ErrUnsupported (wrapped) for others. It does
// not fail for want of randomness: crypto/rand ends the program then.
//
// A key that Check would find fault with is thrown away and drawn again, so
// that nobody is told to replace a key that was just made. That happens to
// less than one in a hundred thousand keys and costs as little entropy.
func Generate(f Format, bits int) (secret.Key, error) {
	if _, err := ParseFormat(string(f)); err != nil {
		return secret.Key{}, fmt.Errorf("generate key: %w", err)
	}
	if bits < secret.MinBits || bits > MaxBits {
		return secret.Key{}, fmt.Errorf("generate key: %d bits: %w (from %d to %d)", bits, ErrUnsupported, secret.MinBits, MaxBits)
	}
	for {
		key := secret.New(draw(f, bits))
		if len(Check(key)) == 0 {
			return key, nil
		}
	}
}

func draw(f Format, bits int) string {
	switch f {
	case Hex:
		return hex.EncodeToString(randomBytes(bits))
	case Base64URL:
		return base64.RawURLEncoding.EncodeToString(randomBytes(bits))
	case Base62:
		return randomBase62(base62Length(bits))
	default:
		body := Prefix + randomBase62(base62Length(bits))
		return body + checksum(body)
	}
}

// randomBytes returns at least so many random bits, in whole bytes.
func randomBytes(bits int) []byte {
	b := make([]byte, (bits+7)/8)
	_, _ = rand.Read(b) // never fails (Go 1.24 on)
	return b
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// base62Length is how many base62 characters hold so many bits: 43 for 256.
func base62Length(bits int) int {
	return int(math.Ceil(float64(bits) / math.Log2(float64(len(base62)))))
}

// randomBase62 draws n characters. Of 6 random bits the values 62 and 63 are
// thrown away: a remainder would make the first characters more likely.
func randomBase62(n int) string {
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for {
		_, _ = rand.Read(buf) // never fails (Go 1.24 on)
		for _, b := range buf {
			if v := b & 63; int(v) < len(base62) {
				out = append(out, base62[v])
			}
			if len(out) == n {
				return string(out)
			}
		}
	}
}
