package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/secret"
)

// TestEncodingsAreFoundInside puts the key at every offset of a longer text,
// encodes the whole text, and looks for one of the shapes.
func TestEncodingsAreFoundInside(t *testing.T) {
	asJSON := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	escape := regexp.MustCompile("%..")
	encoders := map[string]func(string) string{
		"plain":            func(s string) string { return s },
		"hex":              func(s string) string { return hex.EncodeToString([]byte(s)) },
		"HEX":              func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"base64":           func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 raw":       func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
		"base64 URL":       func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
		"query":            url.QueryEscape,
		"path":             url.PathEscape,
		"JSON":             asJSON,
		"JSON in JSON":     func(s string) string { return asJSON(asJSON(s)) },
		"JSON, not HTML":   notHTML,
		"lower-case query": func(s string) string { return escape.ReplaceAllStringFunc(url.QueryEscape(s), strings.ToLower) },
		"Go":               strconv.Quote,
	}
	for _, key := range []string{
		"blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH", "changeme", "abcd", plain,
		"\"quoted\"<&>\\ $ü\n\t\x7f", "öäü", "~~~???>>>",
	} {
		shapes := secret.New(key).Encodings()
		for name, encode := range encoders {
			for before := range 7 {
				for after := range 4 {
					text := encode("X-Blnk"[:min(before, 6)] + key + "\x00\xfe\n"[:after])
					if !slices.ContainsFunc(shapes, func(s string) bool { return strings.Contains(text, s) }) {
						t.Errorf("%q in %s behind %d bytes, before %d: no shape is in %s", key, name, before, after, text)
					}
				}
			}
		}
	}
}

// TestEncodingsSparesOthers: what is masked must be the key, not its
// neighbours.
func TestEncodingsSparesOthers(t *testing.T) {
	for _, shape := range secret.New("abcd").Encodings() {
		if len(shape) < 4 {
			t.Errorf("%q would be found everywhere", shape)
		}
	}
	shapes := secret.New("blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH").Encodings()
	other := "blnk_sk_" + strings.Repeat("Zq7", 15) + "000000"
	text := other + hex.EncodeToString([]byte(other)) + base64.StdEncoding.EncodeToString([]byte(other))
	for _, shape := range shapes {
		if strings.Contains(text, shape) {
			t.Errorf("%q is found in the text of another key", shape)
		}
	}
}

func TestEncodingsLongestFirst(t *testing.T) {
	shapes := secret.New(plain).Encodings()
	if !slices.IsSortedFunc(shapes, func(a, b string) int { return len(b) - len(a) }) {
		t.Errorf("not sorted by length: %q", shapes)
	}
	if slices.Sort(shapes); len(slices.Compact(slices.Clone(shapes))) != len(shapes) {
		t.Error("a shape stands there twice")
	}
}

func notHTML(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	return b.String()
}
