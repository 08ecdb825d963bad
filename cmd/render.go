package cmd

import (
	"context"
	"fmt"

	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/secret"
)

// say prints a line of talk to stderr; -q silences it.
func (a *app) say(format string, args ...any) {
	if !a.global.quiet {
		a.env.Stderr.Say(fmt.Sprintf(format, args...))
	}
}

// warn prints a warning to stderr, with -q too.
func (a *app) warn(format string, args ...any) {
	a.env.Stderr.Tell(screen.Yellow, "warning:", fmt.Sprintf(format, args...))
}

// print prints data to stdout. A reader who left early has what it wanted; who
// cannot do without an arrived output asks a.out.Failed as well.
func (a *app) print(text string) error {
	_, _ = a.out.Write([]byte(text))
	return a.out.Lost()
}

// json says whether -o json was given.
func (a *app) json() bool { return a.global.output == "json" }

// printJSON prints v as the one document of -o json, without a key in it.
func (a *app) printJSON(v any) error {
	text, err := screen.JSON(v)
	if err != nil {
		return err
	}
	return a.print(secret.MaskOwn(text))
}

// show prints what was asked for, as JSON or as text.
func (a *app) show(doc any, text string) error {
	if a.json() {
		return a.printJSON(doc)
	}
	return a.print(text)
}

// result prints what came of something: -q silences the text, not the exit status.
func (a *app) result(doc any, text string) error {
	if a.global.quiet && !a.json() {
		return nil
	}
	return a.show(doc, text)
}

// confirm asks a question that wants yes.
func (a *app) confirm(question string) func(context.Context) error {
	return func(ctx context.Context) error { return a.env.Stderr.Confirm(ctx, a.env.Stdin, question) }
}

// canAsk says whether there is a person to ask.
func (a *app) canAsk() bool {
	return a.env.Terminal != nil && a.env.Stderr.Look.Terminal() && !a.global.noInput
}
