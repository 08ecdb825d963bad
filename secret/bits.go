package secret

import (
	"math"
	"strings"
)

// wordBits is what a character of a text made of words is worth, in bits.
// Shannon's "Prediction and Entropy of Printed English" (1951) puts English
// between 0.6 and 1.3; twice that leaves room for names and separators.
const wordBits = 2

// longestJudged is how many bytes of a key are looked at. What is strong up to
// here is strong enough, and the work grows with the square of the length.
const longestJudged = 1024

// Bits estimates the strength of the key in bits: what its characters are
// worth, less what they repeat or continue. It is a judgement from the
// outside: a key that somebody thought up can look stronger than it is.
// Package keygen adds a list of known placeholders.
func (k Key) Bits() int {
	value := k.Reveal()
	value = value[:min(len(value), longestJudged)]
	if isUUID(value) {
		return uuidBits
	}
	// The padding of base64 says nothing.
	value = strings.TrimRight(value, "=")
	each := alphabetBits(value)
	return int(float64(len(value))*each - patternBits(value, each))
}

// doubt is how many bits a pattern has to save before it is believed in. No
// code can save n bits on more than one in 2^n random texts (Kraft's
// inequality), so that a random key is called patterned once in 16 million
// times, although short runs stand in many of them.
const doubt = 24

// patternBits is how much shorter the text gets when it is told by saying which
// of its characters can be guessed from those before, and spelling only the
// others, at so many bits each; 0 where that may be chance.
func patternBits(s string, each float64) float64 {
	// Guesses come right in rows, so they are counted apart behind a wrong one
	// and behind a right one.
	var right, all [2]int
	before := 0
	for i := 1; i < len(s); i++ {
		all[before]++
		if guess(s[:i]) == s[i] {
			right[before]++
			before = 1
		} else {
			before = 0
		}
	}
	saved := float64(right[0]+right[1]) * each
	for i := range all {
		// How many are right, and which ones.
		saved -= math.Log2(float64(all[i]+1)) + log2Choose(all[i], right[i])
	}
	if saved < doubt {
		return 0
	}
	return saved
}

// guess says what comes next: what followed when the last three characters
// stood there before, else the next of three that count up or down, else the
// last one again. What matters is that it is fixed by what is before, not how
// clever it is.
func guess(before string) byte {
	n := len(before)
	if n < 3 {
		return before[n-1]
	}
	if at := strings.LastIndex(before[:n-1], before[n-3:]); at >= 0 {
		return before[at+3]
	}
	step := before[n-1] - before[n-2] // wraps: 255 is one down
	if (step == 1 || step == 255) && before[n-2]-before[n-3] == step {
		return before[n-1] + step
	}
	return before[n-1]
}

// log2Choose is the number of bits that tell which k of n it is.
func log2Choose(n, k int) float64 {
	log := func(x int) float64 { v, _ := math.Lgamma(float64(x + 1)); return v }
	return (log(n) - log(k) - log(n-k)) / math.Ln2
}

// uuidBits is what is random in a UUID at best (version 4, RFC 9562 section
// 5.4): under the floor, and some versions hold nothing but a time.
const uuidBits = 122

// isUUID knows the usual form.
func isUUID(s string) bool {
	shape := strings.Map(func(r rune) rune {
		if strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return 'x'
		}
		return r
	}, s)
	return shape == "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
}

// alphabetBits is the worth of one character, from the smallest usual alphabet
// that holds them all.
func alphabetBits(s string) float64 {
	const digits, between = "0123456789", " -_.,:;/<>"
	const lower, upper = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	only := func(set string) bool { return strings.Trim(s, set) == "" }
	switch {
	case only(digits):
		return math.Log2(10)
	case only(digits+"abcdef") && strings.ContainsAny(s, digits),
		only(digits+"ABCDEF") && strings.ContainsAny(s, digits):
		return 4
	// Letters of one case without a single digit are words: 22 random base62
	// characters look like that once in a hundred million keys.
	case only(lower + between), only(upper + between):
		return wordBits
	case only(digits + lower), only(digits + upper):
		return math.Log2(36)
	case only(digits + lower + upper):
		return math.Log2(62)
	case only(digits + lower + upper + "-_"), only(digits + lower + upper + "+/="):
		return 6
	}
	return math.Log2(94)
}
