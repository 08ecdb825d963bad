package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/restart"
)

// restartHint says what helps with a restart that cannot work, or did not: the
// driver names the command, and the kind of its fault what it is good for. ""
// where the error is another one.
func restartHint(err error) string {
	fault, ok := errors.AsType[*restart.Fault](err)
	if !ok {
		return ""
	}
	if fault.Instead != "" {
		return "--restart " + quoted(fault.Instead)
	}
	for _, h := range []struct {
		kind error
		hint string // %s is the command
	}{
		{restart.ErrStopped, "start it: %s; where it is stopped on purpose, add --server-down"},
		{restart.ErrPaused, "let it go on: %s"},
		{restart.ErrAbsent, "see what there is: %s"},
		{restart.ErrEnded, "its log says why: %s; mend that, and run this again"},
		{restart.ErrDiffers, "where that is meant, bring it in first: %s"},
		{restart.ErrNoEngine, "see whether it runs, and whether this user may reach it: %s"},
		{restart.ErrFiles, "run it by hand to see why: %s"},
	} {
		if fault.Command != nil && errors.Is(fault, h.kind) {
			return fmt.Sprintf(h.hint, shellLine(fault.Command))
		}
	}
	switch {
	case errors.Is(fault, restart.ErrFixed):
		return "make it anew without that variable, and with the key in a mounted blnk.json"
	case errors.Is(fault, restart.ErrNoTool):
		return "install it, or put it into PATH"
	}
	return ""
}

// shellLine is a command as a person types it.
func shellLine(args []string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-"
	words := make([]string, len(args))
	for i, arg := range args {
		if words[i] = arg; arg == "" || strings.Trim(arg, plain) != "" {
			words[i] = quoted(arg)
		}
	}
	return strings.Join(words, " ")
}
