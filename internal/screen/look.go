package screen

import (
	"fmt"
	"path"
	"strings"
	"unicode"
)

// Width is how wide texts are at most: the classic terminal.
const Width = 80

// A Look is how texts look where they go. The zero Look is that of a file or a pipe:
// a line is as long as it is, since that is easier to search, and has no colour.
type Look struct {
	// Columns asks how wide the terminal is now; 0 where it does not say. nil: it is
	// no terminal.
	Columns func() int
	// Term is the terminal's kind, as TERM has it, and NoColour a wish (no-color.org).
	Term     string
	NoColour bool
}

// Terminal says whether a person is there to read.
func (l Look) Terminal() bool { return l.Columns != nil }

// moves says whether a line can be written anew: not every terminal obeys.
func (l Look) moves() bool {
	return l.Terminal() && l.Term != "" && l.Term != "dumb" && l.Term != "unknown"
}

func (l Look) columns() int {
	if !l.Terminal() {
		return 0
	}
	if n := l.Columns(); n > 0 {
		return n
	}
	return Width
}

// A Colour is the number of an SGR escape sequence (ECMA-48).
type Colour int

// The colours.
const (
	Plain  Colour = 0
	Bold   Colour = 1
	Red    Colour = 31
	Green  Colour = 32
	Yellow Colour = 33
)

// Paint colours a clean text where there are colours.
func (l Look) Paint(c Colour, text string) string {
	// The terminals of DEC had none, nor has a variant that is named after that.
	if c == Plain || !l.moves() || l.NoColour || strings.HasPrefix(l.Term, "vt") || strings.HasSuffix(l.Term, "-m") || strings.HasSuffix(l.Term, "-mono") {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", c, text)
}

// Fold breaks the lines of a clean text between words where the terminal would break
// them anywhere. What follows is indented: as far as the text behind a column, or a
// little.
func (l Look) Fold(text string) string {
	if !l.Terminal() {
		return text
	}
	return l.fold(text, 2, false)
}

// Fill is Fold wherever the text goes. Where that is no terminal, which would break them
// so that they can be copied, words that are wider than a line are broken, too.
func (l Look) Fill(text string) string { return l.paper().fold(text, 2, !l.Terminal()) }

// paper is the look of a classic terminal where there is none.
func (l Look) paper() Look {
	if !l.Terminal() {
		l.Columns = func() int { return Width }
	}
	return l
}

// Page is Fold for paragraphs, which are filled anew, wherever the text goes.
func (l Look) Page(text string) string {
	var b strings.Builder
	before := ""
	for line := range strings.SplitSeq(text, "\n") {
		switch prose := line != "" && line[0] != ' '; {
		case before != "" && before[0] != ' ' && !heading(before) && prose:
			b.WriteByte(' ')
		case b.Len() > 0:
			b.WriteByte('\n')
		}
		b.WriteString(line)
		before = line
	}
	return l.paper().fold(b.String(), 0, false)
}

// heading says whether a line is one, as "Exit Status:" is.
func heading(line string) bool {
	return strings.HasSuffix(line, ":") && strings.Count(line, " ") < 2
}

func (l Look) fold(text string, further int, hard bool) string {
	lines, width := strings.Split(text, "\n"), min(l.columns(), Width)
	for i, line := range lines {
		rest := strings.TrimLeft(line, " ")
		indent := len(line) - len(rest)
		hanging := indent + further
		plain := unpainted(line)
		if column := strings.LastIndex(plain[:min(len(plain), firstColumn)], "  ") + 2; column > indent && column > 2 {
			if hanging = column; column > width/2 {
				hanging = indent + 4
			}
		}
		if name, _, ok := strings.Cut(rest, ": "); ok && (name == "Note" || name == "Warning") {
			hanging = len(name) + 2
		}
		lines[i] = line[:indent] + wrap(rest, width, indent, hanging, hard)
	}
	return strings.Join(lines, "\n")
}

// unpainted is a text without what Paint puts around it.
func unpainted(text string) string {
	before, after, ok := strings.Cut(text, "\x1b")
	if !ok {
		return text
	}
	_, after, _ = strings.Cut(after, "m")
	return before + unpainted(after)
}

// firstColumn is how far a first column of a text reaches at most.
const firstColumn = 32

// wrap breaks a text that begins at a column. hard: it also cuts what is wider than a
// line.
func wrap(text string, width, column, hanging int, hard bool) string {
	var b strings.Builder
	next := "\n" + strings.Repeat(" ", hanging)
	for i, unit := range units(text) {
		word := strings.TrimLeft(unit, " ")
		// What is wider than any line begins where it is, but for a command.
		fits := hard || hanging+columns(word) <= width || strings.Contains(word, " ")
		if i > 0 && fits && column > hanging && column+columns(unit) > width {
			b.WriteString(next)
			column, unit = hanging, word
		}
		for part := ""; hard; unit, column = unit[len(part):], hanging {
			if part = Cut(unit, max(width-column, 2)); part == unit {
				break
			}
			b.WriteString(part + next)
		}
		b.WriteString(unit)
		column += columns(unit)
	}
	return b.String()
}

// units splits a text where a line may end, with the blanks in front of each. A
// command is one unit, and so is what stands in backticks: the terminal breaks it,
// so that it can be copied.
func units(text string) (all []string) {
	command, last := false, ""
	for text != "" {
		end := len(text) - len(strings.TrimLeft(text, " "))
		if n := strings.IndexByte(text[end:], ' '); n >= 0 {
			end += n
		} else {
			end = len(text)
		}
		word := strings.TrimLeft(text[:end], " ")
		n := len(all) - 1
		if n >= 0 && (strings.Count(all[n], "`")%2 == 1 || command && continues(all[n], last, word)) {
			all[n] += text[:end]
		} else {
			all = append(all, text[:end])
			command = begins(word)
		}
		text, last = text[end:], word
	}
	return all
}

// begins says whether a word can be the first of a command.
func begins(word string) bool {
	switch path.Base(strings.TrimLeft(word, "('")) {
	case "blnkctl", "sudo", "docker", "systemctl", "journalctl", "crontab", "cat", "vault", "chmod", "chown", "cd", "echo", "--store", "--restart", "--server":
		return true
	}
	return false
}

// continues says whether a word belongs to the command so far, whose last word is
// given: by its look, and rather one word too many.
func continues(command, last, word string) bool {
	switch {
	case quoted(command) || word == "|":
		return true
	case strings.ContainsAny(last[max(0, len(last)-1):], ",;)"):
		return false
	}
	return begins(last) || word == `\` || strings.HasPrefix(last, "-") || last == "|" || last == "&&" ||
		strings.HasPrefix(word, "-") || strings.HasPrefix(word, "'") || strings.ContainsAny(word, "/:=$|&<>…")
}

// quoted says whether a quote of a command is still open, as a shell reads it.
func quoted(command string) (open bool) {
	escaped := false
	for _, r := range command {
		if r == '\'' && !escaped {
			open = !open
		}
		escaped = r == '\\' && !escaped && !open
	}
	return open
}

// columns is how wide a text is at most: letters of Asia and signs like ticks may
// take two, and a colour none.
func columns(text string) (n int) {
	painting := false
	for _, r := range text {
		switch {
		case r == '\x1b':
			painting = true
		case painting:
			painting = r != 'm'
		default:
			n += wide(r)
		}
	}
	return n
}

func wide(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r):
		return 0
	case r >= 0x1100 && r != '…':
		return 2
	}
	return 1
}

// Cut shortens a clean text to a number of columns.
func Cut(text string, most int) string {
	n := 0
	for i, r := range text {
		if n += wide(r); n > most {
			return text[:i]
		}
	}
	return text
}
