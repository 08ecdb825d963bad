package keygen

import (
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// isKnown says whether word is one of those that stand in keys which nobody
// drew: Blnk's own placeholders, as their letters and digits in lower case, and
// what people write into such a field until they have something better. A key
// is known when such words are most of it, whatever stands between and around
// them: "Changeme123!", "prod-your_strong_secret_key-2024".
func isKnown(word string) bool {
	switch word {
	// Blnk's documentation and example files.
	case "yourstrongsecretkey", "setyourmasterblnkkeyhere", "masterkey", "blnkpiisecret":
		return true
	// What such a field is about, and what people do to it.
	case "access", "account", "admin", "administrator", "api", "apikey", "app", "auth", "authentication",
		"backend", "bank", "base64", "bearer", "before", "blnk", "change", "changeit", "changeme",
		"changethis", "character", "characters", "chars", "client", "cloud", "company", "compose", "config",
		"core", "credential", "credentials", "database", "default", "demo", "deploy", "dev", "development",
		"docker", "dummy", "empty", "encryption", "enter", "env", "environment", "example", "fake", "false",
		"finance", "fixme", "foo", "foobar", "for", "from", "generate", "generated", "guest", "hash",
		"hello", "here", "hex", "hidden", "hooks", "initial", "insecure", "insert", "internal", "key",
		"keys", "kubernetes", "ledger", "letmein", "live", "local", "localhost", "login", "long", "main",
		"master", "metrics", "money", "must", "mykey", "new", "none", "not", "null", "openssl", "owner",
		"pass", "passphrase", "password", "passw0rd", "passwd", "payment", "payments", "pii", "pin",
		"placeholder", "please", "postgres", "private", "prod", "production", "public", "put", "rand",
		"random", "real", "redacted", "redis", "replace", "replaceme", "root", "sample", "secret",
		"secretkey", "secure", "security", "server", "service", "set", "should", "some", "staging",
		"strong", "super", "supersecret", "temp", "temporary", "test", "testing", "tests", "this", "token",
		"tokenization", "todo", "tochange", "true", "undefined", "unset", "update", "use", "user",
		"username", "value", "vault", "very", "web", "webhook", "welcome", "with", "word", "world", "write",
		"you", "your":
		return true
	// The usual suspects of leaked lists, walks over the keyboard, counting,
	// years.
	case "abc", "abcd", "abcdef", "asdf", "asdfgh", "deadbeef", "cafebabe", "dragon", "football", "iloveyou",
		"monkey", "qwer", "qwert", "qwerty", "qwertz", "qwertyuiop", "sunshine", "trustno1", "1q2w3e4r",
		"zxcv", "zxcvbn", "zxcvbnm", "summer", "winter", "spring", "autumn", "000", "111", "123", "1234",
		"12345", "123456", "1234567", "12345678", "123456789", "1234567890", "321", "666", "777", "888",
		"999", "xxx", "xxxx", "yyy", "zzz", "2018", "2019", "2020", "2021", "2022", "2023", "2024", "2025",
		"2026", "2027", "2028", "2029", "2030":
		return true
	}
	return false
}

// The shortest and the longest word that isKnown knows, in bytes.
const (
	shortestWord = 3
	longestWord  = 24
)

// isPlaceholder says whether body is a template that was never filled in, or
// whether known words are at least half of its letters and digits while the
// rest alone would be weak.
func isPlaceholder(body string) bool {
	if isTemplate(body) {
		return true
	}
	// A longer text is no placeholder; judging it would only cost time.
	if len(body) > 256 {
		return false
	}
	text := strings.ToLower(body)
	return mostlyWords(text) || mostlyWords(unleet(text))
}

// isTemplate knows ${KEY}, $(cmd), {{ .key }}, <key>, [key], %KEY% and the stars
// or dots of a masked one. One character at each end may be chance, so that
// what stands between them decides.
func isTemplate(body string) bool {
	body = strings.TrimSpace(body)
	for _, pair := range [][2]string{{"${", "}"}, {"$(", ")"}, {"{{", "}}"}, {"<", ">"}, {"[", "]"}, {"%", "%"}} {
		inner, begins := strings.CutPrefix(body, pair[0])
		inner, ends := strings.CutSuffix(inner, pair[1])
		if begins && ends && (len(pair[0]) > 1 || secret.New(inner).Bits() < secret.MinBits) {
			return true
		}
	}
	return body != "" && strings.Trim(body, "*.•…") == ""
}

// unleet undoes the usual replacements: p@ssw0rd, $3cr3t.
func unleet(text string) string {
	return strings.NewReplacer("@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t").Replace(text)
}

// mostlyWords says whether known words are at least half of the letters and
// digits of text, and the rest would be weak alone.
func mostlyWords(text string) bool {
	// Separators part words, not what they are made of: p-a-s-s-w-o-r-d.
	separator := func(r rune) bool { return r <= 0x7f && (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	plain := strings.Map(func(r rune) rune {
		if separator(r) {
			return -1
		}
		return r
	}, text)
	var rest strings.Builder
	for i := 0; i < len(plain); {
		n := wordLength(plain[i:])
		if n == 0 {
			rest.WriteByte(plain[i])
			n = 1
		}
		i += n
	}
	known := len(plain) - rest.Len()
	if known == 0 || known < rest.Len() {
		return false
	}
	for _, r := range text {
		if separator(r) {
			rest.WriteRune(r)
		}
	}
	return secret.New(rest.String()).Bits() < secret.MinBits
}

// wordLength is the length of the longest known word that text begins with, 0
// where there is none.
func wordLength(text string) int {
	for n := min(longestWord, len(text)); n >= shortestWord; n-- {
		if isKnown(text[:n]) {
			return n
		}
	}
	return 0
}
