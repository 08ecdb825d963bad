package keygen

import (
	"hash/crc32"
	"strings"
)

// Prefix begins every key of the format Prefixed, so that a scanner finds it
// in a leak and a person knows what it is. Behind it stand the random
// characters, and then checksumLength characters that tell a whole key from
// one that was cut short or mistyped. The checksum is no secret and no
// signature: anybody can compute it.
const Prefix = "blnk_sk_"

// checksumLength base62 characters hold any 32-bit number: 62^6 > 2^32.
const checksumLength = 6

// checksum is the CRC-32 (IEEE 802.3) of text as a base62 number of fixed
// width, most significant digit first.
func checksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	var digits [checksumLength]byte
	for i := range digits {
		digits[checksumLength-1-i] = base62[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

// splitPrefixed takes a key of the format Prefixed apart. body is the random
// part, where the checksum is right; otherwise all behind the prefix, because
// nobody knows then what of it is missing. prefixed is false for a key of
// another format, whose body is the key itself.
func splitPrefixed(value string) (body string, prefixed, whole bool) {
	rest, prefixed := strings.CutPrefix(value, Prefix)
	if !prefixed {
		return value, false, false
	}
	if len(rest) <= checksumLength {
		return rest, true, false
	}
	cut := len(value) - checksumLength
	if checksum(value[:cut]) != value[cut:] {
		return rest, true, false
	}
	return rest[:len(rest)-checksumLength], true, true
}
