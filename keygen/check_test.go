package keygen_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
)

// summary is the codes of the findings with the first letter of their
// severity's name, worst first: "fatal:space weak:bits".
func summary(found []keygen.Finding) string {
	var parts []string
	for _, f := range found {
		parts = append(parts, []string{"fine", "fragile", "weak", "fatal"}[f.Severity]+":"+f.Code)
	}
	return strings.Join(parts, " ")
}

const (
	good = "JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt"
	// The checksums were computed by Python's zlib.crc32.
	vector = "blnk_sk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg3nmj97"
	padded = "blnk_sk_7780000aoC"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, key, want string }{
		{"empty", "", "fatal:empty"},
		{"generated elsewhere", good, ""},
		{"openssl rand -hex 16", "5f4dcc3b5aa765d61d8327deb882cf99", ""},
		{"openssl rand -base64 32", "XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=", ""},
		{"with symbols that nothing interprets", "k;9-G~vQ2m^Tz@8_Lr,XwB&4c*h(N)", ""},

		{"space before", " " + good, "fatal:space"},
		{"space behind", good + " ", "fatal:space"},
		{"tab behind", good + "\t", "fatal:space"},
		{"space inside", good[:9] + " " + good[9:], "fragile:space"},
		{"newline behind", good + "\n", "fatal:control"},
		{"carriage return", good + "\r", "fatal:control"},
		{"NUL inside", good[:9] + "\x00" + good[9:], "fatal:control"},
		{"DEL inside", good[:9] + "\x7f" + good[9:], "fatal:control"},
		{"escape", "\x1b[0m" + good, "fatal:control"},
		{"space before, newline behind", " " + good + "\n", "fatal:space fatal:control"},
		{"umlaut", good + "ü", "fragile:non-ascii"},
		{"no UTF-8", good + "\xff", "fragile:non-ascii"},
		{"no-break space", good + "\u00a0", "fragile:non-ascii"},
		{"byte order mark", "\ufeff" + good, "fragile:non-ascii"},
		{"dollar", good[:9] + "$" + good[9:], "fragile:mangled"},
		{"hash", good + "#", "fragile:mangled"},
		{"in quotes", `"` + good + `"`, "fragile:mangled"},
		{"in single quotes", `'` + good + `'`, "fragile:mangled"},
		{"backslash", good + `\n`, "fragile:mangled"},
		{"back-tick", good + "`", "fragile:mangled"},
		{"long", strings.Repeat("JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt", 100), "fragile:long"},

		{"one character", "x", "weak:bits"},
		{"short", "aB3dE6gH9jK2mN5pQ8sT1", "weak:bits"},
		{"31 hex digits", "5f4dcc3b5aa765d61d8327deb882cf9", "weak:bits"},
		{"UUID", "c56a4180-65aa-42ec-a945-5fd21dec0538", "weak:bits"},
		{"one letter", strings.Repeat("a", 64), "weak:bits weak:repeated"},
		{"two in turn", strings.Repeat("aQ", 40), "weak:bits weak:repeated"},
		{"a short one twice", "aB3dE6gH9jaB3dE6gH9j", "weak:bits weak:repeated"},
		{"counting", "0123456789abcdefghijklmnopqrstuvwxyz", "weak:bits weak:sequential"},
		{"counting down", "zyxwvutsrqponmlkjihgfedcba", "weak:bits weak:sequential"},

		{"prefixed", "blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH", ""},
		{"right checksum, counting", vector, "weak:bits weak:sequential"},
		{"right checksum with zeros, short", padded, "weak:bits"},
		{"prefix alone", "blnk_sk_", "weak:checksum weak:bits"},
		{"prefix and a checksum", "blnk_sk_46CPSG", "weak:checksum weak:bits"},
		{"checksum of nothing random", "blnk_sk_" + strings.Repeat("a", 43) + "000000", "weak:checksum weak:bits weak:repeated"},
		{"prefixed, newline", vector + "\n", "fatal:control weak:checksum"},
	} {
		found := keygen.Check(secret.New(c.key))
		if got := summary(found); got != c.want {
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
		found := keygen.Check(secret.New(known))
		if !strings.Contains(summary(found), "weak:placeholder") {
			t.Errorf("%q is not seen to be a placeholder: %q", known, summary(found))
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
		if found := keygen.Check(secret.New(key)); len(found) > 0 {
			t.Errorf("%q: %v", key, found)
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
			if found := keygen.Check(key); len(found) > 0 {
				t.Errorf("%s: %s: %v", f, key.Reveal(), found)
			}
			again := secret.New(base64.StdEncoding.EncodeToString([]byte(key.Reveal())))
			if found := keygen.Check(again); len(found) > 0 {
				t.Errorf("base64 of %s: %v", key.Reveal(), found)
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
		if key != vector && !strings.Contains(summary(keygen.Check(secret.New(key))), "weak:checksum") {
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
		{"", "fatal:empty"},
		{right[1:], "fatal:length"},
		{right + "x", "fatal:length"},
		{right[1:] + "\n", "fragile:control"},
		{" " + right[1:], "fragile:space"},
		{right[2:] + "ü", "fragile:non-ascii"}, // 32 bytes
		{"blnk-pii-secret", "fatal:length weak:placeholder weak:bits"},
		{strings.Repeat("0", 32), "weak:placeholder weak:bits weak:repeated"},
	} {
		if got := summary(keygen.CheckTokenization(secret.New(c.key))); got != c.want {
			t.Errorf("%q: %q, want %q", c.key, got, c.want)
		}
	}
}

func TestWorst(t *testing.T) {
	if got := keygen.Worst(nil); got != keygen.Fine {
		t.Errorf("Worst of nothing is %d", got)
	}
	found := []keygen.Finding{{Severity: keygen.Fragile}, {Severity: keygen.Fatal}, {Severity: keygen.Weak}}
	if got := keygen.Worst(found); got != keygen.Fatal {
		t.Errorf("Worst is %d", got)
	}
	if keygen.Fine >= keygen.Fragile || keygen.Fragile >= keygen.Weak || keygen.Weak >= keygen.Fatal {
		t.Error("the severities are not in order")
	}
}

// FuzzCheck: whatever the key, Check ends, is the same each time, has the worst
// first, and its texts hold no piece of the key.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", " ", vector, padded, "blnk_sk_", "changeme", "${}", "%", "[]", "\xff\xfe", "ÄÖÜß",
		strings.Repeat("a", 300), strings.Repeat("secret", 60), "p@$$w0rd\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		key := secret.New(value)
		for _, check := range []func(secret.Key) []keygen.Finding{keygen.Check, keygen.CheckTokenization} {
			found := check(key)
			if !slices.Equal(found, check(key)) {
				t.Errorf("%q is judged differently the second time", value)
			}
			worst := keygen.Worst(found)
			for _, finding := range found {
				if finding.Severity > worst || finding.Severity == keygen.Fine || finding.Code == "" || finding.Text == "" {
					t.Errorf("%q: %+v", value, finding)
				}
				worst = finding.Severity
				if text := fmt.Sprint(finding); len(value) > 16 && strings.Contains(text, value[:16]) {
					t.Errorf("the finding %q holds the key", text)
				}
			}
			if key.Bits() < secret.MinBits && keygen.Worst(found) < keygen.Weak && value != "" && !strings.HasPrefix(value, secret.Prefix) {
				t.Errorf("%q is weak, and nothing is found", value)
			}
		}
	})
}
