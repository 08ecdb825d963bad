package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/state"
)

func TestJudge(t *testing.T) {
	held := &flock.HeldError{Path: "/srv"}
	for _, test := range []struct {
		err  error
		code int
		hint bool
	}{
		{errors.New("something"), exitFailed, false},
		{fmt.Errorf("open: %w", fs.ErrPermission), exitFailed, true},
		{fmt.Errorf("lock: %w", held), exitHeld, false},
		{fmt.Errorf("%w: %w", held, context.Canceled), exitInterrupted, false},
		{fmt.Errorf("server: %w", https.ErrPlaintext), exitUsage, true},
		{fmt.Errorf("state: %w", hint.Add(state.ErrUnsafe, "chmod")), exitUsage, true},
		{usage("", "wrong"), exitUsage, false},
		{usage("do it so", "wrong"), exitUsage, true},
		// A command's own word comes before the table's.
		{fail(exitStuck, held, ""), exitStuck, false},
		{fail(0, held, "wait"), exitHeld, true},
		{fmt.Errorf("more: %w", fail(exitCheck, errors.New("differs"), "")), exitCheck, false},
	} {
		code, hint := judge(test.err)
		if code != test.code || (hint != "") != test.hint {
			t.Errorf("%v: exit status %d, hint %q; want %d, %v", test.err, code, hint, test.code, test.hint)
		}
	}
}

func TestIsSecond(t *testing.T) {
	for _, test := range []struct {
		signal os.Signal
		after  time.Duration
		want   bool
	}{
		{syscall.SIGINT, time.Second, true},
		{syscall.SIGTERM, time.Minute, true},
		{syscall.SIGINT, sameSignal, true},
		// timeout(1) signals the child and then its group.
		{syscall.SIGTERM, time.Millisecond, false},
		// A closed terminal comes through the shell once more.
		{syscall.SIGHUP, time.Second, false},
	} {
		if got := isSecond(test.signal, test.after); got != test.want {
			t.Errorf("%v after %v: %v, want %v", test.signal, test.after, got, test.want)
		}
	}
}
