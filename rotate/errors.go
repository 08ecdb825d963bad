package rotate

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// Errors that a caller takes a decision on. All but ErrUndone and ErrStuck mean
// that nothing was changed.
var (
	// ErrNotLive: a server answers, and the stored key is not its master key.
	ErrNotLive = errors.New("the stored key is not the live master key")
	// ErrOpen: a server lets a random key in: secure mode is off.
	ErrOpen = errors.New("secure mode is off")
	// ErrSilent: a server gives no answer that proves anything.
	ErrSilent = errors.New("no usable answer")
	// ErrStale: a server goes on with the other key.
	ErrStale = errors.New("it was not restarted, or something wins over the store")
	// errNotRestarted: the process that listens for it is the one from before.
	errNotRestarted = errors.New("it was not restarted")
	// ErrElsewhere: a server takes neither of the two keys.
	ErrElsewhere = errors.New("it takes its key from somewhere else")
	// ErrSourceNotLive: the servers run the key of a copy, and not that of the
	// source of truth. Which of the two is right is for a person to say.
	ErrSourceNotLive = errors.New("the source of truth is not the live key, and a copy is")
	// ErrUnknownAge: the key was never seen before, and Intent.IfUnknown is
	// FailUnknown.
	ErrUnknownAge = errors.New("the age of the key is not known")
	// ErrOtherStores: the open rotation is about other stores than this run.
	ErrOtherStores = errors.New("an open rotation has other stores")
	// ErrJournal: the journal cannot be read: damaged, or another version's.
	ErrJournal = errors.New("the journal cannot be used")
	// ErrInterrupted: a signal came before the first effect.
	ErrInterrupted = errors.New("interrupted")
	// ErrTooLate: Abort of a rotation that had been proved and only lacked its
	// record, which it has now.
	ErrTooLate = errors.New("too late to undo: the new key was live and proved already")

	// ErrWaiting: a rotation that was put back waits for its next try. Whoever runs it
	// from cron is to hear of it until it is mended.
	ErrWaiting = errors.New("")
	// ErrIncomplete: it is no reason to put anything back.
	ErrIncomplete = errors.New("done and proved, but something around it needs you: see the warnings")

	// States of an *EndError: put back, and the old key was proved; a person is
	// needed, and the journal is kept; or the key is live and proved, and the next
	// run only has to record it.
	ErrUndone     = errors.New("put back")
	ErrStuck      = errors.New("a person is needed")
	ErrUnrecorded = errors.New("proved, but not recorded")
)

// An EndError tells how a rotation ended that had an effect: State is ErrUndone,
// ErrStuck or ErrUnrecorded, Cause is what went wrong first, and Details say
// what a person should look at.
type EndError struct {
	State   error
	Cause   error
	Details []string
	// Advice is what else a person should know, and Help what to do next.
	Advice []string
	Help   string
}

// Error gives the cause; the state is for the caller to phrase.
func (e *EndError) Error() string {
	return strings.Join(append([]string{cmp.Or(e.Cause, e.State).Error()}, e.Details...), "; ")
}

// Unwrap hands out both, so that errors.Is finds the state and the cause.
func (e *EndError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.State}
	}
	return []error{e.State, e.Cause}
}

// interrupted is what a run ends with before the first effect when ctx is done.
func interrupted(ctx context.Context) error {
	cause := context.Cause(ctx)
	if cause == nil || errors.Is(cause, context.Canceled) {
		return ErrInterrupted
	}
	return hint.As(ErrInterrupted, "%w", cause)
}

// oneLine makes an error fit for a list or a record: its first line, not too
// long.
func oneLine(text string) string {
	const most = 500
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
