package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/run"
)

const (
	// settled is how long a unit must run to count as up. systemctl calls a
	// service started as soon as its process is there (Type=simple); one that
	// cannot use its configuration ends soon after.
	settled = 2 * time.Second
	tick    = 200 * time.Millisecond // between two questions to systemd
	// unmoved is how long systemd may go on telling of the process from before
	// a restart that it called done.
	unmoved = 5 * time.Second
	// On a machine so busy that a look takes seconds, time alone tells nothing:
	// fewLooks must have told of the process from before, sameLooks of the new one.
	fewLooks, sameLooks = 5, 3
	// tries is how often systemd itself may start a unit again (Restart=) before
	// it counts as one that does not stay up: it may go on for ever.
	tries = 3
)

// Restart restarts all units at once, and waits until each runs anew.
func (d *driver) Restart(ctx context.Context) error {
	before, err := d.show(ctx, d.units)
	if err != nil {
		return err
	}
	// On the way back a unit may not have come up with the new key, too often for
	// systemd to start it once more: where its limit stays, the restart says so.
	for _, st := range before {
		if st.active() != "active" || st.number("NRestarts") > 0 {
			_, _ = d.command("systemctl", "reset-failed", "--no-ask-password", st.id()).Run(ctx)
		}
	}
	res, failed := d.opt.Work.Run(ctx, d.String(), d.command("systemctl", append([]string{"restart", "--no-ask-password"}, d.units...)...))
	if ctx.Err() != nil {
		return failed
	}
	faults, err := d.settle(ctx, before, failed != nil)
	if len(faults) == 0 {
		return cmp.Or(failed, err)
	}
	output := strings.TrimRight(res.Output, "\n")
	var errs []error
	for _, unit := range slices.Sorted(maps.Keys(faults)) {
		if lines := d.journal(ctx, unit); lines != "" {
			output += "\nthe last lines of " + unit + " in the journal:\n" + lines
		}
		errs = append(errs, hint.Add(errors.New(unit+" "+faults[unit]), "mend what its log says; where it will not start even then: %s", d.byHand("reset-failed", unit)))
	}
	return run.Saying(errors.Join(errs...), strings.TrimLeft(output, "\n"))
}

// settle looks at the units until each has settled or failed, and returns what is
// wrong by unit. Where systemctl failed it looks once, for those that are down:
// that one runs proves nothing then, and its own failure says more.
func (d *driver) settle(ctx context.Context, before []unitState, failed bool) (faults map[string]string, err error) {
	watches := make([]watch, len(before))
	for i, st := range before {
		watches[i].before = st
	}
	for {
		states, err := d.show(ctx, d.units)
		if err != nil {
			return nil, err
		}
		waiting := ""
		faults = map[string]string{}
		for i, st := range states {
			up, fault := watches[i].look(st, time.Now())
			if failed && fault == "" && st.value("SubState") == "auto-restart" {
				fault = st.gone()
			}
			if fault != "" {
				faults[st.id()] = fault
			} else if !up {
				waiting = st.id() + " is " + st.now()
			}
		}
		if waiting == "" || len(faults) > 0 || failed {
			return faults, nil
		}
		if err := interrupt.Sleep(ctx, tick); err != nil {
			return nil, fmt.Errorf("%s: %w", waiting, err)
		}
	}
}

// gone is the fault of a unit that does not run.
func (st unitState) gone() string {
	text := "did not come back: it is " + st.now()
	if st.active() == "inactive" && !st.checked() {
		text += ": it ended by itself, or a condition of the unit kept it from starting"
	}
	return text
}

// A watch follows one unit after a restart.
type watch struct {
	before unitState

	base  int       // NRestarts when it was first looked at, or before
	begun time.Time // of the watch
	runs  string    // the main process that runs now, and when it was started
	since time.Time // and since when it is watched
	same  int       // looks that told of it
	looks int       // that told of the one from before
}

// look says whether the unit runs anew, and has for long enough; or what is
// wrong with it. Neither: it must be looked at again.
func (w *watch) look(st unitState, now time.Time) (up bool, fault string) {
	restarts := st.number("NRestarts")
	if w.begun.IsZero() {
		w.begun, w.base = now, min(w.before.number("NRestarts"), restarts)
	}
	if restarts -= w.base; restarts >= tries {
		return false, fmt.Sprintf("does not stay up: systemd started it again %d times, and it is %s", restarts, st.now())
	}
	switch st.active() {
	case "active", "reloading", "refreshing":
	case "failed", "inactive":
		return false, st.gone()
	default: // activating, deactivating
		w.runs = ""
		return false, ""
	}
	switch runs := st.value("MainPID") + " " + st.value(started); {
	case st.number(started) <= w.before.number(started) || st.number("MainPID") == 0:
		if w.looks++; w.looks > fewLooks && now.Sub(w.begun) > unmoved {
			return false, "was not restarted, although systemctl ended with exit status 0: its main process is still that from before"
		}
		return false, ""
	case runs != w.runs:
		w.runs, w.since, w.same = runs, now, 1
		return false, ""
	}
	w.same++
	return w.same >= sameLooks && now.Sub(w.since) >= settled, ""
}

// journal returns the last lines that a unit, and systemd about it, wrote to
// the journal; "" where they may not be read.
func (d *driver) journal(ctx context.Context, unit string) string {
	c := d.command("journalctl", "--unit="+unit, "--lines=10", "--output=cat", "--quiet")
	c.Timeout = queryTimeout
	if res, err := c.Run(ctx); err == nil {
		return strings.TrimRight(res.Output, "\n")
	}
	return ""
}
