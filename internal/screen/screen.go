// Package screen makes text fit for a person's terminal: nothing in it is obeyed
// by the terminal or hidden, no key of our own form is in it, and it is broken
// between words. Much of what is shown comes from elsewhere: the names of hooks,
// the output of a restart, what a server answers.
package screen

import (
	"fmt"
	"strings"
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
