package keygen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// A Severity says what a finding means for a key.
type Severity int

// The severities, from harmless to worst.
const (
	Fine    Severity = iota // no finding at all
	Fragile                 // the key works, but something on its way may change it
	Weak                    // it can be guessed, is known, or is not the one that was made: replace it
	// Fatal: no client can send the key, so it locks everyone out; of a
	// tokenization secret, that Blnk does not take it.
	Fatal
)

// A Finding is one thing that is wrong with a key. Code names it for programs;
// Text is a sentence without a subject for people ("has white space at an end
// …"), and never holds more of the key than the kind of characters in it.
type Finding struct {
	Code     string
	Severity Severity
	Text     string
}

// Weakness says why a key that is in use should be replaced; "" where it should
// not.
func (u Use) Weakness(k secret.Key) string {
	check := Check
	if u == Tokenization {
		check = CheckTokenization
	}
	found := check(k) // the worst comes first
	if Worst(found) < Weak {
		return ""
	}
	return found[0].Text
}

// Worst is the severity of the worst finding, Fine where there is none.
func Worst(findings []Finding) Severity {
	worst := Fine
	for _, f := range findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

// Check judges a master key or metrics token: something that travels in an
// HTTP header. The worst findings come first.
func Check(k secret.Key) []Finding { return check(k, Fatal) }

// CheckTokenization judges a tokenization secret. It never travels, so that
// white space only makes it fragile; but its length must be right.
func CheckTokenization(k secret.Key) []Finding {
	found := check(k, Fragile)
	if n := len(k.Reveal()); n != TokenizationLength && n != 0 {
		found = append(found, Finding{"length", Fatal,
			fmt.Sprintf("has %d bytes instead of %d: Blnk turns tokenization off", n, TokenizationLength)})
	}
	return sorted(found)
}

// check judges k. What a header cannot carry is of the severity unsendable.
func check(k secret.Key, unsendable Severity) []Finding {
	if k.IsZero() {
		return []Finding{{"empty", Fatal, "is empty"}}
	}
	value := k.Reveal()
	body, prefixed, whole := splitPrefixed(value)
	found := characters(value, unsendable)
	if prefixed && !whole {
		found = append(found, Finding{"checksum", Weak, "is truncated or mistyped: its checksum is wrong"})
	}
	if isPlaceholder(body) {
		found = append(found, Finding{"placeholder", Weak, "is a known placeholder or made of usual words"})
	}
	found = append(found, strength(body)...)
	return sorted(found)
}

// characters finds what the way of a key from a file to a server cannot take.
func characters(value string, unsendable Severity) []Finding {
	var found []Finding
	if strings.Trim(value, " \t") != value {
		found = append(found, Finding{"space", unsendable, "begins or ends with white space, which no HTTP client can send"})
	} else if strings.ContainsAny(value, " \t") {
		found = append(found, Finding{"space", Fragile, "has white space in it, where env files and shells cut"})
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		found = append(found, Finding{"control", unsendable, "has a line break or another control character, which no HTTP client can send"})
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r > 0x7f }) {
		found = append(found, Finding{"non-ascii", Fragile, "has characters outside ASCII, which clients encode in different ways"})
	}
	// "$" is expanded by compose, "#" begins a comment in an env file, quotes
	// and backslashes are taken off by both, a back-tick by shells.
	if strings.ContainsAny(value, "$#'\"\\`") {
		found = append(found, Finding{"mangled", Fragile, "has a quote, back-tick, backslash, $ or #, which env files, compose or shells interpret"})
	}
	// nginx and others give a header line 8 KiB; half of it leaves room.
	if len(value) > 4<<10 {
		found = append(found, Finding{"long", Fragile, fmt.Sprintf("has %d bytes: proxies refuse long header lines", len(value))})
	}
	return found
}

// strength judges the part of a key that was drawn at random, if it was.
func strength(body string) []Finding {
	bits := secret.New(body).Bits()
	if bits >= secret.MinBits {
		return nil
	}
	found := []Finding{{"bits", Weak, fmt.Sprintf("has about %d bits, want %d", bits, secret.MinBits)}}
	switch {
	case isSequential(body):
		found = append(found, Finding{"sequential", Weak, "counts up or down"})
	case isRepeated(body):
		found = append(found, Finding{"repeated", Weak, "repeats itself"})
	}
	return found
}

// isSequential says whether at least half of the characters are the successors
// or predecessors of the ones before them.
func isSequential(s string) bool {
	up, down := 0, 0
	for i := 1; i < len(s); i++ {
		switch int(s[i]) - int(s[i-1]) {
		case 1:
			up++
		case -1:
			down++
		}
	}
	return len(s) > 2 && max(up, down)*2 >= len(s)
}

// isRepeated says whether at least half of the characters are what stood some
// fixed number of places before.
func isRepeated(s string) bool {
	// It is asked of weak keys only; a longer one is weak from its beginning on.
	s = s[:min(len(s), 512)]
	for period := 1; period <= len(s)/2; period++ {
		same := 0
		for i := period; i < len(s); i++ {
			if s[i] == s[i-period] {
				same++
			}
		}
		if same*2 >= len(s) {
			return true
		}
	}
	return false
}

// sorted puts the worst first.
func sorted(found []Finding) []Finding {
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return found
}

// splitPrefixed takes a key of the format Prefixed apart. body is the random
// part, where the checksum is right; otherwise all behind the prefix, because
// nobody knows then what of it is missing. prefixed is false for a key of
// another format, whose body is the key itself.
func splitPrefixed(value string) (body string, prefixed, whole bool) {
	body, prefixed = strings.CutPrefix(value, secret.Prefix)
	cut := len(body) - secret.ChecksumLength
	if prefixed && cut > 0 && secret.Checksum(secret.Prefix+body[:cut]) == body[cut:] {
		return body[:cut], true, true
	}
	return body, prefixed, false
}
