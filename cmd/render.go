package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/screen"
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

// printJSON prints v as the one document of -o json.
func (a *app) printJSON(v any) error {
	text, err := screen.JSON(v)
	if err != nil {
		return err
	}
	return a.print(text)
}

// canAsk says whether there is a person to ask.
func (a *app) canAsk() bool {
	return a.env.StdinTTY && a.env.Stderr.Look.Terminal() && !a.global.noInput
}

// confirm asks a question that wants yes or no; anything but y or yes is an error.
// The caller has made sure that there is somebody to ask.
func (a *app) confirm(ctx context.Context, question string) error {
	_, _ = fmt.Fprintf(a.env.Stderr, "%s [y/N] ", question)
	line, err := interrupt.Await(ctx, func() (string, error) { return bufio.NewReader(a.env.Stdin).ReadString('\n') })
	if ctx.Err() != nil {
		_, _ = io.WriteString(a.env.Stderr, "\n")
		return err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errors.New("not confirmed; nothing is changed")
}

// askHidden asks for a secret, which is not shown while it is typed.
func (a *app) askHidden(ctx context.Context, prompt string) (string, error) {
	text, err := a.env.ReadHidden(ctx, func() { _, _ = io.WriteString(a.env.Stderr, prompt) })
	_, _ = io.WriteString(a.env.Stderr, "\n") // the one that was typed is not shown either
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("read the answer: %w", err)
	}
	return text, err
}
