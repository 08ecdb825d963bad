package restart

import (
	"errors"
	"fmt"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// What a Fault is about.
var (
	// ErrStopped: a unit, service or container does not run; Restart would start it.
	ErrStopped = errors.New("does not run")
	// ErrPaused: a restart would let it go on.
	ErrPaused = errors.New("is paused")
	// ErrAbsent: there is none of that name.
	ErrAbsent = errors.New("not there")
	// ErrEnded: it did not come up, or does not stay up.
	ErrEnded = errors.New("does not come up")
	// ErrUnhealthy: its health check fails already.
	ErrUnhealthy = errors.New("is unhealthy")
	// ErrUnpublished: its server cannot be asked at an address of this host.
	ErrUnpublished = errors.New("publishes no port")
	// ErrFixed: it was made with a key that no restart replaces.
	ErrFixed = errors.New("was made with the key")
	// ErrDiffers: it is not what the files say now, so that making it anew would
	// bring in more than another key.
	ErrDiffers = errors.New("recreating it would change more than the key")
	// ErrHalf: a Compose that was killed has left a container beside it.
	ErrHalf = errors.New("has a half made container beside it")
	// ErrNoBlnk: nothing of Blnk is among what was named.
	ErrNoBlnk = errors.New("does not run Blnk")
	// ErrNoEngine: the Docker engine cannot be reached.
	ErrNoEngine = errors.New("the Docker engine cannot be reached")
	// ErrFiles: Compose cannot read the files of its project.
	ErrFiles = errors.New("Compose cannot read its files")
	// ErrNoTool: the command that the driver runs is not on this machine.
	ErrNoTool = errors.New("cannot be run")
)

// A Fault is why a driver cannot work, with what helps.
type Fault struct {
	// Kind is one of the errors above.
	Kind error
	// Text says it.
	Text string
	// Command mends it or tells more, as a list; nil where none is known.
	Command []string
	// Instead is the reference of a driver that can do it; "" for none.
	Instead string
}

// Error is Text.
func (f *Fault) Error() string { return f.Text }

// Unwrap returns Kind.
func (f *Fault) Unwrap() error { return f.Kind }

// fault is an error that a command helps with.
func fault(kind error, command []string, format string, args ...any) error {
	return &Fault{Kind: kind, Command: command, Text: fmt.Sprintf(format, args...)}
}

// Hint says what helps.
func (f *Fault) Hint() string {
	if f.Instead != "" && f.Command == nil {
		return "--restart " + hint.Quote(f.Instead)
	}
	for _, h := range []struct {
		kind error
		hint string // %s is the command
	}{
		{ErrStopped, "start it: %s; or have the restart start it, without a proof of the old key beforehand: --server-down"},
		{ErrPaused, "let it go on: %s"},
		{ErrAbsent, "see what there is: %s"},
		{ErrEnded, "its log says why: %s; mend that, and run this again"},
		{ErrUnhealthy, "its health check says why: %s"},
		{ErrDiffers, "where that is meant, bring it in first: %s"},
		{ErrHalf, "remove it: %s"},
		{ErrNoEngine, "see whether it runs, and whether this user may reach it: %s"},
		{ErrFiles, "run it by hand to see why: %s"},
	} {
		if f.Command != nil && errors.Is(f, h.kind) {
			text := fmt.Sprintf(h.hint, hint.Command(f.Command...))
			if f.Instead != "" {
				text += "; or leave it out: --restart " + hint.Quote(f.Instead)
			}
			return text
		}
	}
	switch {
	case errors.Is(f, ErrFixed):
		return "recreate it without that variable, and with the key in a mounted blnk.json"
	case errors.Is(f, ErrUnpublished):
		return "say where it can be asked: --server URL"
	case errors.Is(f, ErrNoTool):
		return "install it, or put it into PATH"
	}
	return ""
}
