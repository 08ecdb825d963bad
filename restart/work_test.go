package restart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/run"
)

// A command stands in the file for as long as it runs, before it does anything.
func TestWorkNamesItself(t *testing.T) {
	w := Work(filepath.Join(t.TempDir(), "restart"))
	_, err := w.Run(t.Context(), "sh:it", run.Cmd{Args: []string{"sh", "-c", `read pid start <"$0" && test "$pid" = $$`, string(w)}})
	if err != nil || w.Left() != nil {
		t.Errorf("%v, left %v", err, w.Left())
	}
}

// sleeper is the file of a command that never ends by itself.
func sleeper(t *testing.T) (w Work, ended <-chan error) {
	t.Helper()
	w = Work(filepath.Join(t.TempDir(), "restart"))
	begun := filepath.Join(t.TempDir(), "begun")
	if err := syscall.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	done := make(chan error, 1)
	go func() {
		_, err := w.Run(ctx, "sh:sleep", run.Cmd{Args: []string{"sh", "-c", `echo >"$0"; exec sleep 600`, begun}})
		done <- err
	}()
	if _, err := os.ReadFile(begun); err != nil || w.Left() == nil {
		t.Fatalf("%v, left %v", err, w.Left())
	}
	return w, done
}

func TestSettle(t *testing.T) {
	w, ended := sleeper(t)
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }

	// A signal ends the waiting, and not the command.
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if err := w.Settle(ctx, time.Minute, say); err == nil || err.Error() != "enough" || w.Left() == nil {
		t.Fatalf("%v, left %v", err, w.Left())
	}
	if err := w.Settle(t.Context(), time.Millisecond, say); err != nil || w.Left() != nil {
		t.Errorf("%v, left %v", err, w.Left())
	}
	exit, ok := errors.AsType[*run.ExitError](<-ended)
	if !ok || exit.Result.Signal != "terminated" {
		t.Errorf("%v", exit)
	}
	if all := strings.Join(said, "\n"); !strings.Contains(all, "PID ") || !strings.Contains(all, "'sh:sleep'") || !strings.Contains(all, "ending it") {
		t.Error(all)
	}
}

// What does not name a process that runs names none.
func TestLeft(t *testing.T) {
	own := fmt.Sprintf("%d %s\n", os.Getpid(), listener.StartOf(os.Getpid()))
	for text, runs := range map[string]bool{
		own + "sh:it\n": true, own + "sh:two\nlines\n": true,
		"": false, own[:len(own)-3]: false, own: false, "1 x\nsh:it\n": false,
		fmt.Sprintf("%d another boot\nsh:it\n", os.Getpid()): false,
		fmt.Sprintf("%d \nsh:it\n", os.Getpid()):             false,
	} {
		w := Work(filepath.Join(t.TempDir(), "restart"))
		if err := os.WriteFile(string(w), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if left := w.Left(); (left != nil) != runs {
			t.Errorf("%q: %v", text, left)
		}
	}
}
