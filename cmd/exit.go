package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/doctor"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/ghactions"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/notify"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/status"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// Exit codes. Scripts rely on them: none changes its meaning.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPutBack     = 3
	exitStuck       = 4
	exitHeld        = 5
	exitCheck       = 6
	exitNotDue      = 7
	exitIncomplete  = 8
	exitInterrupted = interrupt.Exit
)

// An exitError attaches to an error what only the command line knows: an exit
// code, and what to do next.
type exitError struct {
	code int // 0: exitCodes decide by err
	err  error
	hint string // "": the error's own
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// fail is an error with an exit code and a hint; code 0 leaves the code to
// exitCodes, help "" the hint to the error.
func fail(code int, err error, help string) error {
	return &exitError{code: code, err: err, hint: help}
}

// usage is an error of what was typed: exit 2.
func usage(help, format string, args ...any) error {
	return fail(exitUsage, fmt.Errorf(format, args...), help)
}

// helpHint is the hint where there is nothing better.
func helpHint(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return "see `" + cmd.Name() + " help`"
	}
	return "see `" + cmd.CommandPath() + " --help`"
}

// sudoHint is for everybody but root.
const sudoHint = "run with sudo, or as the user that owns it"

// exitCodes is the one table from errors to exit codes; the first that matches
// counts: how a rotation ended before why. What matches none is exitFailed.
var exitCodes = []struct {
	code int
	errs []error
}{
	{exitCheck, []error{status.ErrBad, status.ErrUnknown}},
	{exitPutBack, []error{rotate.ErrUndone}},
	{exitStuck, []error{rotate.ErrStuck, rotate.ErrUnrecorded, rotate.ErrJournal, rotate.ErrUnfinished, store.ErrPartly}},
	{exitUsage, []error{rotate.ErrOtherStores, rotate.ErrOverlap, store.ErrUntold, ghactions.ErrUsage}},
	{exitIncomplete, []error{rotate.ErrLeft, rotate.ErrUnlogged, store.ErrUnwritten, rotate.ErrIncomplete, notify.ErrNotDelivered}},
	{exitCheck, []error{
		store.ErrDrift, store.ErrWeak, rotate.ErrCompromised, audit.ErrAltered, rotate.ErrNotLive, rotate.ErrSourceNotLive,
		rotate.ErrWaiting, probe.ErrAnswer, proof.ErrUnexpected, doctor.ErrFindings, proof.ErrNoKey,
	}},
	{exitInterrupted, []error{rotate.ErrInterrupted, interrupt.ErrInterrupted, context.Canceled}},
	{exitHeld, []error{flock.ErrHeld}},
	{exitUsage, []error{
		target.ErrSpec, reach.ErrNowhere, https.ErrPlaintext, state.ErrUnsafe, state.ErrNowhere, config.ErrUnsafe,
		config.ErrInvalid, config.ErrUnread, config.ErrTarget, keygen.ErrNoSource,
	}},
}

// classify finds the code and the hint of an error.
func classify(err error) (code int, help string) {
	for e, ok := errors.AsType[*exitError](err); ok && code == 0; e, ok = errors.AsType[*exitError](e.err) {
		code, help = e.code, cmp.Or(help, e.hint)
	}
	help = cmp.Or(help, hint.Of(err))
	for _, rule := range exitCodes {
		if code == 0 && slices.ContainsFunc(rule.errs, func(kind error) bool { return errors.Is(err, kind) }) {
			code = rule.code
		}
	}
	if code = cmp.Or(code, exitFailed); code <= exitUsage && errors.Is(err, fs.ErrPermission) {
		help = cmp.Or(help, sudoHint)
	}
	return code, help
}

// report prints the error, its details and its hint, and returns its code. With -o json
// the document says it too, where the command has printed none; an error of usage has
// none, nor has exec, whose stdout is another program's.
func (a *app) report(ctx context.Context, cmd *cobra.Command, err error) int {
	code, help := classify(err)
	if a.json() && code != exitUsage && !a.out.Begun && cmd.Name() != "exec" {
		_ = a.printJSON(struct { // err matters more
			Result string `json:"result"`
			Error  string `json:"error"`
		}{"failed", err.Error()})
	}
	if help == "" && code == exitUsage {
		help = helpHint(cmd)
	}
	if help == sudoHint && a.env.UID == 0 {
		help = ""
	}
	text, details := hint.Lines(err)
	if stop, ok := errors.AsType[*interrupt.Error](context.Cause(ctx)); ok && code == exitInterrupted {
		text = stop.Error() // what it was in the middle of is beside the point
	}
	a.env.Stderr.Tell(screen.Red, "error:", text)
	for _, d := range details {
		a.env.Stderr.Tell(screen.Plain, " ", d)
	}
	if help != "" {
		a.env.Stderr.Tell(screen.Bold, "hint:", help)
	}
	return code
}

// lostOutput is the error of a command that did its work but could not print
// all of it (a full disk): where that changed something it is a thing beside
// the rotation, else it is the failure of what was asked for.
func (a *app) lostOutput() error {
	err := a.out.Lost()
	if err != nil && a.changed {
		return fail(exitIncomplete, err, "")
	}
	return err
}
