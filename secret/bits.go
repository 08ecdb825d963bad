package secret

import (
	"math"
	"strings"
)

// wordBits is what a character of a text made of words is worth, in bits.
// Shannon's "Prediction and Entropy of Printed English" (1951) puts English
// between 0.6 and 1.3; twice that leaves room for names and separators.
const wordBits = 2

// Bits estimates the strength of the key in bits: its length, less what
// repeats or counts upwards, times what one character of its alphabet is
// worth. It is a judgement from the outside: a key that somebody thought up
// can look stronger than it is. Package keygen adds a list of known
// placeholders.
func (k Key) Bits() int {
	value := k.Reveal()
	return int(math.Floor(float64(surprises(value)) * alphabetBits(value)))
}

// run is how many characters in a row have to follow a pattern before the next
// one counts as no news. Shorter runs are usual in random keys: three in
// sequence stand in every third key of 32 hex digits, five in one of 800.
const run = 5

// surprises counts the characters that do not simply follow from the ones
// before: neither the next of a run of equal or sequential ones (aaaaa, abcde,
// 98765), nor the end of a piece that stood there before.
func surprises(s string) int {
	n := 0
	for i := range len(s) {
		if i+1 < run {
			n++
			continue
		}
		piece := s[i+1-run : i+1]
		if !isSequence(piece) && !strings.Contains(s[:i], piece) {
			n++
		}
	}
	return n
}

// isSequence says whether every character of s is as far from the one before
// it: nothing, one up, or one down.
func isSequence(s string) bool {
	step := int(s[1]) - int(s[0])
	if step < -1 || step > 1 {
		return false
	}
	for i := 2; i < len(s); i++ {
		if int(s[i])-int(s[i-1]) != step {
			return false
		}
	}
	return true
}

// alphabetBits is the worth of one character, from the smallest usual alphabet
// that holds them all.
func alphabetBits(s string) float64 {
	const (
		digits  = "0123456789"
		lower   = "abcdefghijklmnopqrstuvwxyz"
		upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		between = " -_.,:;/<>"
	)
	only := func(set string) bool { return strings.Trim(s, set) == "" }
	switch {
	case only(digits):
		return math.Log2(10)
	case only(digits+"abcdef") && strings.ContainsAny(s, digits),
		only(digits+"ABCDEF") && strings.ContainsAny(s, digits):
		return 4
	// Letters of one case without a single digit are words: 22 random base62
	// characters look like that once in ten million keys.
	case only(lower + between), only(upper + between):
		return wordBits
	case only(digits + lower), only(digits + upper):
		return math.Log2(36)
	case only(digits + lower + upper):
		return math.Log2(62)
	case only(digits + lower + upper + "-_"), only(digits + lower + upper + "+/="):
		return 6
	default:
		return math.Log2(94)
	}
}
