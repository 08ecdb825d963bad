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

	"github.com/blnkctl/blnkctl/internal/flock"
	hints "github.com/blnkctl/blnkctl/internal/hint"
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
	all := allExits()
	b.WriteString("\nExit Status:\n")
	for _, code := range slices.Sorted(maps.Keys(e)) {
		text := e[code]
		if text == "" {
			text = all[code]
		}
		fmt.Fprintf(b, "  %-4d %s\n", code, wrap(text, helpWidth-tableIndent, tableIndent))
	}
}

// tableIndent is where the texts of the table begin.
const tableIndent = 7

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

// An exitRule gives the errors that match a code, and a hint for where the
// command gave none.
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
		{is(state.ErrUnsafe), exitUsage, "make it private with `chmod 700`, or name another one with --state-dir"},
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
func judge(err error) (code int, hint string) {
	hinted := hints.Of(err)
	if e, ok := errors.AsType[*exitError](err); ok {
		code, hint = e.code, e.hint
	}
	for _, rule := range exitRules() {
		if !rule.match(err) {
			continue
		}
		if code == 0 {
			code = rule.code
		}
		if hint == "" && code == rule.code {
			hint = cmp.Or(hinted, rule.hint)
		}
		break
	}
	if code == 0 {
		code = exitFailed
	}
	return code, cmp.Or(hint, hinted)
}

// report prints the error, its details and its hint, and returns its code.
func (a *app) report(ctx context.Context, err error) int {
	code, hint := judge(err)
	var text string
	if stop, ok := errors.AsType[*interruptError](context.Cause(ctx)); ok && code == exitInterrupted {
		text = stop.Error() // what it was in the middle of is beside the point
	} else {
		text = err.Error()
	}
	var details []string
	if e, ok := errors.AsType[*exitError](err); ok {
		details = e.details
	}
	stderr := a.env.Stderr
	_, _ = fmt.Fprintf(stderr, "%s %s\n", a.paint(red, "error:"), indent(text))
	for _, d := range details {
		_, _ = fmt.Fprintf(stderr, "  %s\n", indent(d))
	}
	if hint != "" {
		_, _ = fmt.Fprintf(stderr, "%s %s\n", a.paint(bold, "hint:"), indent(hint))
	}
	return code
}

// indent keeps a text of several lines apart from the next message.
func indent(text string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
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
