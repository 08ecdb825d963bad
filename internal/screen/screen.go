// Package screen makes text fit for a person's terminal: nothing in it is obeyed
// by the terminal or hidden, no key of our own form is in it, and it is broken
// between words. Much of what is shown comes from elsewhere: the names of hooks,
// the output of a restart, what a server answers.
package screen

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/secret"
)

// Width is how wide texts may be: the classic terminal.
const Width = 80

// Clean escapes every control character but line ends and tabs, and masks keys.
func Clean(text string) string { return secret.MaskOwn(escape(text, "\n\t")) }

// CleanLine is Clean for what has to stay on its line.
func CleanLine(text string) string { return secret.MaskOwn(escape(text, "")) }

func escape(text, keep string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r < ' ' && strings.ContainsRune(keep, r):
			b.WriteRune(r)
		case r == utf8.RuneError && n == 1, r < utf8.RuneSelf && unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp): // controls, and what turns or joins letters
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// Wrap breaks a text between words into lines of a width, all but the first
// indented.
func Wrap(text string, width, indent int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
		case column+1+len(word) > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// Table aligns the columns of clean rows, two spaces apart. Blanks at the end of a
// line are left out.
func Table(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i := range row {
			row[i] = CleanLine(row[i])
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "%-*s", widths[i]+2, cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// Items writes clean items behind a name.
func Items(b *strings.Builder, name, format string, items []string) {
	for _, item := range items {
		fmt.Fprintf(b, "  %-10s %s\n", name, CleanLine(fmt.Sprintf(format, item)))
		name = ""
	}
}

// Notes writes clean texts: what is to be known of a plan, one to a line or wrapped.
func Notes(b *strings.Builder, name string, texts []string, wrapped bool) {
	for _, text := range texts {
		if text = CleanLine(text); wrapped {
			text = Wrap(text, Width-len(name), len(name))
		}
		b.WriteString(name + text + "\n")
	}
}

// Time shows a time as people compare them.
func Time(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	}
	return d.Round(100 * time.Millisecond).String()
}

// JSON is a document as people read it.
func JSON(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("write JSON: %w", err)
	}
	return b.String(), nil
}

// A Colour is the number of an SGR escape sequence (ECMA-48).
type Colour int

// The colours.
const (
	Plain  Colour = 0
	Bold   Colour = 1
	Red    Colour = 31
	Yellow Colour = 33
)

// Paint colours a text.
func (c Colour) Paint(text string) string {
	if c == Plain {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", c, text)
}
