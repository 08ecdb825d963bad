// Package interrupt lets a signal end a command in order, and a second one at
// once.
package interrupt

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// An Error is the cause of a context that a signal ended.
type Error struct{ Signal os.Signal }

// Error names the signal as kill(1) does.
func (e *Error) Error() string {
	names := map[os.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGHUP: "SIGHUP"}
	return "interrupted (" + names[e.Signal] + ")"
}

// ErrInterrupted is every Error.
var ErrInterrupted = errors.New("interrupted")

// Is says that it is ErrInterrupted.
func (e *Error) Is(target error) bool { return target == ErrInterrupted }

// Exit is the exit status of what a signal ended.
const Exit = 130

// A last is what is left to do at a second signal.
type last struct {
	mu sync.Mutex // kept from the second signal on
	do []func()   // nil where it was withdrawn
}

type lastKey struct{}

// AtSecond has a second signal call do before it ends the process. ctx is the one of Run, or made of it. withdraw takes that back;
// after the second signal neither of the two returns, so that nothing new begins.
func AtSecond(ctx context.Context, do func()) (withdraw func()) {
	l, ok := ctx.Value(lastKey{}).(*last)
	if !ok {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.do = append(l.do, do)
	i := len(l.do) - 1
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.do[i] = nil
	}
}

// end calls what is left to do. It keeps the lock.
func (l *last) end(done chan<- struct{}) {
	l.mu.Lock()
	for _, do := range l.do {
		if do != nil {
			do()
		}
	}
	close(done)
}

// Run calls do and returns what it returns. From the moment that do calls catch, the
// first signal ends its context, with an *Error; a second one ends Run at once, with
// a word on stderr, whatever do is at, after what AtSecond was given. A closed pipe is
// an error of a write.
//
// Until then a signal ends the process as it ends any program: each one that is
// caught costs a start some 70 µs of 3 ms, mostly for the thread that gets it.
func Run(stderr io.Writer, do func(ctx context.Context, catch func()) int) int {
	left, ended := &last{}, make(chan struct{})
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), lastKey{}, left))
	defer cancel(nil)
	signals := make(chan os.Signal, 8)
	signal.Ignore(syscall.SIGPIPE)
	code := make(chan int, 1)
	go func() { code <- do(ctx, func() { catch(signals) }) }()
	var first time.Time
	second := false
	for {
		select {
		case c := <-code:
			if !second {
				return c
			}
		case <-ended:
			return Exit
		case s := <-signals:
			switch {
			case s == syscall.SIGPIPE: // the write has its error
			case first.IsZero():
				first = time.Now()
				cancel(&Error{s})
			case !second && isSecond(s, time.Since(first)):
				second = true
				_, _ = io.WriteString(stderr, "error: stopped at once by a second signal\n")
				go left.end(ended)
			}
		}
	}
}

// catch asks for the signals that end a command, and for SIGPIPE, which is ignored
// until then: a child would inherit that. A signal that was ignored at the start
// (nohup, a background job of a shell) stays ignored.
func catch(c chan<- os.Signal) {
	wanted := []os.Signal{syscall.SIGPIPE}
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			wanted = append(wanted, s)
		}
	}
	signal.Notify(c, wanted...)
}

// sameSignal is how far apart two signals are that were sent on purpose.
const sameSignal = 200 * time.Millisecond

// isSecond says whether a further signal, so long after the first, means "now".
// Some senders deliver one signal twice: timeout(1) to the child and to its
// group, a closed terminal to the job and through its shell. None of them may
// cut an undo short.
func isSecond(s os.Signal, after time.Duration) bool {
	return s != syscall.SIGHUP && after >= sameSignal
}

// Await returns what read returns, or the cause of ctx when that ends first: a
// read from a terminal or a pipe cannot be ended by a context. read then goes
// on until the process ends, and what it read is lost.
func Await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	got := make(chan result, 1)
	go func() {
		value, err := read()
		got <- result{value, err}
	}()
	select {
	case r := <-got:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// Sleep waits, or returns the cause of ctx when that ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
