package systemd

import (
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
	LoadState   string // loaded, not-found, masked, bad-setting, error
	LoadError   string
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
	// ConditionResult is false where a Condition… of the unit kept it from
	// starting, which is no failure to systemctl; and where Checked, the time
	// of that check, is 0: it was never started, or it ended well and was
	// forgotten.
	ConditionResult  bool
	Checked          int64
	NoStart, NoStop  bool
	NeedDaemonReload bool

	all []property
}

type property struct{ name, value string }

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
	st := unitState{ConditionResult: true}
	texts := map[string]*string{
		"Id": &st.Id, "LoadState": &st.LoadState, "LoadError": &st.LoadError,
		"ActiveState": &st.ActiveState, "SubState": &st.SubState, "Result": &st.Result,
	}
	numbers := map[string]*int{
		"MainPID": &st.MainPID, "NRestarts": &st.NRestarts,
		"ExecMainCode": &st.ExitCode, "ExecMainStatus": &st.ExitStatus,
	}
	times := map[string]*int64{"ExecMainStartTimestampMonotonic": &st.Started, "ConditionTimestampMonotonic": &st.Checked}
	flags := map[string]*bool{
		"ConditionResult": &st.ConditionResult, "RefuseManualStart": &st.NoStart, "RefuseManualStop": &st.NoStop,
		"NeedDaemonReload": &st.NeedDaemonReload,
	}
	for line := range strings.SplitSeq(block, "\n") {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		var err error
		if p, ok := texts[name]; ok {
			*p = value
		} else if p, ok := numbers[name]; ok {
			*p, err = strconv.Atoi(value)
		} else if p, ok := flags[name]; ok {
			*p = value == "yes"
		} else if p, ok := times[name]; ok {
			*p, err = strconv.ParseInt(value, 10, 64)
		} else {
			st.all = append(st.all, property{name, value})
		}
		if err != nil {
			return st, fmt.Errorf("systemctl show: %s is no number", name)
		}
	}
	if st.Id == "" || st.LoadState == "" || st.ActiveState == "" {
		return st, errors.New("systemctl show did not tell its state")
	}
	return st, nil
}

// values returns what stands behind a property, which may come several times.
func (st unitState) values(name string) (values []string) {
	for _, p := range st.all {
		if p.name == name && p.value != "" {
			values = append(values, p.value)
		}
	}
	return values
}

// value is the first of values, or "".
func (st unitState) value(name string) string {
	return append(st.values(name), "")[0]
}

// restartable says why systemd would not restart the unit.
func (st unitState) restartable() error {
	switch {
	case st.LoadState == "masked":
		return fmt.Errorf("%s is masked", st.Id)
	case st.LoadState != "loaded":
		return fmt.Errorf("%s could not be loaded (%s): %s", st.Id, st.LoadState, st.LoadError)
	case st.NoStart || st.NoStop:
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
	case !st.ConditionResult && st.Checked > 0 && st.ActiveState == "inactive":
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
