package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// showTimeout is far more than systemd needs to tell properties.
const showTimeout = 30 * time.Second

// properties are those that are asked for.
const properties = "Id,LoadState,LoadError,ActiveState,SubState,Result,MainPID,NRestarts," +
	"ExecMainStartTimestampMonotonic,ExecMainCode,ExecMainStatus,ConditionResult,ConditionTimestampMonotonic," +
	"RefuseManualStart,RefuseManualStop,NeedDaemonReload,TimeoutStopUSec,ExecStart,ExecStartPre,EnvironmentFiles"

// A unitState is what `systemctl show` says of a unit. The names are those of
// systemd's D-Bus properties (org.freedesktop.systemd1(5)).
type unitState struct {
	Id          string // of an alias, the unit's own name
	ActiveState string // active, inactive, failed, activating, deactivating, …
	SubState    string // running, dead, auto-restart, …
	Result      string // success, exit-code, signal, start-limit-hit, …
	MainPID     int    // 0: none
	NRestarts   int    // by Restart=, since the last start that was asked for
	// Started is when the main process was started last: microseconds of the
	// machine's clock since boot, 0 for never. It goes back to 0 when an
	// inactive unit is forgotten.
	Started    int64
	ExitCode   int // how the main process ended: CLD_EXITED (1), CLD_KILLED (2), …
	ExitStatus int // its exit status, or the signal

	all map[string][]string // every property that is not empty
}

// show asks how the driver's units are doing, in their order.
func (d *driver) show(ctx context.Context) ([]unitState, error) { return d.showUnits(ctx, d.units) }

func (d *driver) showUnits(ctx context.Context, units []string) ([]unitState, error) {
	if len(units) == 0 {
		return nil, nil
	}
	text, err := d.ask(ctx, "show", append([]string{"--property=" + properties}, units...)...)
	if err != nil {
		return nil, err
	}
	blocks := strings.Split(strings.Trim(text, "\n"), "\n\n")
	if len(blocks) != len(units) {
		return nil, fmt.Errorf("systemctl show told of %d units, not of %d", len(blocks), len(units))
	}
	states := make([]unitState, len(blocks))
	for i, block := range blocks {
		if states[i], err = parseState(block); err != nil {
			return nil, fmt.Errorf("%s: %w", units[i], err)
		}
	}
	return states, nil
}

// ask returns what a call of systemctl that changes nothing writes to stdout:
// through a pipe only, since a command line may hold a key.
func (d *driver) ask(ctx context.Context, verb string, args ...string) (string, error) {
	c := d.command(d.systemctl(verb, args...))
	c.Timeout = showTimeout
	text, _, err := c.Read(ctx)
	return text.Reveal(), err
}

// parseState reads one block of `systemctl show`: NAME=VALUE, a line each. What
// an older systemd does not know is left out there.
func parseState(block string) (unitState, error) {
	st := unitState{all: map[string][]string{}}
	for line := range strings.SplitSeq(block, "\n") {
		if name, value, _ := strings.Cut(line, "="); value != "" {
			st.all[name] = append(st.all[name], value)
		}
	}
	st.Id, st.ActiveState = st.value("Id"), st.value("ActiveState")
	st.SubState, st.Result = st.value("SubState"), st.value("Result")
	if st.Id == "" || st.value("LoadState") == "" || st.ActiveState == "" {
		return st, errors.New("systemctl show did not tell its state")
	}
	var pid, restarts, code, status int64
	for name, to := range map[string]*int64{
		"MainPID": &pid, "NRestarts": &restarts, "ExecMainStartTimestampMonotonic": &st.Started,
		"ExecMainCode": &code, "ExecMainStatus": &status,
	} {
		var err error
		if *to, err = strconv.ParseInt(cmp.Or(st.value(name), "0"), 10, 64); err != nil {
			return st, fmt.Errorf("systemctl show: %s is no number", name)
		}
	}
	st.MainPID, st.NRestarts, st.ExitCode, st.ExitStatus = int(pid), int(restarts), int(code), int(status)
	return st, nil
}

// value is what stands behind a property the first time; "" for none.
func (st unitState) value(name string) string { return append(st.all[name], "")[0] }

// checked says whether systemd looked at the Condition… of the unit; if not, it
// was never started, or it ended well and was forgotten.
func (st unitState) checked() bool {
	return cmp.Or(st.value("ConditionTimestampMonotonic"), "0") != "0"
}

// restartable says why systemd would not restart the unit.
func (st unitState) restartable() error {
	switch load := st.value("LoadState"); {
	case load == "masked":
		return fmt.Errorf("%s is masked", st.Id)
	case load != "loaded":
		return fmt.Errorf("%s could not be loaded (%s): %s", st.Id, load, st.value("LoadError"))
	case st.value("RefuseManualStart") == "yes" || st.value("RefuseManualStop") == "yes":
		return fmt.Errorf("%s may not be started and stopped by hand (RefuseManualStart=, RefuseManualStop=)", st.Id)
	}
	return nil
}

// now says in words how the unit is doing.
func (st unitState) now() string {
	what := st.ActiveState
	if st.SubState != "" && st.SubState != st.ActiveState {
		what += " (" + st.SubState + ")"
	}
	switch {
	case st.value("ConditionResult") == "no" && st.checked() && st.ActiveState == "inactive":
		// Which is no failure to systemctl.
		return what + ": a condition of the unit is not met"
	case st.Result == "" || st.Result == "success":
		return what
	case st.Result == "exit-code" && st.ExitCode == 1:
		return fmt.Sprintf("%s: exit status %d", what, st.ExitStatus)
	case st.Result == "signal":
		return fmt.Sprintf("%s: ended by signal %d", what, st.ExitStatus)
	default:
		return what + ": " + st.Result
	}
}
