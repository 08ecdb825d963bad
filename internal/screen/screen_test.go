package screen

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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

func terminal(columns int) Look {
	return Look{Columns: func() int { return columns }, Term: "xterm"}
}

func TestFold(t *testing.T) {
	for _, c := range []struct {
		text, want string
		columns    int
	}{
		{"one  two three four", "one  two\n     three\n     four", 12},
		{"error: one two three four", "error: one\n  two three\n  four", 11},
		{"  1 set      here and there", "  1 set      here and\n             there", 26},
		{"  1 set      here and there", "  1 set      here\n      and there", 18},
		{"  - /a/path/that/is/longer and so", "  - /a/path/that/is/longer\n    and so", 12},
		{"Note: one two three", "Note: one two\n      three", 13},
		{"  - one two\n  three", "  - one\n    two\n  three", 8},
		// What is to be copied stays in one piece.
		{"hint: make one: blnkctl keygen --store 'blnkjson:./a b.json' --force; or not", "hint: make one:\n  blnkctl keygen --store 'blnkjson:./a b.json' --force;\n  or not", 20},
		{`-> (crontab -l; echo '17 4 * * 1 cd /a && b --restart '\''sh:c restart d'\''') | crontab -`, "-> (crontab -l;\n  " + `echo '17 4 * * 1 cd /a && b --restart '\''sh:c restart d'\''') | crontab -`, 20},
		{"see `blnkctl help exit-codes` now", "see\n  `blnkctl help exit-codes`\n  now", 12},
		{"blnkctl rotate --abort goes back to it", "blnkctl rotate --abort goes\n  back to it", 14},
		{"\x1b[32mproved\x1b[0m on it", "\x1b[32mproved\x1b[0m on it", 12},
		{"\x1b[32mok\x1b[0m  one two three", "\x1b[32mok\x1b[0m  one\n    two\n    three", 9},
		{"as wide as can be", "as wide as can be", 0}, // not known: the usual one
		{strings.Repeat("word ", 20) + "end", strings.Repeat("word ", 15) + "word\n  word word word word end", 200},
	} {
		if got := terminal(c.columns).Fold(c.text); got != c.want {
			t.Errorf("%d columns: %q, want %q", c.columns, got, c.want)
		}
		if got := (Look{}).Fold(c.text); got != c.text {
			t.Errorf("without a terminal: %q", got)
		}
	}
}

func TestPage(t *testing.T) {
	if got := (Look{}).Page("what is read, and opened:\nall of it\n\nExit Status:\n0 well\n"); got != "what is read, and opened: all of it\n\nExit Status:\n0 well\n" {
		t.Errorf("%q", got)
	}
	text := "one two\nthree\n\nUsage:\n  four  five\n"
	if got := (Look{}).Page(text); got != "one two three\n\nUsage:\n  four  five\n" {
		t.Errorf("%q", got)
	}
	if got := terminal(9).Page(text); got != "one two\nthree\n\nUsage:\n  four  five\n" {
		t.Errorf("%q", got)
	}
}

func TestPaint(t *testing.T) {
	for term, coloured := range map[string]bool{"xterm": true, "tmux-256color": true, "dumb": false, "": false, "vt100": false, "xterm-mono": false} {
		look := terminal(80)
		look.Term = term
		if got := look.Paint(Green, "good") != "good"; got != coloured {
			t.Errorf("%q: %v", term, got)
		}
		look.NoColour = true
		if look.Paint(Green, "good") != "good" {
			t.Errorf("%q: a colour that is not wanted", term)
		}
	}
	if (Look{Term: "xterm"}).Paint(Green, "good") != "good" {
		t.Error("a colour in a file")
	}
}

func TestTable(t *testing.T) {
	rows := func() [][]string { return [][]string{{"A", "B"}, {"länger", "x\n"}, {"", "y"}} }
	if got := (Look{}).Table(rows(), nil); got != "A       B\nlänger  x\\x0a\n        y\n" {
		t.Errorf("%q", got)
	}
	if got := terminal(12).Table(rows(), nil); got != "A            länger\nB            x\\x0a\nB            y\n" {
		t.Errorf("%q", got)
	}
	green := func(string) Colour { return Green }
	if got := terminal(80).Table([][]string{{"A"}, {"b"}}, green); !strings.Contains(got, "\x1b[32mb\x1b[0m") {
		t.Errorf("%q", got)
	}
}

// shown is what a terminal shows of what was written to it: its lines, and that the
// last one begins where it should.
func shown(t *testing.T, text string, columns int) (lines []string) {
	t.Helper()
	line := ""
	for part := range strings.SplitAfterSeq(text, "\x1b[K") {
		cleared := strings.HasSuffix(part, "\x1b[K")
		for _, r := range strings.TrimSuffix(part, "\x1b[K") {
			switch r {
			case '\r':
				line = ""
			case '\n':
				lines, line = append(lines, line), ""
			default:
				if line += string(r); cleared && len([]rune(line)) >= columns {
					t.Fatalf("%q reaches the end of the line", line)
				}
			}
		}
	}
	return append(lines, line)
}

func TestTalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		talk := &Talk{W: &out, Look: terminal(30)}
		look := func(want ...string) {
			t.Helper()
			synctest.Wait()
			talk.mu.Lock()
			defer talk.mu.Unlock()
			if got := shown(t, out.String(), 30); !slices.Equal(got, want) {
				t.Fatalf("%q, want %q", got, want)
			}
		}
		talk.Begin("restart")
		look("  restart      …")
		<-time.After(2500 * time.Millisecond)
		look("  restart      2s")
		talk.Detail("Stopping\tthe \x1b[31mcontainer")
		look("  restart      2s  Stopping t")
		talk.Tell(Bold, "now:", "do it")
		look("\x1b[1mnow:\x1b[0m do it", "  restart      2s  Stopping t")
		<-time.After(58 * time.Second)
		look("\x1b[1mnow:\x1b[0m do it", "  restart      1m0s  Stopping")
		talk.End("  restart      1m0.5s")
		<-time.After(time.Minute)
		talk.Detail("too late")
		look("\x1b[1mnow:\x1b[0m do it", "  restart      1m0.5s", "")
		talk.Begin("test")
		_, _ = talk.Write([]byte("Really? "))
		<-time.After(time.Minute)
		look("\x1b[1mnow:\x1b[0m do it", "  restart      1m0.5s", "Really? ")
	})
}

func TestTalkElsewhere(t *testing.T) {
	for _, look := range []Look{{}, {Columns: func() int { return 80 }, Term: "dumb"}} {
		var out strings.Builder
		talk := &Talk{W: &out, Look: look}
		talk.Begin("restart")
		talk.Detail("Stopping")
		talk.Say("well")
		talk.End("  restart      2s")
		if out.String() != "well\n  restart      2s\n" {
			t.Errorf("%q", out.String())
		}
	}
}
