package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/blnkctl/blnkctl/internal/interrupt"
)

// canAsk says whether there is a person to ask.
func (a *app) canAsk() bool {
	return a.env.StdinTTY && a.env.StderrTTY && !a.global.noInput
}

// confirm asks a question that wants yes or no; anything but y or yes is an error.
// flag is what answers it where there is nobody to ask.
func (a *app) confirm(ctx context.Context, question, flag string) error {
	if !a.canAsk() {
		return usage("say it with "+flag, "cannot ask %q: no terminal", question)
	}
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

// askHidden asks for a secret, which is not shown while it is typed. The caller
// has made sure that there is somebody to ask.
func (a *app) askHidden(ctx context.Context, prompt string) (string, error) {
	_, _ = io.WriteString(a.env.Stderr, prompt)
	text, err := a.env.ReadHidden(ctx)
	_, _ = io.WriteString(a.env.Stderr, "\n") // the one that was typed is not shown either
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("read the answer: %w", err)
	}
	return text, err
}
