package screen

import (
	"strings"
	"testing"
)

func TestClean(t *testing.T) {
	key := "blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH"
	for text, want := range map[string]string{
		"plain Ä ✓":           "plain Ä ✓",
		"two\nlines\tof it":   "two\nlines\tof it",
		"a\x1b[31mred\x07":    `a\x1b[31mred\x07`,
		"back\rspace\x7f":     `back\x0dspace\x7f`,
		"\u009b31m":           `\u009b31m`,
		"turned \u202e round": `turned \u202e round`,
		"a\u2028b":            `a\u2028b`,
		"not \xff utf8":       `not \xff utf8`,
		"key " + key + ".":    "key [redacted].",
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := CleanLine("hook\n  1 set  forged"); strings.Contains(got, "\n") {
		t.Errorf("%q has two lines", got)
	}
}

func TestWrap(t *testing.T) {
	if got := Wrap("one  two three four", 9, 2); got != "one two\n  three\n  four" {
		t.Errorf("%q", got)
	}
}

func TestTable(t *testing.T) {
	if got := Table([][]string{{"A", "B"}, {"länger", "x\n"}, {"", ""}}); got != "A       B\nlänger  x\\x0a\n\n" {
		t.Errorf("%q", got)
	}
}
