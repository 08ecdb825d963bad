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
	took   func(context.Context, restart.Driver) error
}

var _ restart.Driver = watched{}

// Restart is the driver's, and a look at what it has made.
func (w watched) Restart(ctx context.Context) error {
	err := w.Driver.Restart(ctx)
	if err == nil {
		err = w.took(ctx, w.Driver)
	}
	w.failed(err)
	if errors.Is(err, restart.ErrAtWork) {
		return atWork{err}
	}
	return err
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
