package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/secret"
)

func TestWeakKeys(t *testing.T) {
	for _, weak := range []string{
		// Blnk's documentation.
		"your_strong_secret_key", "set-your-master-blnk-key-here", "<master-key>", "blnk-pii-secret",
		// Usual suspects.
		"changeme", "secret", "admin", "password", "Passw0rd!", "hunter2", "letmein123", "blnk", "12345678",
		"correct horse battery staple",
		// Too short for any alphabet.
		"x", "5f4dcc3b5aa765d61d8327deb882cf99"[:31], "aB3dE6gH9jK2mN5pQ8sT1", "q!W2e#R4t%Y6u&I8o",
		// Long, but nothing new in it.
		strings.Repeat("a", 500), strings.Repeat("0", 64), strings.Repeat("ab", 100), strings.Repeat("Ab3", 30),
		strings.Repeat("changeme", 8), strings.Repeat("P4ssw0rd", 8), strings.Repeat("deadbeef", 8),
		"0123456789abcdef0123456789abcdef", "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
		"zyxwvutsrqponmlkjihgfedcba9876543210", "aaaabbbbccccddddeeeeffff00001111", "abababababababababcdcdcdcdcdcdcd0101010101",
		"1234567890123456789012345678901234567890", strings.Repeat("x", 2000),
		// 16 random bytes are 128 bits, a UUID is 6 less.
		"c56a4180-65aa-42ec-a945-5fd21dec0538", "C56A4180-65AA-42EC-A945-5FD21DEC0538",
	} {
		if bits := secret.New(weak).Bits(); bits >= secret.MinBits {
			t.Errorf("%.40q has %d bits, which is not weak", weak, bits)
		}
	}
}

func TestStrongKeys(t *testing.T) {
	for _, strong := range []string{
		"5f4dcc3b5aa765d61d8327deb882cf99",                                            // openssl rand -hex 16
		"9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7",            // openssl rand -hex 32
		"XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=",                                // openssl rand -base64 32
		"uTKfkNC3ZJSvXuBxuJYJYw==",                                                    // openssl rand -base64 16
		"blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH",                   // keygen
		"glimmer-antler-tidal-mosaic-walnut-ferry-cobalt-hinge-plume-orchard-sextant", // 11 words
	} {
		if bits := secret.New(strong).Bits(); bits < secret.MinBits {
			t.Errorf("%s has %d bits, which is weak", strong, bits)
		}
	}
}

// TestBitsOfExamples pins the numbers, so that a change of the judgement is seen.
func TestBitsOfExamples(t *testing.T) {
	for _, c := range []struct {
		key  string
		want int
	}{
		{"", 0},
		{"7", 3},
		{"your_strong_secret_key", 44},
		{"5f4dcc3b5aa765d61d8327deb882cf99", 128},
		{"uTKfkNC3ZJSvXuBxuJYJYw==", 130},
		{"c56a4180-65aa-42ec-a945-5fd21dec0538", 122},
		{"9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7", 256},
	} {
		if got := secret.New(c.key).Bits(); got != c.want {
			t.Errorf("%q has %d bits, want %d", c.key, got, c.want)
		}
	}
}

// TestRandomKeysAreNotWeak: of four hundred thousand keys that are as strong as the
// floor or stronger, none may be called weak for the runs that stand in it by
// chance, and next to none for characters that happen not to occur.
func TestRandomKeysAreNotWeak(t *testing.T) {
	const rounds = 40_000
	random := rand.NewChaCha8([32]byte{})
	bytes := func(n int) []byte { b := make([]byte, n); _, _ = random.Read(b); return b }
	base62 := func(n int) string {
		const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		out := make([]byte, n)
		r := rand.New(random)
		for i := range out {
			out[i] = digits[r.IntN(62)]
		}
		return string(out)
	}
	for name, draw := range map[string]func() string{
		"hex 128":       func() string { return hex.EncodeToString(bytes(16)) },
		"HEX 128":       func() string { return strings.ToUpper(hex.EncodeToString(bytes(16))) },
		"hex 256":       func() string { return hex.EncodeToString(bytes(32)) },
		"base64 128":    func() string { return base64.StdEncoding.EncodeToString(bytes(16)) },
		"base64 256":    func() string { return base64.StdEncoding.EncodeToString(bytes(32)) },
		"base64url 128": func() string { return base64.RawURLEncoding.EncodeToString(bytes(16)) },
		"base64url 256": func() string { return base64.RawURLEncoding.EncodeToString(bytes(32)) },
		"base62 128":    func() string { return base62(22) },
		"base62 256":    func() string { return base62(43) },
		"prefixed 128":  func() string { return "blnk_sk_" + base62(22+6) },
	} {
		random.Seed([32]byte{1})
		weak := 0
		for range rounds {
			if secret.New(draw()).Bits() < secret.MinBits {
				weak++
			}
		}
		// 22 base62 characters without a capital, or without a small letter,
		// are under the floor: 1.2 in 100,000.
		if allowed := rounds / 20_000; weak > allowed {
			t.Errorf("%s: %d of %d are called weak", name, weak, rounds)
		}
	}
}

func TestBitsOfAHugeKey(t *testing.T) {
	huge := secret.New(strings.Repeat("0123456789abcdefXYZ", 1<<19)) // 10 MB
	if bits := huge.Bits(); bits >= secret.MinBits {
		t.Errorf("it has %d bits", bits)
	}
}

func FuzzBits(f *testing.F) {
	f.Add("")
	f.Add("a")
	f.Add("\x00\xff\x00\xff")
	f.Add("c56a4180-65aa-42ec-a945-5fd21dec0538")
	f.Fuzz(func(t *testing.T, value string) {
		bits := secret.New(value).Bits()
		if bits < 0 || bits > 7*len(value) {
			t.Errorf("%q has %d bits", value, bits)
		}
	})
}
