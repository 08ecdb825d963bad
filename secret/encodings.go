package secret

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
)

// Encodings returns the shapes in which the key could turn up in a text: as it
// is, base64 (standard and URL alphabet, without padding, at each of the three
// byte offsets that it may have inside a longer text), hex, URL and JSON
// escaped. The result is as secret as the key. Shapes under 4 characters are
// left out: they would be found everywhere.
func (k Key) Encodings() []string {
	value := k.Reveal()
	raw := []byte(value)
	if len(raw) == 0 {
		return nil
	}
	quoted, _ := json.Marshal(value)
	all := []string{
		value,
		hex.EncodeToString(raw),
		url.QueryEscape(value),
		url.PathEscape(value),
		string(quoted[1 : len(quoted)-1]),
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		all = append(all, shifted(enc, raw)...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	// Longest first, so that who replaces one never leaves the rest of a
	// longer one standing.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return slices.DeleteFunc(all, func(s string) bool { return len(s) < 4 })
}

// shifted encodes raw as it would look behind 0, 1 or 2 other bytes, without
// the characters that depend on its neighbours.
func shifted(enc *base64.Encoding, raw []byte) []string {
	var out []string
	for pad := range 3 {
		s := enc.EncodeToString(append(make([]byte, pad), raw...))
		first := (pad*8 + 5) / 6 // characters that hold a bit of the padding
		last := len(s)
		if (pad+len(raw))%3 != 0 {
			last-- // shares its bits with what follows
		}
		if first < last {
			out = append(out, s[first:last])
		}
	}
	return out
}
