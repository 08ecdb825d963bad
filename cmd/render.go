package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/internal/screen"
)

// say prints a line of talk to stderr; -q silences it.
func (a *app) say(format string, args ...any) {
	if !a.global.quiet {
		_, _ = fmt.Fprintln(a.env.Stderr, screen.Clean(fmt.Sprintf(format, args...)))
	}
}

// warn prints a warning to stderr, with -q too.
func (a *app) warn(format string, args ...any) {
	a.talk(yellow, "warning:", fmt.Sprintf(format, args...))
}

// talk prints a text to stderr behind its name; its further lines are indented,
// which keeps it apart from the next message.
func (a *app) talk(c colour, name, text string) {
	text = strings.ReplaceAll(strings.TrimRight(screen.Clean(text), "\n"), "\n", "\n  ")
	_, _ = fmt.Fprintf(a.env.Stderr, "%s %s\n", a.paint(c, name), text)
}

// print prints data to stdout. A reader who left early has what it wanted; who
// cannot do without an arrived output asks a.out.Failed as well.
func (a *app) print(text string) error {
	_, _ = a.out.Write([]byte(text))
	return a.out.Lost()
}

// json says whether -o json was given.
func (a *app) json() bool { return a.global.output == "json" }

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
