package secret

import (
	"hash/crc32"
	"strings"
)

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
// Prefix with a right checksum. It knows no other keys, and finds none that is
// encoded in another way or cut.
func MaskOwn(text string) string {
	if !strings.Contains(text, Prefix) { // as in nearly all texts
		return text
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, Prefix)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if n := ownLength(rest); n > 0 {
			out.WriteString(Redacted)
			rest = rest[n:]
		} else {
			out.WriteString(Prefix)
		}
		text = rest
	}
}

// HoldsOwn says whether MaskOwn would find a key.
func HoldsOwn(text string) bool { return MaskOwn(text) != text }

// ownLength is how much of what stands behind a prefix belongs to the key; 0
// where no checksum is right. Another letter may follow a key immediately, so
// each end is tried, and the last one that fits counts.
func ownLength(rest string) int {
	const longest = 4096 // far more than any key that is made
	rest = rest[:min(len(rest), longest)]
	sum, length := crc32.ChecksumIEEE([]byte(Prefix)), 0
	for at := range len(rest) {
		if !strings.Contains(Base62, rest[at:at+1]) {
			break
		}
		if body := at + 1 - ChecksumLength; body > 0 {
			sum = crc32.Update(sum, crc32.IEEETable, []byte(rest[body-1:body]))
			if rest[body:at+1] == digits(sum) {
				length = at + 1
			}
		}
	}
	return length
}
