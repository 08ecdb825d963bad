package rotate

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
)

// A busy restarter finds that a command of an earlier run still works.
type busy struct{ *world }

var errBusy = errors.New("a command is at work")

func (busy) Restart(context.Context) error { return fmt.Errorf("PID 4711: %w", errBusy) }

// While somebody else still restarts, nothing that is seen would last: no way is
// gone to its end, neither on nor back, and the journal stays.
func TestSomebodyElseRestarts(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*process) (Report, error)
		then Outcome
		keys string // what the stores hold meanwhile
	}{
		"forward": {forwards, Resumed, newKey.Reveal()},
		"back":    {aborts, RolledBack, oldKey.Reveal()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := resumable(t, Intent{})
				r := w.process(Intent{})
				r.drive(busy{w})
				r.Drivers[0].AtWork = errBusy
				res, err := c.do(r)
				if !errors.Is(err, ErrStuck) || !errors.Is(err, errBusy) || res.Outcome != Stuck || w.journal == nil {
					t.Fatalf("%+v, %v, journal %v; want stuck", res, err, w.journal != nil)
				}
				if w.keys[0].Reveal() != c.keys || w.keys[1].Reveal() != c.keys {
					t.Errorf("the stores hold %s, %s", w.keys[0].Name(), w.keys[1].Name())
				}
				// It has ended: the same command goes on.
				if res, _ = c.do(w.process(Intent{})); res.Outcome != c.then || w.journal != nil || w.server.key.Reveal() != c.keys {
					t.Errorf("%+v, journal %v, live %s; want %q", res, w.journal != nil, w.server.key.Name(), c.then)
				}
			})
		})
	}
}
