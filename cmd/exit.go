package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/state"
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
	exitAround      = 8
	exitInterrupted = 130
)

// exits is the exit status table of a command: the codes that it can return,
// with what they mean there; "" is the meaning they have everywhere.
type exits map[int]string

func allExits() exits {
	return exits{
		exitOK:          "done, or nothing was due",
		exitFailed:      "failed; nothing is changed",
		exitUsage:       "usage or configuration error",
		exitPutBack:     "failed and put back; the old key is in force, and that was proved",
		exitStuck:       "a person is needed",
		exitHeld:        "another rotation holds the lock",
		exitCheck:       "a check did not pass",
		exitAround:      "rotated and proved, but something around it failed",
		exitInterrupted: "interrupted",
	}
}

// write prints the table as the end of a help text.
func (e exits) write(b *strings.Builder) {
	const indent = 7 // where the texts begin
	b.WriteString("\nExit Status:\n")
	for _, code := range slices.Sorted(maps.Keys(e)) {
		fmt.Fprintf(b, "  %-4d %s\n", code, wrap(cmp.Or(e[code], allExits()[code]), helpWidth-indent, indent))
	}
}

// An exitError attaches to an error what only the command line knows: an exit
// code, details worth a line each, and what to do next.
type exitError struct {
	code    int // 0: exitRules decide by err
	err     error
	details []string
	hint    string
}

// Error is the error's own text.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap returns the error itself.
func (e *exitError) Unwrap() error { return e.err }

// fail is an error with an exit code and a hint; code 0 leaves the code to
// exitRules, hint "" is none.
func fail(code int, err error, hint string) error {
	return &exitError{code: code, err: err, hint: hint}
}

// usage is an error of what was typed: exit 2.
func usage(hint, format string, args ...any) error {
	return fail(exitUsage, fmt.Errorf(format, args...), hint)
}

// helpHint is the hint where there is nothing better.
func helpHint(cmd *cobra.Command) string { return "see `" + cmd.CommandPath() + " --help`" }

// An exitRule gives the errors that match a code. Its hint is for errors that
// carry none.
type exitRule struct {
	match func(error) bool
	code  int
	hint  string
}

// exitRules is the one table from errors to exit codes; the first that matches
// counts. What matches none is exitFailed.
func exitRules() []exitRule {
	return []exitRule{
		// How a rotation ended counts before why.
		{is(rotate.ErrUndone), exitPutBack, ""},
		{is(rotate.ErrStuck), exitStuck, ""},
		{is(rotate.ErrUnrecorded), exitStuck, ""},
		{is(rotate.ErrJournal), exitStuck, ""},
		{is(rotate.ErrOtherStores), exitUsage, ""},
		{is(store.ErrDrift), exitCheck, ""},
		{is(rotate.ErrNotLive), exitCheck, ""},
		{is(rotate.ErrSourceNotLive), exitCheck, "find out which one is right (blnkctl verify), and name it with --from"},
		{is(rotate.ErrInterrupted), exitInterrupted, ""},
		{as[*interruptError], exitInterrupted, ""},
		{is(context.Canceled), exitInterrupted, ""}, // also while it waited for a lock
		{as[*flock.HeldError], exitHeld, ""},
		{is(target.ErrSpec), exitUsage, ""},
		{is(https.ErrPlaintext), exitUsage, ""},
		{is(state.ErrUnsafe), exitUsage, ""},
		{is(state.ErrNowhere), exitUsage, ""},
		{is(config.ErrUnsafe), exitUsage, ""},
		{is(config.ErrInvalid), exitUsage, ""},
		{is(config.ErrUnread), exitUsage, ""},
		{is(textfile.ErrTorn), exitFailed, "blnkctl rotate or keygen puts it right, run with the same --state-dir"},
		{is(fs.ErrPermission), exitFailed, "run with sudo, or as the user that owns it"},
	}
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// judge finds the code and the hint of an error.
func judge(err error) (code int, help string) {
	if e, ok := errors.AsType[*exitError](err); ok {
		code, help = e.code, e.hint
	}
	help = cmp.Or(help, hint.Of(err))
	for _, rule := range exitRules() {
		if !rule.match(err) {
			continue
		}
		if code = cmp.Or(code, rule.code); code == rule.code {
			help = cmp.Or(help, rule.hint)
		}
		break
	}
	return cmp.Or(code, exitFailed), help
}

// report prints the error, its details and its hint, and returns its code.
func (a *app) report(ctx context.Context, err error) int {
	code, help := judge(err)
	text := err.Error()
	if stop, ok := errors.AsType[*interruptError](context.Cause(ctx)); ok && code == exitInterrupted {
		text = stop.Error() // what it was in the middle of is beside the point
	}
	a.talk(red, "error:", text)
	if e, ok := errors.AsType[*exitError](err); ok {
		for _, d := range e.details {
			a.talk(plain, " ", d)
		}
	}
	if help != "" {
		a.talk(bold, "hint:", help)
	}
	return code
}

// lostOutput is the error of a command that did its work but could not print
// all of it (a full disk): for one that changed a key that is a thing around
// the rotation, for any other it is the failure of what it was asked for.
func (a *app) lostOutput(cmd *cobra.Command) error {
	err := a.out.lost()
	if err == nil {
		return nil
	}
	code := exitFailed
	if _, around := a.exits[cmd][exitAround]; around && cmd.HasParent() {
		code = exitAround
	}
	return fail(code, err, "")
}
