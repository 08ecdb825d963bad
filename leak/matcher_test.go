package leak

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/iotest"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
)

// draw makes a key: a literal here would be a leak.
func draw(t testing.TB, format keygen.Format, bits int) secret.Key {
	t.Helper()
	key, err := keygen.Generate(format, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// encoders are what can have become of a text, for all keys and for our own.
var encoders = map[string]func(string) string{
	"plain":      func(s string) string { return s },
	"base64":     func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 raw": func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
	"base64 URL": func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	"hex":        func(s string) string { return hex.EncodeToString([]byte(s)) },
	"HEX":        func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	"query":      url.QueryEscape,
	"path":       url.PathEscape,
	"JSON":       func(s string) string { return fmt.Sprintf("%q", s) },
	"UTF-16":     secret.Wide,
}

func names(found []Match) (all []string) {
	for _, f := range found {
		all = append(all, f.Name)
	}
	return all
}

func scan(t testing.TB, m *Matcher, text string) []Match {
	t.Helper()
	found, err := m.Scan(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every encoding, at every offset of a group, at the border of what is read at a time.
func TestScanFinds(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	known := []Known{
		{"the live key", draw(t, keygen.Prefixed, 256)},
		{"the previous key", draw(t, keygen.Hex, 128)},
		{"the tokenization secret", draw(t, keygen.Base64URL, 256)},
		{"with symbols", secret.New("k;9-G~vQ2m^Tz@8_Lr,XwB&4c*h(N)" + `"\/<é`)},
	}
	m := New(known...)
	own := draw(t, keygen.Prefixed, 1024)
	for encoding, encode := range encoders {
		for _, want := range append(slices.Clone(known), Known{OwnName, own}) {
			for before := range 4 {
				text := encode("abc\n"[:before] + want.Key.Reveal() + ":\n")
				if found := names(scan(t, m, text)); !slices.Equal(found, []string{want.Name}) {
					t.Errorf("%s, %s behind %d bytes: %q", encoding, want.Name, before, found)
				}
			}
			text := encode(want.Key.Reveal())
			for _, border := range []int{chunk, m.buffer(), m.buffer() + chunk, 2 * m.buffer()} {
				for back := 0; back <= len(text)+1; back += 1 + len(text)/9 {
					whole := strings.Repeat("=\n", border/2)[:border-back] + text + "=" + strings.Repeat(" ", chunk)
					found := scan(t, m, whole)
					if !slices.Equal(names(found), []string{want.Name}) || found[0].Line != strings.Count(whole[:border-back], "\n")+1 {
						t.Errorf("%s, %s %d bytes before %d: %q", encoding, want.Name, back, border, names(found))
					}
				}
			}
		}
	}
}

// A key is told once, by the best name that it has, where it stands first.
func TestScanOnce(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 2)
	live, other := draw(t, keygen.Prefixed, 256), draw(t, keygen.Prefixed, 256)
	text := "\n\n" + other.Reveal() + " " + base64.StdEncoding.EncodeToString([]byte(live.Reveal())) + "\n" + live.Reveal() + "\n" + other.Reveal()
	found := scan(t, New(Known{"the live key", live}, Known{"the same", live}, Known{"none", secret.Key{}}), text)
	if len(found) != 2 || found[0].Name != OwnName || !found[0].Own || found[0].Line != 3 || found[1].Name != "the live key" || found[1].Own || found[1].Line != 3 {
		t.Errorf("%q", names(found))
	}
	if !found[0].Key.Equal(other) || strings.Contains(fmt.Sprintf("%v %+v %#v", found, found, found), other.Reveal()) {
		t.Error("the key is not in the match, or can be printed")
	}
}

// Base64 is broken into lines, of 16 characters or more, and YAML indents and folds them,
// also with what else stands in the text.
func TestScanFindsBroken(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 5)
	known := Known{"the live key", draw(t, keygen.Hex, 256)}
	own := Known{OwnName, draw(t, keygen.Prefixed, 256)}
	m := New(known)
	for _, between := range []string{" ", "\n", "\r\n", "\n    ", "\n\n\t", "\\\n      "} {
		for _, width := range []int{16, 20, 64, 76} {
			for before := range 80 {
				for _, want := range []Known{known, own} {
					text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + want.Key.Reveal() + "\nMORE=1\n"))
					lines := slices.Collect(slices.Chunk([]byte(text), width))
					found := scan(t, m, "data:\n  key: >-\n    "+string(bytes.Join(lines, []byte(between)))+"\n  other: eA==\n")
					// The beginning of a key is the mark of one that is not at hand.
					at := strings.Index(text, marks[4+before%3].text) % width
					if cut := want.Name == OwnName && (at > width-8 && at < width-2); !cut && !slices.Equal(names(found), []string{want.Name}) {
						t.Fatalf("%s in lines of %d, broken by %q, behind %d: %q", want.Name, width, between, before, names(found))
					}
				}
			}
		}
	}
}

// So it is at the border of what is read at a time.
func TestScanFindsBrokenAtBorder(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 6)
	known := Known{"the live key", draw(t, keygen.Hex, 1024)}
	m := New(known)
	lines := slices.Collect(slices.Chunk([]byte(base64.StdEncoding.EncodeToString([]byte(known.Key.Reveal()))), 20))
	text := string(bytes.Join(lines, []byte("\n"+strings.Repeat(" ", 40))))
	for back := 0; back <= len(text)+1; back += 7 {
		whole := strings.Repeat("=\n", m.buffer()/2)[:m.buffer()-back] + text + "=" + strings.Repeat("-", chunk)
		if found := scan(t, m, whole); !slices.Equal(names(found), []string{"the live key"}) {
			t.Errorf("%d bytes before it: %q", back, names(found))
		}
	}
}

// What is no key of ours: hashes, cut and changed keys, examples; and a key at hand
// that is too weak is not searched for, and named.
func TestScanSpares(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 3)
	own := draw(t, keygen.Prefixed, 256).Reveal()
	weak := []Known{{"a", secret.New("password")}, {"b", secret.New("your_strong_secret_key")}, {"c", secret.New("aaaaaaaaaaaaaaaaaaaaaaaaa")}}
	m := New(append(weak, Known{"the live key", draw(t, keygen.Hex, 256)})...)
	if !slices.Equal(m.Weak(), []string{"a", "b", "c"}) {
		t.Errorf("too weak: %q", m.Weak())
	}
	r := rand.New(rand.NewPCG(1, 1))
	var text strings.Builder
	for range 20_000 {
		fmt.Fprintf(&text, "%016x%016x%016x%016x ", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	}
	for i := range 5000 {
		raw := fmt.Appendf(nil, "blnk_sk_%d%016x", i, r.Uint64()) // of the form, without a checksum
		text.WriteString(string(raw) + " " + base64.StdEncoding.EncodeToString(raw) + "\n")
	}
	for cut := 1; cut < len(own); cut++ {
		text.WriteString(own[:cut] + "\n" + base64.StdEncoding.EncodeToString([]byte(own[:cut])) + "\n" + own[cut:] + "\n")
	}
	text.WriteString(strings.ToUpper(own) + " blnk_sk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg3nmj97 password your_strong_secret_key aaaaaaaaaaaaaaaaaaaaaaaaa")
	if found := scan(t, m, text.String()); len(found) > 0 {
		t.Errorf("found where there is none: %q, line %d", names(found), found[0].Line)
	}
	for _, text := range []string{"", "b", "blnk_sk_", "Ymxua19za1", "Jsbmtfc2tf", "ibG5rX3NrX", "626c6e6b5f736b5f", secret.Wide("blnk_sk_")} {
		if found := scan(t, m, text); len(found) > 0 {
			t.Errorf("%q: %q", text, names(found))
		}
	}
}

// What was found before a reader failed is not lost.
func TestScanFails(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 4)
	own := draw(t, keygen.Prefixed, 256).Reveal()
	found, err := New().Scan(io.MultiReader(strings.NewReader(own+"\n"), iotest.ErrReader(io.ErrClosedPipe)))
	if len(found) != 1 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%q, %v", names(found), err)
	}
	if found, err := New().Scan(iotest.OneByteReader(strings.NewReader(own))); len(found) != 1 || err != nil {
		t.Errorf("byte by byte: %q, %v", names(found), err)
	}
}

// FuzzScan holds the search against the plainest one, at the border of what is read at
// a time.
func FuzzScan(f *testing.F) {
	f.Add([]byte("ab"), []byte("k;9-G~vQ2m^Tz@8_Lr,XwB&4c*h(N)"), uint16(3), byte(0))
	f.Add([]byte("blnk_sk_"), []byte("5f4dcc3b5aa765d61d8327deb882cf99"), uint16(300), byte(1))
	f.Add([]byte("\x00Ymxua19za1Jsbmtfc2tf"), []byte("0123456789abcdefABCDEFGHIJK"), uint16(20), byte(6))
	order := slices.Sorted(func(yield func(string) bool) {
		for name := range encoders {
			if !yield(name) {
				return
			}
		}
	})
	f.Fuzz(func(t *testing.T, around, key []byte, back uint16, how byte) {
		k := secret.New(string(key))
		m := New(Known{"it", k})
		text := bytes.Repeat([]byte{'.'}, max(0, m.buffer()-int(back)))
		text = append(text, around...)
		text = append(text, encoders[order[int(how)%len(order)]](string(around)+string(key)+string(around))...)
		text = append(text, around...)
		want := len(m.Weak()) == 0 && slices.ContainsFunc(k.Encodings(), func(shape string) bool { return bytes.Contains(text, []byte(shape)) })
		found, err := m.Scan(bytes.NewReader(text))
		if err != nil || slices.Contains(names(found), "it") != want {
			t.Errorf("found %q, %v; want %v", names(found), err, want)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	m := New(Known{"a", draw(b, keygen.Prefixed, 256)}, Known{"b", draw(b, keygen.Hex, 256)}, Known{"c", draw(b, keygen.Base64URL, 256)})
	text := bytes.Repeat([]byte("func (m *Matcher) look(data []byte, end int) { return 0x1f4b2c }\n"), 1<<14)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := m.Scan(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

// Scan reads a text to its end; with an error it returns what it found before.
func (m *Matcher) Scan(r io.Reader) ([]Match, error) {
	return m.scan(bufio.NewReaderSize(r, m.buffer()), -1, true)
}
