// Package screen makes text fit for a person's terminal: nothing in it is obeyed
// by the terminal or hidden, no key of our own form is in it, and it is broken
// between words. Talk is what is told to a person, and Look how a text looks where it
// goes. Much of what is shown comes from elsewhere: the names of hooks, the output of
// a restart, what a server answers.
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

// Clean escapes every control character but line ends and tabs, and masks keys.
func Clean(text string) string { return secret.MaskOwn(escape(text, "\n\t")) }

// CleanLine is Clean for what has to stay on its line.
func CleanLine(text string) string { return secret.MaskOwn(escape(text, "")) }

func escape(text, keep string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return text // as nearly all are
	}
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

// Table aligns the columns of clean rows, two spaces apart; the first row names them.
// Blanks at the end of a line are left out. Where it is wider than the terminal, each
// cell has a line of its own. paint colours a cell by its text; nil colours none.
func (l Look) Table(rows [][]string, paint func(cell string) Colour) string {
	widths, width := make([]int, len(rows[0])), 0
	for _, row := range rows {
		for i := range row {
			row[i] = CleanLine(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for _, n := range widths {
		width += n + 2
	}
	cell := func(text string, width int) string {
		padding := strings.Repeat(" ", width-utf8.RuneCountInString(text))
		if paint != nil {
			text = l.Paint(paint(text), text)
		}
		return text + padding
	}
	var b strings.Builder
	if l.Terminal() && width-2 > l.columns() {
		for n, row := range rows[1:] {
			if n > 0 && row[0] != "" {
				b.WriteByte('\n')
			}
			for i, text := range row {
				if text != "" {
					fmt.Fprintf(&b, "%-12s %s\n", rows[0][i], cell(text, utf8.RuneCountInString(text)))
				}
			}
		}
		return b.String()
	}
	for _, row := range rows {
		var line strings.Builder
		for i, text := range row {
			line.WriteString(cell(text, widths[i]) + "  ")
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
