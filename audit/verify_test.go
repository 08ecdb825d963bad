package audit_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// rehash gives a changed line the hash that fits it.
func rehash(line string) string {
	content := regexp.MustCompile(`,"hash":"[0-9a-f]{64}"}\n$`).ReplaceAllString(line, "}")
	return fmt.Sprintf("%s,\"hash\":\"%x\"}\n", content[:len(content)-1], sha256.Sum256([]byte(content)))
}

// edit is a line with another reason.
func edit(line string) string { return strings.Replace(line, `"reason":"test"`, `"reason":"Test"`, 1) }

// TestTampering: what somebody may do to a log of five records, what Verify
// says of it, and what it says after the next Append, which neither refuses
// nor covers it up.
func TestTampering(t *testing.T) {
	five := filled(t, 5)
	lines := strings.SplitAfter(five.read(five.Path()), "\n")[:5]
	anchor := five.read(five.head())
	first := `{"seq":1,"hash":"` + regexp.MustCompile(`"hash":"([0-9a-f]{64})"`).FindStringSubmatch(lines[0])[1] + `"}`
	l := func(i int) string { return lines[i-1] }
	for _, c := range []struct {
		what, text, head string
		problem          string
		records          int
		later            string // "" the same
	}{
		{"nothing", strings.Join(lines, ""), anchor, "", 5, ""},
		{"first removed", l(2) + l(3) + l(4) + l(5), anchor, "gap 1", 0, ""},
		{"third removed", l(1) + l(2) + l(4) + l(5), anchor, "gap 3", 2, ""},
		{"last removed", l(1) + l(2) + l(3) + l(4), anchor, "truncated tail 5", 4, "gap 5"},
		{"last three removed", l(1) + l(2), anchor, "truncated tail 3", 2, "gap 3"},
		{"emptied", "", anchor, "truncated tail 1", 0, "gap 1"},
		{"last cut short", l(1) + l(2) + l(3) + l(4) + l(5)[:50], anchor, "incomplete last line 5", 4, "gap 5"},
		{"swapped", l(1) + l(3) + l(2) + l(4) + l(5), anchor, "gap 2", 1, ""},
		{"doubled", l(1) + l(2) + l(2) + l(3) + l(4) + l(5), anchor, "gap 3", 2, ""},
		{"first edited", edit(l(1)) + l(2) + l(3) + l(4) + l(5), anchor, "changed record 1", 0, ""},
		{"third edited", l(1) + l(2) + edit(l(3)) + l(4) + l(5), anchor, "changed record 3", 2, ""},
		{"third edited and hashed again", l(1) + l(2) + rehash(edit(l(3))) + l(4) + l(5), anchor, "changed record 3", 2, ""},
		{"last edited", l(1) + l(2) + l(3) + l(4) + edit(l(5)), anchor, "changed record 5", 4, ""},
		{"last edited and hashed again", l(1) + l(2) + l(3) + l(4) + rehash(edit(l(5))), anchor, "changed record 5", 4, ""},
		{"number of the last raised", l(1) + l(2) + l(3) + l(4) + strings.Replace(l(5), `"seq":5`, `"seq":9`, 1), anchor, "changed record 5", 4, ""},
		{"number raised, hashed again", l(1) + l(2) + l(3) + l(4) + rehash(strings.Replace(l(5), `"seq":5`, `"seq":9`, 1)), anchor, "gap 5", 4, ""},
		{"a line of text", l(1) + l(2) + "ok\n" + l(3) + l(4) + l(5), anchor, "not a record 3", 2, ""},
		{"an empty line", l(1) + "\n" + l(2) + l(3) + l(4) + l(5), anchor, "not a record 2", 1, ""},
		{"other JSON", l(1) + rehash(`{"a":1}`+"\n") + l(2) + l(3) + l(4) + l(5), anchor, "not a record 2", 1, ""},
		{"not JSON, but hashed", l(1) + rehash("{oops}\n") + l(2) + l(3) + l(4) + l(5), anchor, "not a record 2", 1, ""},
		{"not JSON between its ends, but hashed", l(1) + l(2) + rehash(strings.Replace(l(3), `"reason":"test"`, `"reason":test`, 1)) + l(4) + l(5), anchor, "not a record 3", 2, ""},
		{"a last line of text", strings.Join(lines, "") + "ok\n", anchor, "not a record 6", 5, ""},
		{"Windows line ends", strings.ReplaceAll(strings.Join(lines, ""), "\n", "\r\n"), anchor, "not a record 1", 0, ""},
		{"something behind", strings.Join(lines, "") + "{", anchor, "incomplete last line 6", 5, "none"},
		{"anchor removed", strings.Join(lines, ""), "", "no anchor 0", 5, "gap 6"},
		{"anchor of another time", l(1) + l(2) + rehash(edit(l(3))), anchor, "truncated tail 4", 3, "gap 4"},
		{"anchor unreadable", strings.Join(lines, ""), "oops", "no anchor 0", 5, "gap 6"},
		{"anchor and tail removed", l(1) + l(2), "", "no anchor 0", 2, "gap 3"},
		{"anchor set back, and tail removed", l(1) + l(2) + l(3), first, "no anchor 0", 3, "gap 4"},
	} {
		p := newPlace(t)
		if err := os.Mkdir(p.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		p.write(p.Path(), c.text)
		if c.head != "" {
			p.write(p.head(), c.head)
		}
		p.expect(c.what, c.problem, c.records)
		p.add(6)
		switch c.later {
		case "":
			if c.problem == "" {
				c.records++
			}
			p.expect(c.what+", then appended", c.problem, c.records)
		case "none":
			p.expect(c.what+", then appended", "", c.records+1)
		default:
			p.expect(c.what+", then appended", c.later, c.records)
		}
	}
}

// TestChainRewrittenBehindTheAnchor: all records from the second on are made
// anew, each fitting the one before. Only the anchor shows it.
func TestChainRewrittenBehindTheAnchor(t *testing.T) {
	p := filled(t, 3)
	lines := strings.SplitAfter(p.read(p.Path()), "\n")[:3]
	prev := regexp.MustCompile(`"prev":"[0-9a-f]{64}"`)
	hash := regexp.MustCompile(`"hash":"([0-9a-f]{64})"`)
	lines[1] = rehash(edit(lines[1]))
	lines[2] = rehash(prev.ReplaceAllString(lines[2], `"prev":"`+hash.FindStringSubmatch(lines[1])[1]+`"`))
	p.write(p.Path(), strings.Join(lines, ""))
	p.expect("rewritten", "changed record 3", 2)
	p.add(4)
	p.expect("and appended", "changed record 3", 2)
}

// TestEveryByteCounts flips a bit of each byte of a log and of its anchor.
func TestEveryByteCounts(t *testing.T) {
	p := filled(t, 3)
	for _, path := range []string{p.Path(), p.head()} {
		text := p.read(path)
		for i := range len(text) {
			flipped := []byte(text)
			flipped[i] ^= 1 << (i % 8)
			p.write(path, string(flipped))
			report, err := p.Verify()
			if err != nil {
				t.Fatal(err)
			}
			if report.Problem == nil && !harmless(text, i, flipped[i]) {
				t.Errorf("%s: %q became %q at %d, and nothing is found", path, text[i], flipped[i], i)
			}
		}
		p.write(path, text)
	}
	p.expect("put back", "", 3)
}

// harmless: another white space at the end of the anchor, or other letter
// case of its names, says the same.
func harmless(text string, i int, now byte) bool {
	if !strings.HasPrefix(text, `{"seq":3,"hash":"`) || len(text) > 100 {
		return false
	}
	space := i == len(text)-1 && strings.ContainsRune(" \t\r\n", rune(now))
	return space || strings.EqualFold(text[i:i+1], string(now))
}

func TestRecordsOfADamagedLog(t *testing.T) {
	p := filled(t, 3)
	lines := strings.SplitAfter(p.read(p.Path()), "\n")
	const oops = "blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH\n"
	p.write(p.Path(), lines[0]+oops+edit(lines[1])+oops+lines[2]+"{")
	records, err := p.records(0)
	var got []string
	for _, r := range records {
		got = append(got, fmt.Sprint(r.Rotation, r.Changed))
	}
	if err != nil || strings.Join(got, " ") != "r1false r2true r3false" {
		t.Errorf("Records = %v, want those that can be read", got)
	}
}
