package keygen_test

import (
	"crypto/rand"
	"errors"
	"io"
	"math"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
)

var formats = []keygen.Format{keygen.Prefixed, keygen.Base62, keygen.Base64URL, keygen.Hex}

func generate(t *testing.T, f keygen.Format, bits int) string {
	t.Helper()
	key, err := keygen.Generate(f, bits)
	if err != nil {
		t.Fatalf("Generate(%s, %d): %v", f, bits, err)
	}
	return key.Reveal()
}

func TestShapeOfDefaultKeys(t *testing.T) {
	for f, shape := range map[keygen.Format]string{
		keygen.Prefixed:  `^blnk_sk_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$`,
		keygen.Base62:    `^[0-9A-Za-z]{43}$`,
		keygen.Base64URL: `^[0-9A-Za-z_-]{43}$`,
		keygen.Hex:       `^[0-9a-f]{64}$`,
	} {
		if got := generate(t, f, keygen.DefaultBits); !regexp.MustCompile(shape).MatchString(got) {
			t.Errorf("%s: %s is not %s", f, got, shape)
		}
	}
}

// TestEntropyIsEnough counts, with whole numbers, that there are at least
// 2^bits keys of the length that is made, and that it is no longer than a byte
// or a character more.
func TestEntropyIsEnough(t *testing.T) {
	for _, f := range formats {
		for bits := secret.MinBits; bits <= keygen.MaxBits; bits++ {
			drawn := len(generate(t, f, bits))
			var keys *big.Int
			switch f {
			case keygen.Prefixed:
				drawn -= len("blnk_sk_") + 6
				keys = pow(62, drawn)
			case keygen.Base62:
				keys = pow(62, drawn)
			case keygen.Base64URL:
				keys = pow(256, drawn*6/8)
			case keygen.Hex:
				keys = pow(16, drawn)
			}
			want := pow(2, bits)
			if keys.Cmp(want) < 0 {
				t.Fatalf("%s, %d bits: %d characters are too few", f, bits, drawn)
			}
			if keys.Cmp(want.Mul(want, big.NewInt(256))) >= 0 {
				t.Fatalf("%s, %d bits: %d characters are too many", f, bits, drawn)
			}
		}
	}
}

func pow(base int64, exponent int) *big.Int {
	return new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(exponent)), nil)
}

func TestGenerateRefuses(t *testing.T) {
	for _, c := range []struct {
		format keygen.Format
		bits   int
	}{
		{keygen.Hex, 127}, {keygen.Hex, 0}, {keygen.Hex, -256}, {keygen.Hex, 1025}, {keygen.Hex, math.MaxInt},
		{"", 256}, {"HEX", 256}, {"uuid", 256},
	} {
		key, err := keygen.Generate(c.format, c.bits)
		if !errors.Is(err, keygen.ErrUnsupported) || !key.IsZero() {
			t.Errorf("Generate(%q, %d): %v, want ErrUnsupported and no key", c.format, c.bits, err)
		}
	}
}

// TestGeneratedKeysAreUniform: the characters of each format, and those at each
// place, are equally likely. The seed is fixed, so the test says the same each
// time. Drawing characters with a remainder (byte % 62) is 27 standard deviations
// away; 4 are allowed.
func TestGeneratedKeysAreUniform(t *testing.T) {
	const rounds = 4000
	for _, c := range []struct {
		format   keygen.Format
		alphabet int
		trim     func(string) string
	}{
		{keygen.Base62, 62, func(s string) string { return s }},
		{keygen.Prefixed, 62, func(s string) string { return s[len("blnk_sk_") : len(s)-6] }},
		{keygen.Hex, 16, func(s string) string { return s }},
		// The last character of 43 holds only 4 bits.
		{keygen.Base64URL, 64, func(s string) string { return s[:42] }},
	} {
		cryptotest.SetGlobalRandom(t, 2)
		var all [128]int
		places := map[int]*[128]int{}
		for range rounds {
			for i, char := range []byte(c.trim(generate(t, c.format, 256))) {
				if places[i] == nil {
					places[i] = new([128]int)
				}
				places[i][char]++
				all[char]++
			}
		}
		if z := deviations(all[:], c.alphabet); math.Abs(z) > 4 {
			t.Errorf("%s: the characters are %.1f standard deviations from uniform", c.format, z)
		}
		for i, counts := range places {
			if z := deviations(counts[:], c.alphabet); math.Abs(z) > 4.5 {
				t.Errorf("%s: the characters at place %d are %.1f standard deviations from uniform", c.format, i, z)
			}
		}
	}
}

// deviations is the chi-square of the counts against all k being equally
// likely, as a number of standard deviations of the normal distribution
// (Wilson and Hilferty, 1931).
func deviations(counts []int, k int) float64 {
	total, kinds := 0, 0
	for _, n := range counts {
		total += n
		if n > 0 {
			kinds++
		}
	}
	if kinds != k {
		return math.Inf(1)
	}
	expected := float64(total) / float64(k)
	chi := 0.0
	for _, n := range counts {
		if n > 0 {
			chi += (float64(n) - expected) * (float64(n) - expected) / expected
		}
	}
	free := float64(k - 1)
	return (math.Cbrt(chi/free) - (1 - 2/(9*free))) / math.Sqrt(2/(9*free))
}

func TestGenerateIsRandom(t *testing.T) {
	for _, f := range formats {
		seen := map[string]bool{}
		for range 1000 {
			seen[generate(t, f, 128)] = true
		}
		if len(seen) != 1000 {
			t.Errorf("%s: %d different keys of 1000", f, len(seen))
		}
	}
}

// TestRandomnessDecides: the same random bytes make the same key, other ones
// another: nothing else flows in, and all of them come from crypto/rand.
func TestRandomnessDecides(t *testing.T) {
	for _, f := range formats {
		cryptotest.SetGlobalRandom(t, 7)
		first, second := generate(t, f, 256), generate(t, f, 256)
		cryptotest.SetGlobalRandom(t, 7)
		if again := generate(t, f, 256); again != first || again == second {
			t.Errorf("%s: the key does not come from crypto/rand alone", f)
		}
	}
}

// zerosFirst is a source of randomness that is stuck at first.
type zerosFirst struct {
	zeros int
	rest  io.Reader
}

func (z *zerosFirst) Read(b []byte) (int, error) {
	if z.zeros > 0 {
		z.zeros--
		clear(b)
		return len(b), nil
	}
	return z.rest.Read(b)
}

// TestGenerateDrawsAgain: a key with a fault is never returned.
func TestGenerateDrawsAgain(t *testing.T) {
	honest := rand.Reader
	t.Cleanup(func() { rand.Reader = honest })
	for _, f := range formats {
		rand.Reader = &zerosFirst{zeros: 3, rest: honest}
		key, err := keygen.Generate(f, 128)
		if err != nil {
			t.Fatal(err)
		}
		if found := keygen.SecretKey.Weakness(key); found != "" || strings.Contains(key.Reveal(), "0000000000") {
			t.Errorf("%s: %s has %v", f, key.Reveal(), found)
		}
	}
}

func TestForUse(t *testing.T) {
	for _, c := range []struct {
		use    keygen.Use
		format keygen.Format
		bits   int
		want   string
	}{
		{keygen.SecretKey, "", 0, `^blnk_sk_[0-9A-Za-z]{49}$`},
		{keygen.SecretKey, keygen.Hex, 128, `^[0-9a-f]{32}$`},
		{keygen.MetricsToken, "", 0, `^blnk_sk_[0-9A-Za-z]{49}$`},
		{keygen.MetricsToken, keygen.Base62, 512, `^[0-9A-Za-z]{86}$`},
		{keygen.Tokenization, "", 0, `^[0-9A-Za-z]{32}$`},
		{keygen.Tokenization, keygen.Base62, 0, `^[0-9A-Za-z]{32}$`},
	} {
		key, err := keygen.ForUse(c.use, c.format, c.bits)
		if err != nil || !regexp.MustCompile(c.want).MatchString(key.Reveal()) {
			t.Errorf("ForUse(%q, %q, %d) = %q, %v; want %s", c.use, c.format, c.bits, key.Reveal(), err, c.want)
		}
	}
	for _, c := range []struct {
		use    keygen.Use
		format keygen.Format
		bits   int
	}{
		{keygen.Tokenization, keygen.Prefixed, 0}, {keygen.Tokenization, keygen.Hex, 0},
		{keygen.Tokenization, "", 256}, {keygen.Tokenization, keygen.Base62, 190},
		{keygen.SecretKey, "", 64}, {"", "", 0}, {"master", "", 0},
	} {
		if key, err := keygen.ForUse(c.use, c.format, c.bits); !errors.Is(err, keygen.ErrUnsupported) || !key.IsZero() {
			t.Errorf("ForUse(%q, %q, %d): %v, want ErrUnsupported and no key", c.use, c.format, c.bits, err)
		}
	}
}

func TestField(t *testing.T) {
	for _, c := range []struct {
		use          keygen.Use
		scheme, want string
	}{
		{keygen.SecretKey, "blnkjson", "server.secret_key"},
		{keygen.Tokenization, "blnkjson", "tokenization_secret"},
		{keygen.MetricsToken, "blnkjson", "server.metrics_bearer_token"},
		{keygen.SecretKey, "dotenv", "BLNK_SERVER_SECRET_KEY"},
		{keygen.Tokenization, "dotenv", "BLNK_TOKENIZATION_SECRET"},
		{keygen.MetricsToken, "kubernetes", "BLNK_METRICS_BEARER_TOKEN"},
		{keygen.MetricsToken, "vault", "metrics_bearer_token"},
		{keygen.SecretKey, "vault", "secret_key"},
		{keygen.SecretKey, "command", ""},
		{"other", "vault", ""},
	} {
		if got := c.use.Field(c.scheme); got != c.want {
			t.Errorf("%s in %s is %q, want %q", c.use, c.scheme, got, c.want)
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		if _, err := keygen.Generate(keygen.Prefixed, keygen.DefaultBits); err != nil {
			b.Fatal(err)
		}
	}
}
