package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/secret"
)

// What a person sees has passed clean, here: much of it comes from elsewhere (the
// names of hooks, the output of a restart, what a server answers). JSON stays
// exact, but for a key.

// clean shows what a terminal would obey or hide, and masks keys of our own form.
func clean(text string) string {
	return secret.MaskOwn(escape(text, "\n\t"))
}

// cleanLine is clean for what has to stay on its line.
func cleanLine(text string) string { return secret.MaskOwn(escape(text, "")) }

func escape(text, keep string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r < ' ' && strings.ContainsRune(keep, r):
			b.WriteRune(r)
		case r < utf8.RuneSelf && unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp): // controls, and what turns or joins letters
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// say prints a line of talk to stderr; -q silences it.
func (a *app) say(format string, args ...any) {
	if !a.global.quiet {
		_, _ = fmt.Fprintln(a.env.Stderr, clean(fmt.Sprintf(format, args...)))
	}
}

// warn prints a warning to stderr, with -q too.
func (a *app) warn(format string, args ...any) {
	a.talk(yellow, "warning:", fmt.Sprintf(format, args...))
}

// talk prints a text to stderr behind its name; its further lines are indented,
// which keeps it apart from the next message.
func (a *app) talk(c colour, name, text string) {
	text = strings.ReplaceAll(strings.TrimRight(clean(text), "\n"), "\n", "\n  ")
	_, _ = fmt.Fprintf(a.env.Stderr, "%s %s\n", a.paint(c, name), text)
}

// print prints data to stdout. A reader who left early has what it wanted; who
// cannot do without an arrived output asks a.out.failed as well.
func (a *app) print(text string) error {
	_, _ = a.out.Write([]byte(text))
	return a.out.lost()
}

// json says whether -o json was given.
func (a *app) json() bool { return a.global.output.value == "json" }

// printJSON prints v as the one document of -o json.
func (a *app) printJSON(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return a.print(b.String())
}

// printTable prints rows with their columns aligned, two spaces apart. Blanks
// at the end of a line are left out.
func (a *app) printTable(rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i := range row {
			row[i] = cleanLine(row[i])
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
	return a.print(b.String())
}

// wrap breaks a text between words into lines of a width, all but the first
// indented.
func wrap(text string, width, indent int) string {
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

// A colour is the number of an SGR escape sequence (ECMA-48).
type colour int

const (
	plain  colour = 0
	bold   colour = 1
	red    colour = 31
	yellow colour = 33
)

// paint colours a text for stderr: on a terminal only, and never with NO_COLOR
// (no-color.org) or a terminal that knows no colours.
func (a *app) paint(c colour, text string) string {
	if c == plain || !a.env.StderrTTY || a.env.Getenv("NO_COLOR") != "" || a.env.Getenv("TERM") == "dumb" {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", c, text)
}
