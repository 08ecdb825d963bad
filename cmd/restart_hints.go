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
	if fault.Instead != "" && fault.Command == nil {
		return "--restart " + quoted(fault.Instead)
	}
	for _, h := range []struct {
		kind error
		hint string // %s is the command
	}{
		{restart.ErrStopped, "start it: %s; or have the restart start it, without a proof of the old key beforehand: --server-down"},
		{restart.ErrPaused, "let it go on: %s"},
		{restart.ErrAbsent, "see what there is: %s"},
		{restart.ErrEnded, "its log says why: %s; mend that, and run this again"},
		{restart.ErrUnhealthy, "its health check says why: %s"},
		{restart.ErrDiffers, "where that is meant, bring it in first: %s"},
		{restart.ErrHalf, "remove it: %s"},
		{restart.ErrNoEngine, "see whether it runs, and whether this user may reach it: %s"},
		{restart.ErrFiles, "run it by hand to see why: %s"},
	} {
		if fault.Command != nil && errors.Is(fault, h.kind) {
			hint := fmt.Sprintf(h.hint, shellLine(fault.Command))
			if fault.Instead != "" {
				hint += "; or leave it out: --restart " + quoted(fault.Instead)
			}
			return hint
		}
	}
	switch {
	case errors.Is(fault, restart.ErrFixed):
		return "make it anew without that variable, and with the key in a mounted blnk.json"
	case errors.Is(fault, restart.ErrUnpublished):
		return "say where it can be asked: --server URL"
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
