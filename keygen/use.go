package keygen

import (
	"fmt"

	"github.com/blnkctl/blnkctl/secret"
)

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

// ParseUse reads the name of a use, or returns ErrUnsupported (wrapped).
func ParseUse(name string) (Use, error) {
	switch u := Use(name); u {
	case SecretKey, Tokenization, MetricsToken:
		return u, nil
	}
	return "", fmt.Errorf("use %q: %w (known: %s, %s, %s)", name, ErrUnsupported, SecretKey, Tokenization, MetricsToken)
}

// Field is the field in which a store of the scheme keeps a key of this use,
// "" where the scheme has no such field. The names are Blnk's own (Blnk 0.15
// config/config.go), for vault the last part of them.
func (u Use) Field(scheme string) string {
	type fields map[Use]string
	variables := fields{
		SecretKey:    "BLNK_SERVER_SECRET_KEY",
		Tokenization: "BLNK_TOKENIZATION_SECRET",
		MetricsToken: "BLNK_METRICS_BEARER_TOKEN",
	}
	return map[string]fields{
		"blnkjson": {
			SecretKey:    "server.secret_key",
			Tokenization: "tokenization_secret",
			MetricsToken: "server.metrics_bearer_token",
		},
		"dotenv":     variables,
		"kubernetes": variables,
		"vault": {
			SecretKey:    "secret_key",
			Tokenization: "tokenization_secret",
			MetricsToken: "metrics_bearer_token",
		},
	}[scheme][u]
}

// ForUse makes a key for the use. The format "" and 0 bits stand for what is
// usual: Prefixed and DefaultBits. A tokenization secret is always
// TokenizationLength base62 characters (190 bits): every other format and any
// number of bits is ErrUnsupported (wrapped).
func ForUse(u Use, f Format, bits int) (secret.Key, error) {
	if _, err := ParseUse(string(u)); err != nil {
		return secret.Key{}, fmt.Errorf("generate key: %w", err)
	}
	if u == Tokenization {
		if f != "" && f != Base62 {
			return secret.Key{}, fmt.Errorf("generate tokenization secret: format %s: %w (it is always %s)", f, ErrUnsupported, Base62)
		}
		if bits != 0 {
			return secret.Key{}, fmt.Errorf("generate tokenization secret: a number of bits: %w (it is always %d characters)", ErrUnsupported, TokenizationLength)
		}
		return tokenizationSecret(), nil
	}
	if f == "" {
		f = Prefixed
	}
	if bits == 0 {
		bits = DefaultBits
	}
	return Generate(f, bits)
}

func tokenizationSecret() secret.Key {
	for {
		key := secret.New(randomBase62(TokenizationLength))
		if len(CheckTokenization(key)) == 0 {
			return key
		}
	}
}
