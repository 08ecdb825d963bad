// Package keygen makes keys and judges keys.
//
// A generated key is drawn from crypto/rand without bias and has at least the
// entropy that was asked for. A key that exists can only be judged from the
// outside: Check finds what is known to be bad, and does not promise that a
// key without findings is hard to guess.
package keygen

import (
	"cmp"
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
	// checksum: see secret.Prefix.
	Prefixed Format = "prefixed"
	// Base62 is digits and letters.
	Base62 Format = "base62"
	// Base64URL is random bytes in the URL alphabet of RFC 4648 section 5,
	// without padding.
	Base64URL Format = "base64url"
	// Hex is random bytes in lower-case hexadecimal digits.
	Hex Format = "hex"
)

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
func Generate(f Format, bits int) (secret.Key, error) {
	switch {
	case f != Prefixed && f != Base62 && f != Base64URL && f != Hex:
		return secret.Key{}, fmt.Errorf("generate key: format %q: %w (known: %s, %s, %s, %s)", f, ErrUnsupported, Prefixed, Base62, Base64URL, Hex)
	case bits < secret.MinBits || bits > MaxBits:
		return secret.Key{}, fmt.Errorf("generate key: %d bits: %w (from %d to %d)", bits, ErrUnsupported, secret.MinBits, MaxBits)
	}
	return drawn(SecretKey, func() string { return draw(f, bits) }), nil
}

// drawn draws until there is nothing to find fault with, so that nobody is told to
// replace a key that was just made. That happens to less than one in a hundred
// thousand keys and costs as little entropy.
func drawn(u Use, draw func() string) secret.Key {
	for {
		if key := secret.New(draw()); u.Weakness(key) == "" {
			return key
		}
	}
}

func draw(f Format, bits int) string {
	raw := make([]byte, (bits+7)/8)
	_, _ = rand.Read(raw)                                                            // never fails (Go 1.24 on)
	length := int(math.Ceil(float64(bits) / math.Log2(float64(len(secret.Base62))))) // 43 for 256
	switch f {
	case Hex:
		return hex.EncodeToString(raw)
	case Base64URL:
		return base64.RawURLEncoding.EncodeToString(raw)
	case Base62:
		return randomBase62(length)
	default:
		body := secret.Prefix + randomBase62(length)
		return body + secret.Checksum(body)
	}
}

// randomBase62 draws n characters. Of 6 random bits the values 62 and 63 are
// thrown away: a remainder would make the first characters more likely.
func randomBase62(n int) string {
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for {
		_, _ = rand.Read(buf) // never fails (Go 1.24 on)
		for _, b := range buf {
			if v := b & 63; int(v) < len(secret.Base62) {
				out = append(out, secret.Base62[v])
			}
			if len(out) == n {
				return string(out)
			}
		}
	}
}

// A Use is what Blnk does with a key.
type Use string

// The uses.
const (
	// SecretKey is the master key.
	SecretKey Use = "secret-key"
	// Tokenization encrypts identity fields. Blnk wants exactly 32 bytes
	// (AES-256) and turns tokenization off otherwise.
	Tokenization Use = "tokenization"
	// MetricsToken opens /metrics and the worker's /monitoring.
	MetricsToken Use = "metrics-token"
)

// TokenizationLength is the length, in bytes, that Blnk demands of a
// tokenization secret (Blnk 0.15 config: anything else turns it off).
const TokenizationLength = 32

// TokenizationBits is the entropy of the base62 characters that ForUse makes:
// 32 * log2(62), rounded down.
const TokenizationBits = 190

// Bits is the entropy of a key for a use where so many were asked for.
func (u Use) Bits(asked int) int {
	if u == Tokenization {
		return TokenizationBits
	}
	return asked
}

// fields are where a store of a scheme keeps the key of a use: Blnk's own names
// (Blnk 0.15 config/config.go), for vault the last part of them.
var fields = map[Use]map[string]string{
	SecretKey:    names("server.secret_key", "BLNK_SERVER_SECRET_KEY", "secret_key"),
	Tokenization: names("tokenization_secret", "BLNK_TOKENIZATION_SECRET", "tokenization_secret"),
	MetricsToken: names("server.metrics_bearer_token", "BLNK_METRICS_BEARER_TOKEN", "metrics_bearer_token"),
}

func names(path, variable, short string) map[string]string {
	return map[string]string{"blnkjson": path, "dotenv": variable, "kubernetes": variable, "vault": short}
}

// Field is the field for this use in a store of the scheme, "" where there is none.
func (u Use) Field(scheme string) string { return fields[u][scheme] }

// ForUse makes a key for the use. The format "" and 0 bits stand for what is
// usual: Prefixed and DefaultBits. A tokenization secret is always
// TokenizationLength base62 characters (190 bits): every other format and any
// number of bits is ErrUnsupported (wrapped).
func ForUse(u Use, f Format, bits int) (secret.Key, error) {
	switch {
	case fields[u] == nil:
		return secret.Key{}, fmt.Errorf("generate key: use %q: %w", u, ErrUnsupported)
	case u != Tokenization:
		return Generate(cmp.Or(f, Prefixed), cmp.Or(bits, DefaultBits))
	case f != "" && f != Base62 || bits != 0:
		return secret.Key{}, fmt.Errorf("generate tokenization secret: format or bits: %w (it is always %d characters)", ErrUnsupported, TokenizationLength)
	}
	return drawn(u, func() string { return randomBase62(TokenizationLength) }), nil
}
