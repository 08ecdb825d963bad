package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
)

// A watched driver hands on what a failed restart printed: the error of a
// command names only how it ended, and the reason stands in its output.
type watched struct {
	restart.Driver
	failed func(error)
}

var (
	_ restart.Driver  = watched{}
	_ restart.Checker = watched{}
	_ restart.Locator = watched{}
)

// Restart is the driver's.
func (w watched) Restart(ctx context.Context) error {
	err := w.Driver.Restart(ctx)
	w.failed(err)
	if errors.Is(err, restart.ErrAtWork) {
		return atWork{err}
	}
	return err
}

// Check is the driver's, where it has one.
func (w watched) Check(ctx context.Context) error {
	c, ok := w.Driver.(restart.Checker)
	if !ok {
		return nil
	}
	err := c.Check(ctx)
	w.failed(err)
	return err
}

// Servers are the driver's, where it knows of any.
func (w watched) Servers(ctx context.Context) ([]string, error) {
	if l, ok := w.Driver.(restart.Locator); ok {
		return l.Servers(ctx)
	}
	return nil, nil
}

// atWork is restart.ErrAtWork as the engine, which knows no driver, looks for
// it.
type atWork struct{ error }

func (e atWork) Is(target error) bool { return target == rotate.ErrAtWork }
func (e atWork) Unwrap() error        { return e.error }

// keepOutput remembers the output of a command that failed, keys masked. The
// way back often fails with the same words: they are said once.
func (s *session) keepOutput(err error) {
	exit, ok := errors.AsType[*run.ExitError](err)
	if !ok {
		return
	}
	text := lastLines(exit.Result.Output)
	if text != "" && !slices.Contains(s.outputs, text) {
		s.outputs = append(s.outputs, text)
	}
}

// outputDetails shows the outputs below an error.
func (s *session) outputDetails() []string {
	var details []string
	for _, text := range s.outputs {
		details = append(details, "the output of the restart:\n  "+strings.ReplaceAll(text, "\n", "\n  "))
	}
	return details
}

// lastLines leaves what fits on a screen: a command that fails says why at its
// end.
func lastLines(text string) string {
	const most = 20
	lines := strings.Split(strings.TrimRight(text, " \t\r\n"), "\n")
	if n := len(lines) - most; n > 0 {
		lines = slices.Insert(lines[n:], 0, fmt.Sprintf("(%d lines before these are left out)", n))
	}
	return strings.Join(lines, "\n")
}
