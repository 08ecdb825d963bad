package keygen_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
)

// code is a word for what is found, "" for nothing.
func code(u keygen.Use, value string) string {
	found := u.Weakness(secret.New(value))
	for word, code := range map[string]string{
		"is empty": "empty", "white space": "space", "control": "control", "instead of": "length", "checksum": "checksum",
		"placeholder": "placeholder", " bits": "bits",
	} {
		if strings.Contains(found, word) {
			return code
		}
	}
	return found
}

const (
	good = "JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt"
	// The checksums were computed by Python's zlib.crc32.
	vector = "blnk_sk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg3nmj97"
	padded = "blnk_sk_7780000aoC"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, key, want string }{
		{"empty", "", "empty"},
		{"generated elsewhere", good, ""},
		{"openssl rand -hex 16", "5f4dcc3b5aa765d61d8327deb882cf99", ""},
		{"openssl rand -base64 32", "XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=", ""},
		{"with symbols that nothing interprets", "k;9-G~vQ2m^Tz@8_Lr,XwB&4c*h(N)", ""},

		{"space before", " " + good, "space"},
		{"space behind", good + " ", "space"},
		{"tab behind", good + "\t", "space"},
		{"space inside", good[:9] + " " + good[9:], ""},
		{"newline behind", good + "\n", "control"},
		{"carriage return", good + "\r", "control"},
		{"NUL inside", good[:9] + "\x00" + good[9:], "control"},
		{"DEL inside", good[:9] + "\x7f" + good[9:], "control"},
		{"escape", "\x1b[0m" + good, "control"},
		{"space before, newline behind", " " + good + "\n", "space"},
		{"umlaut", good + "ü", ""},
		{"no UTF-8", good + "\xff", ""},
		{"no-break space", good + "\u00a0", ""},
		{"byte order mark", "\ufeff" + good, ""},
		{"dollar", good[:9] + "$" + good[9:], ""},
		{"hash", good + "#", ""},
		{"in quotes", `"` + good + `"`, ""},
		{"in single quotes", `'` + good + `'`, ""},
		{"backslash", good + `\n`, ""},
		{"back-tick", good + "`", ""},
		{"long", strings.Repeat("JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt", 100), ""},

		{"one character", "x", "bits"},
		{"short", "aB3dE6gH9jK2mN5pQ8sT1", "bits"},
		{"31 hex digits", "5f4dcc3b5aa765d61d8327deb882cf9", "bits"},
		{"UUID", "c56a4180-65aa-42ec-a945-5fd21dec0538", "bits"},
		{"one letter", strings.Repeat("a", 64), "bits"},
		{"two in turn", strings.Repeat("aQ", 40), "bits"},
		{"a short one twice", "aB3dE6gH9jaB3dE6gH9j", "bits"},
		{"counting", "0123456789abcdefghijklmnopqrstuvwxyz", "bits"},
		{"counting down", "zyxwvutsrqponmlkjihgfedcba", "bits"},

		{"prefixed", "blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH", ""},
		{"right checksum, counting", vector, "bits"},
		{"right checksum with zeros, short", padded, "bits"},
		{"prefix alone", "blnk_sk_", "checksum"},
		{"prefix and a checksum", "blnk_sk_46CPSG", "checksum"},
		{"checksum of nothing random", "blnk_sk_" + strings.Repeat("a", 43) + "000000", "checksum"},
		{"prefixed, newline", vector + "\n", "control"},
	} {
		if got := code(keygen.SecretKey, c.key); got != c.want {
			t.Errorf("%s: %q: %q, want %q", c.name, c.key, got, c.want)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	for _, known := range []string{
		// Blnk's documentation and examples.
		"your_strong_secret_key", "set-your-master-blnk-key-here", "<master-key>", "blnk-pii-secret",
		// The same, dressed up.
		"YOUR_STRONG_SECRET_KEY", "your-strong-secret-key", "YourStrongSecretKey123!", "prod-your_strong_secret_key-2024",
		"your_strong_secret_key_your_strong_secret_key", "export your_strong_secret_key",
		// Usual suspects.
		"changeme", "ChangeMe!", "change_me_please", "please-change-me-in-production", "secret", "Secret123", "supersecret",
		"admin", "admin123", "password", "Password1", "P@ssw0rd!", "P@$$w0rd", "p-a-s-s-w-o-r-d", "pass1234", "letmein", "qwerty", "Qwerty123!",
		"blnk", "blnk123", "test", "testtest", "master", "masterkey", "my-secret-key", "secret_key", "api-key", "token", "default",
		"example", "placeholder", "replace-me", "REPLACE_WITH_YOUR_KEY", "todo", "insert key here", "null", "none", "undefined",
		"123456", "12345678", "1234567890", "abc123", "iloveyou", "deadbeef", "welcome1", "root", "1q2w3e4r",
		"MySuperSecretBlnkKey2024ForProduction", "ThisIsMyVerySecretMasterKeyForBlnk2025!", "Blnk-Finance-Production-Secret-Key-2026",
		"DevelopmentSecretKeyChangeMeInProduction", "not-a-real-secret-key-0123456789",
		// Never filled in.
		"<your-key>", "${BLNK_KEY}", "${BLNK_SERVER_SECRET_KEY:-}", "$(cat /run/secrets/blnk)", "{{ .Values.blnk.secretKey }}", "[redacted]",
		"%BLNK_KEY%", "********", "••••••••", "................................",
	} {
		if got := code(keygen.SecretKey, known); got != "placeholder" && got != "space" && got != "control" {
			t.Errorf("%q is not seen to be a placeholder: %q", known, got)
		}
	}
}

// TestWordsDoNotHurtRandomKeys: what is random enough beside a word is no
// placeholder, whatever the word.
func TestWordsDoNotHurtRandomKeys(t *testing.T) {
	for _, key := range []string{
		"prod-" + good, "secret-" + good, good + "-changeme", "your_strong_secret_key-" + good, "password" + good[:22],
		"blnk_" + good, "<" + good, good + ">", "<" + good + ">", "[" + good + "]", "%" + good + "%",
	} {
		if got := code(keygen.SecretKey, key); got != "" {
			t.Errorf("%q: %v", key, got)
		}
	}
}

// TestGeneratedKeysAreFine asks for the drawn keys too, which Generate has not
// seen: openssl's.
func TestGeneratedKeysAreFine(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 3)
	for range 2000 {
		for _, f := range formats {
			key, err := keygen.Generate(f, 128)
			if err != nil {
				t.Fatal(err)
			}
			for _, value := range []string{key.Reveal(), base64.StdEncoding.EncodeToString([]byte(key.Reveal()))} {
				if got := code(keygen.SecretKey, value); got != "" {
					t.Errorf("%s: %s: %s", f, value, got)
				}
			}
		}
	}
}

// TestChecksumFindsMistakes: every cut, every other character at every place,
// every two neighbours that changed places, every doubled character.
func TestChecksumFindsMistakes(t *testing.T) {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	begin := len(secret.Prefix)
	check := func(key string) {
		t.Helper()
		if key != vector && code(keygen.SecretKey, key) != "checksum" {
			t.Errorf("%s is not seen to be wrong", key)
		}
	}
	for i := begin; i < len(vector); i++ {
		check(vector[:i])
		check(vector[:begin] + vector[i:])
		check(vector[:i] + vector[i+1:])
		check(vector[:i] + vector[i:i+1] + vector[i:])
		for _, digit := range digits {
			check(vector[:i] + string(digit) + vector[i+1:])
		}
		if i+1 < len(vector) {
			check(vector[:i] + vector[i+1:i+2] + vector[i:i+1] + vector[i+2:])
		}
	}
	check(secret.Prefix + strings.ToLower(vector[begin:]))
	check(vector + "=")
}

func TestCheckTokenization(t *testing.T) {
	const right = "vcro4hotyutsTvCynWr9cM2iXBa7OMAh"
	for _, c := range []struct{ key, want string }{
		{right, ""},
		{"", "empty"},
		{right[1:], "length"},
		{right + "x", "length"},
		{right[1:] + "\n", ""},
		{" " + right[1:], ""},
		{right[2:] + "ü", ""}, // 32 bytes
		{"blnk-pii-secret", "length"},
		{strings.Repeat("0", 32), "placeholder"},
	} {
		if got := code(keygen.Tokenization, c.key); got != c.want {
			t.Errorf("%q: %q, want %q", c.key, got, c.want)
		}
	}
}

// FuzzCheck: whatever the key, the judgement is the same each time, and its text holds
// no piece of the key.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", " ", vector, padded, "blnk_sk_", "changeme", "${}", "%", "[]", "\xff\xfe", "ÄÖÜß",
		strings.Repeat("a", 300), strings.Repeat("secret", 60), "p@$$w0rd\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		key := secret.New(value)
		for _, use := range []keygen.Use{keygen.SecretKey, keygen.Tokenization} {
			found := use.Weakness(key)
			if found != use.Weakness(key) {
				t.Errorf("%q is judged differently the second time", value)
			}
			if len(value) > 16 && strings.Contains(found, value[:16]) {
				t.Errorf("%q holds the key", found)
			}
			if key.Bits() < secret.MinBits && found == "" && !strings.HasPrefix(value, secret.Prefix) {
				t.Errorf("%q is weak, and nothing is found", value)
			}
		}
	})
}
