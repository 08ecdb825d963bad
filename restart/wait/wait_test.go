package wait_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/restart/wait"
)

var schemes = restart.Schemes{"manual": wait.Manual(), "wait": wait.Scheme()}

func open(t *testing.T, ref string, opt restart.Options) restart.Driver {
	t.Helper()
	scheme, place, err := schemes.Find(ref)
	if err != nil {
		t.Fatal(err)
	}
	if scheme.WorkersProved {
		t.Errorf("%s: nothing is known of the workers", ref)
	}
	d, err := scheme.Open(place, opt)
	if err != nil {
		t.Fatal(err)
	}
	if d.String() != ref {
		t.Errorf("String() = %q, want %q", d, ref)
	}
	return d
}

func TestRefused(t *testing.T) {
	for ref, want := range map[string]string{
		"wait:30s":      `restart reference "wait:30s": nothing may stand behind "wait:"`,
		"manual:please": `restart reference "manual:please": nothing may stand behind "manual:"`,
	} {
		scheme, place, err := schemes.Find(ref)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = scheme.Open(place, restart.Options{Dir: "/"}); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", ref, err, want)
		}
	}
}

func TestManualSaysWhatToDo(t *testing.T) {
	if wait.Manual().Polls != 15*time.Minute || wait.Scheme().Polls != 0 {
		t.Error("how long to poll: want 15m for manual, the usual time for wait")
	}
	var said []string
	d := open(t, "manual:", restart.Options{Say: func(line string) { said = append(said, line) }})
	if err := d.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(said, "\n")
	for _, want := range []string{"server", "worker", "--force-recreate"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing about %q in:\n%s", want, text)
		}
	}
	if err := open(t, "manual:", restart.Options{}).Restart(t.Context()); err != nil {
		t.Errorf("with nobody to tell: %v", err)
	}
}

func TestWaitDoesNothing(t *testing.T) {
	if err := open(t, "wait:", restart.Options{}).Restart(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEndedContext(t *testing.T) {
	why := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	for _, ref := range []string{"manual:", "wait:"} {
		said := false
		d := open(t, ref, restart.Options{Say: func(string) { said = true }})
		if err := d.Restart(ctx); !errors.Is(err, why) || said {
			t.Errorf("%s: error %v, want the cause; said something: %v", ref, err, said)
		}
	}
}
