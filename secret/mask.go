package secret

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Encodings returns the shapes in which the key could turn up in a text: as it
// is, base64 (standard and URL alphabet, without padding, at each of the three
// byte offsets that it may have inside a longer text), hex, URL escaped, JSON
// and Go escaped, also JSON inside JSON, UTF-16 as PowerShell writes files. The result is as secret as the key.
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
	goQuoted := strconv.Quote(value)
	html, plain := inJSON(value, true), inJSON(value, false)
	all := []string{
		value,
		asHex, strings.ToUpper(asHex),
		query, lowerEscapes(query), path, lowerEscapes(path),
		html, inJSON(html, true), plain, inJSON(plain, false), inJSON(plain, true),
		goQuoted[1 : len(goQuoted)-1],
		Wide(value),
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

// Wide is a text in UTF-16, the lower byte of each unit first, without a mark of that.
func Wide(text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return string(out)
}

// lowerEscapes writes the %2F of a URL as %2f: both are right (RFC 3986
// section 2.1).
func lowerEscapes(escaped string) string {
	parts := strings.Split(escaped, "%")
	for i, part := range parts[1:] {
		parts[i+1] = strings.ToLower(part[:2]) + part[2:]
	}
	return strings.Join(parts, "%")
}

// shifted encodes raw as it would look behind 0, 1 or 2 other bytes, without
// the characters that depend on its neighbours.
func shifted(enc *base64.Encoding, raw []byte) []string {
	var out []string
	for pad := range 3 {
		s := enc.EncodeToString(append(make([]byte, pad), raw...))
		if (pad+len(raw))%3 != 0 {
			s = s[:len(s)-1] // shares its bits with what follows
		}
		out = append(out, s[min(len(s), (pad*8+5)/6):]) // those in front hold a bit of the padding
	}
	return out
}

// Prefix begins every key that blnkctl makes by default, so that a scanner finds
// it in a leak and a person knows what it is. Behind it stand random base62
// characters, and then ChecksumLength characters that tell a whole key from one
// that was cut short or mistyped. The checksum is no secret and no signature:
// anybody can compute it.
const Prefix = "blnk_sk_"

// ChecksumLength base62 characters hold any 32-bit number: 62^6 > 2^32.
const ChecksumLength = 6

// Base62 is the alphabet of keys: digits and letters, in the order of ASCII.
const Base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Checksum is what belongs behind text: its CRC-32 (IEEE 802.3) as a base62
// number of fixed width, most significant digit first.
func Checksum(text string) string { return digits(crc32.ChecksumIEEE([]byte(text))) }

func digits(sum uint32) string {
	var out [ChecksumLength]byte
	for i := range out {
		out[ChecksumLength-1-i] = Base62[sum%62]
		sum /= 62
	}
	return string(out[:])
}

// MaskOwn redacts every key of our own form in a text, wherever it came from:
// Prefix with a right checksum, or with so many characters behind it that most of a
// key is among them, as it is (which is how a URL has it), or within a word of base64
// or hex. The prefix counts in any case, and with hyphens; a whole key of the usual
// length is known without it, too. It knows no other keys, and finds none that is
// encoded in another way.
func MaskOwn(text string) string {
	text = maskBare(maskPlain(text))
	for _, e := range encodings {
		for _, mark := range e.marks {
			if strings.Contains(text, mark) {
				text = regexp.MustCompile(e.word).ReplaceAllStringFunc(text, func(word string) string { return maskEncoded(word, e.decode) })
			}
		}
	}
	return text
}

// Own returns the key of our own form that a text begins with: whole by its checksum,
// and strong (MinBits), as no example in a text about keys is.
func Own(text string) (Key, bool) {
	if !strings.HasPrefix(text, Prefix) {
		return Key{}, false
	}
	rest := text[len(Prefix):]
	n, whole := ownLength(rest)
	if !whole || New(rest[:n-ChecksumLength]).Bits() < MinBits {
		return Key{}, false
	}
	return New(text[:len(Prefix)+n]), true
}

// Holds says whether MaskOwn finds a key in a text.
func Holds(text string) bool { return MaskOwn(text) != text }

// encodings are those that MaskOwn looks into, with Prefix as they may have it.
var encodings = []struct {
	marks  []string
	word   string // an expression; it is compiled where it is needed, which is hardly ever
	decode func(string) ([]byte, error)
}{
	{[]string{"Ymxua19za1", "Jsbmtfc2tf", "ibG5rX3NrX"}, `[A-Za-z0-9+/_-]{40,}`, base64.RawStdEncoding.DecodeString},
	{[]string{"626c6e6b5f736b5f", "626C6E6B5F736B5F"}, `[A-Fa-f0-9]{60,}`, hex.DecodeString},
}

// maskEncoded redacts a word with a key in it. What stands before that may belong
// to the word by chance, so that every beginning is tried.
func maskEncoded(word string, decode func(string) ([]byte, error)) string {
	text := strings.NewReplacer("-", "+", "_", "/").Replace(word)
	for skip := range 4 {
		if raw, _ := decode(text[skip:]); maskPlain(string(raw)) != string(raw) { // as far as it can be decoded
			return Redacted
		}
	}
	return word
}

// maxShown is how long a word may be that an error repeats: shorter than any good
// key.
const maxShown = 24

// Shown repeats in an error, behind a space, a word that was typed, unless it could
// be a key that was typed in the wrong place.
func Shown(word string) string {
	if len(word) > maxShown || strings.Contains(folded(word), Prefix) {
		return ""
	}
	return " " + strconv.Quote(word)
}

// folded is a text in which every spelling of Prefix is that, byte for byte.
func folded(text string) string {
	lower := []byte(text)
	for i, c := range lower {
		switch {
		case 'A' <= c && c <= 'Z':
			lower[i] += 'a' - 'A'
		case c == '-':
			lower[i] = '_'
		}
	}
	return string(lower)
}

func maskPlain(text string) string {
	where := folded(text)
	at := strings.Index(where, Prefix)
	if at < 0 { // as in hardly any text
		return text
	}
	var out strings.Builder
	for ; at >= 0; at = strings.Index(where, Prefix) {
		end := at + len(Prefix)
		out.WriteString(text[:at])
		if n, _ := ownLength(text[end:]); n > 0 {
			out.WriteString(Redacted)
			end += n
		} else {
			out.WriteString(text[at:end])
		}
		text, where = text[end:], where[end:]
	}
	return out.String() + text
}

// maskBare redacts a word that is what stands behind Prefix in a key of the usual length.
func maskBare(text string) string {
	const usual = 43 + ChecksumLength // keygen.Generate, 256 bits
	out, done := "", 0
	for from, at := 0, 0; at <= len(text); at++ {
		if at < len(text) && isBase62(text[at]) {
			continue
		}
		if sum := at - ChecksumLength; at-from == usual && Checksum(Prefix+text[from:sum]) == text[sum:at] {
			out, done = out+text[done:from]+Redacted, at
		}
		from = at + 1
	}
	return out + text[done:]
}

func isBase62(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// cut is how much of a key is as secret as the whole: somebody could guess the rest.
const cut = 16

// ownLength is how much of what stands behind a prefix belongs to the key; 0 where no
// checksum is right, and too little stands there for one that was cut. Another letter
// may follow a key immediately, so each end is tried, and the last one that fits
// counts.
func ownLength(rest string) (n int, whole bool) {
	const longest = 4096 // far more than any key that is made
	rest = rest[:min(len(rest), longest)]
	sum, length, all := crc32.ChecksumIEEE([]byte(Prefix)), 0, 0
	for at := range len(rest) {
		if !strings.Contains(Base62, rest[at:at+1]) {
			break
		}
		all = at + 1
		if body := at + 1 - ChecksumLength; body > 0 {
			sum = crc32.Update(sum, crc32.IEEETable, []byte(rest[body-1:body]))
			if rest[body:at+1] == digits(sum) {
				length = at + 1
			}
		}
	}
	if length == 0 && all >= cut {
		return all, false
	}
	return length, length > 0
}
