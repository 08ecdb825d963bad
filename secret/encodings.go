package secret

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Encodings returns the shapes in which the key could turn up in a text: as it
// is, base64 (standard and URL alphabet, without padding, at each of the three
// byte offsets that it may have inside a longer text), hex, URL escaped, JSON
// and Go escaped, also JSON inside JSON. The result is as secret as the key.
// Shapes under 4 characters are left out: they would be found everywhere.
//
// It does not know every encoding there is: not one that turns the key around,
// compresses or encrypts it, nor base64 of base64.
func (k Key) Encodings() []string {
	value := k.Reveal()
	raw := []byte(value)
	if len(raw) == 0 {
		return nil
	}
	query, path := url.QueryEscape(value), url.PathEscape(value)
	asHex := hex.EncodeToString(raw)
	html, plain := inJSON(value, true), inJSON(value, false)
	all := []string{
		value,
		asHex, strings.ToUpper(asHex),
		query, lowerEscapes(query), path, lowerEscapes(path),
		html, inJSON(html, true), plain, inJSON(plain, false), inJSON(plain, true),
		inGo(value),
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

// inJSON is text as it stands between the quotes of a JSON string. Encoders
// differ in whether they escape what HTML would take for its own.
func inJSON(text string, escapeHTML bool) string {
	var buf strings.Builder
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(escapeHTML)
	_ = enc.Encode(text) // a string always can be encoded
	quoted := strings.TrimSuffix(buf.String(), "\n")
	return quoted[1 : len(quoted)-1]
}

// inGo is text as %q shows it, without the quotes.
func inGo(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

// lowerEscapes writes the %2F of a URL as %2f: both are right (RFC 3986
// section 2.1).
func lowerEscapes(escaped string) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(escaped, "%")
		out.WriteString(before)
		if !ok || len(rest) < 2 {
			return out.String()
		}
		out.WriteString("%" + strings.ToLower(rest[:2]))
		escaped = rest[2:]
	}
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
