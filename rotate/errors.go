package rotate

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// Errors that a caller takes a decision on. Without one of the last three nothing was
// changed, but for ErrTooLate and ErrIncomplete.
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

	// How a rotation ended that had an effect: put back, and the old key was proved; a person is
	// needed, and the journal is kept; or the key is live and proved, and the next
	// run only has to record it.
	ErrUndone     = errors.New("put back")
	ErrStuck      = errors.New("a person is needed")
	ErrUnrecorded = errors.New("proved, but not recorded")
)

// An endError is what a rotation ends with that had an effect: it is its state (ErrUndone,
// ErrStuck or ErrUnrecorded) and what went wrong first.
type endError struct {
	error
	// details are what a person should look at, advice is what else one should know, and
	// help what to do next.
	details, advice []string
	help            string
}

// Error gives the cause and the details; the state is for the caller to phrase.
func (e *endError) Error() string {
	return strings.Join(append([]string{e.error.Error()}, e.details...), "; ")
}

func (e *endError) Unwrap() error { return e.error }

// Hint is what helps.
func (e *endError) Hint() string { return e.help }

// Lines are the error for a person, one thing to a line.
func (e *endError) Lines() (head string, details []string) {
	head = e.error.Error()
	for _, d := range slices.Concat(e.details, e.advice) {
		switch d { // a rotation that is stuck has often failed twice, for the same reason
		case head:
		case "undo: " + head:
			details = append(details, "the undo failed in the same way")
		default:
			details = append(details, d)
		}
	}
	return head, details
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
