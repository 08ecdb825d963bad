package interrupt

import (
	"os"
	"syscall"
	"testing"
	"time"
)

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
