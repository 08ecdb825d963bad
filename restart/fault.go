package restart

import (
	"errors"
	"fmt"
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
