package systemd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/run"
)

const (
	// settled is how long a unit must run to count as up. systemctl calls a
	// service started as soon as its process is there (Type=simple); one that
	// cannot use its configuration ends soon after.
	settled = 2 * time.Second
	// tick is how often systemd is asked.
	tick = 200 * time.Millisecond
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

// A unitError is a unit that did not come back from a restart.
type unitError struct {
	unit string
	// startLimit says that systemd refuses to start it again just now, because
	// it was started too often (StartLimitBurst=).
	startLimit bool
	reason     string
	hint       string
}

func (e *unitError) Error() string { return e.unit + " " + e.reason }

func (e *unitError) Hint() string { return e.hint }

// Restart restarts all units at once, and waits until each runs anew.
func (d *driver) Restart(ctx context.Context) error {
	if d.opt.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d.opt.Timeout, fmt.Errorf("not done within %v", d.opt.Timeout))
		defer cancel()
	}
	before, err := d.show(ctx)
	if err != nil {
		return err
	}
	d.forgive(ctx, before)
	res, failed := d.command(d.systemctl("restart", d.units...)).Run(ctx)
	if ctx.Err() != nil {
		return failed
	}
	var faults []*unitError
	if failed != nil {
		faults = d.down(ctx)
	} else if faults, err = d.settle(ctx, before); err != nil {
		return err
	}
	if len(faults) == 0 {
		return failed
	}
	return d.explained(ctx, res, faults)
}

// forgive lifts the start limit from units that do not run well. Restart is
// called with such a unit on the way back, after it did not come up with the
// new key: too often, perhaps, for systemd to start it once more with the old
// one.
func (d *driver) forgive(ctx context.Context, before []unitState) {
	var unwell []string
	for i, st := range before {
		if st.ActiveState != "active" || st.NRestarts > 0 {
			unwell = append(unwell, d.units[i])
		}
	}
	if len(unwell) > 0 {
		// Where it may not be lifted, the restart says what comes of that.
		_, _ = d.command(d.systemctl("reset-failed", unwell...)).Run(ctx)
	}
}

// down finds the units that do not run, after systemctl failed. That one runs
// proves nothing then: it may not have been restarted.
func (d *driver) down(ctx context.Context) (faults []*unitError) {
	states, err := d.show(ctx)
	if err != nil {
		return nil // systemctl's own failure says more
	}
	for _, st := range states {
		if st.ActiveState == "failed" || st.ActiveState == "inactive" || st.SubState == "auto-restart" {
			faults = append(faults, st.gone())
		}
	}
	return faults
}

// gone is the fault of a unit that does not run.
func (st unitState) gone() *unitError {
	text := "did not come back: it is " + st.now()
	if st.ActiveState == "inactive" && !st.checked() {
		text += ": it ended by itself, or a condition of the unit kept it from starting"
	}
	return st.fault(text)
}

func (st unitState) fault(reason string) *unitError {
	return &unitError{unit: st.Id, startLimit: st.Result == "start-limit-hit", reason: reason}
}

// settle looks at the units until each has settled or failed.
func (d *driver) settle(ctx context.Context, before []unitState) ([]*unitError, error) {
	watches := make([]*watch, len(before))
	for i, st := range before {
		watches[i] = &watch{before: st}
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		states, err := d.show(ctx)
		if err != nil {
			return nil, err
		}
		waiting := ""
		var faults []*unitError
		for i, st := range states {
			up, fault := watches[i].look(st, time.Now())
			switch {
			case fault != nil:
				faults = append(faults, fault)
			case !up:
				waiting = st.Id + " is " + st.now()
			}
		}
		if waiting == "" || len(faults) > 0 {
			return faults, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w", waiting, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// A watch follows one unit after a restart.
type watch struct {
	before unitState

	base  int       // NRestarts when it was first looked at, or before
	begun time.Time // of the watch
	pid   int       // the main process that runs now
	start int64     // and when it was started
	since time.Time // and since when it is watched
	same  int       // looks that told of it
	looks int       // that told of the one from before
}

// look says whether the unit runs anew, and has for long enough; or what is
// wrong with it. Neither: it must be looked at again.
func (w *watch) look(st unitState, now time.Time) (up bool, fault *unitError) {
	if w.begun.IsZero() {
		w.begun, w.base = now, min(w.before.NRestarts, st.NRestarts)
	}
	if restarts := st.NRestarts - w.base; restarts >= tries {
		return false, st.fault(fmt.Sprintf("does not stay up: systemd started it again %d times, and it is %s", restarts, st.now()))
	}
	switch st.ActiveState {
	case "active", "reloading", "refreshing":
	case "failed", "inactive":
		return false, st.gone()
	default: // activating, deactivating
		w.pid = 0
		return false, nil
	}
	switch {
	case st.Started <= w.before.Started || st.MainPID == 0:
		if w.looks++; w.looks > fewLooks && now.Sub(w.begun) > unmoved {
			return false, st.fault("was not restarted, although systemctl ended with exit status 0: its main process is still that from before")
		}
		return false, nil
	case st.MainPID != w.pid || st.Started != w.start:
		w.pid, w.start, w.since, w.same = st.MainPID, st.Started, now, 1
		return false, nil
	}
	w.same++
	return w.same >= sameLooks && now.Sub(w.since) >= settled, nil
}

// explained makes the error of units that did not come back, with what systemd
// has to say about them.
func (d *driver) explained(ctx context.Context, res run.Result, faults []*unitError) error {
	output := []string{strings.TrimRight(res.Output, "\n")}
	var limited, errs []error
	for _, fault := range faults {
		lines := d.journal(ctx, fault.unit)
		// A unit that crashed until systemd gave up keeps the result of its last
		// crash: only the journal tells.
		if strings.Contains(lines, "Start request repeated too quickly") {
			fault.startLimit = true
		}
		if lines != "" {
			output = append(output, "the last lines of "+fault.unit+" in the journal:\n"+lines)
		}
		fault.hint = "the log of " + fault.unit + " says why; then run this again"
		if fault.startLimit {
			fault.hint = "mend what its log says; where it will not start even then: " + d.byHand("reset-failed", fault.unit)
			limited = append(limited, fault)
		} else {
			errs = append(errs, fault)
		}
	}
	errs = append(limited, errs...) // what errors.As finds is what can be lifted
	res.Output = strings.TrimLeft(strings.Join(output, "\n"), "\n")
	return &outcome{error: errors.Join(errs...), exit: &run.ExitError{Name: "systemctl", Result: res}}
}

// journal returns the last lines that a unit, and systemd about it, wrote to
// the journal; "" where they may not be read.
func (d *driver) journal(ctx context.Context, unit string) string {
	which := []string{"journalctl", "--unit=" + unit}
	if d.user {
		which = []string{"journalctl", "--user", "--user-unit=" + unit}
	}
	c := d.command(append(which, "--lines=10", "--no-pager", "--output=cat", "--quiet"))
	c.Timeout = showTimeout
	res, err := c.Run(ctx)
	if err != nil {
		return ""
	}
	return strings.TrimRight(res.Output, "\n")
}

// An outcome is an error with the end of a command behind it, whose output
// says more.
type outcome struct {
	error
	exit *run.ExitError
}

func (o *outcome) Unwrap() []error { return []error{o.error, o.exit} }
