package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/restart"
)

const queryTimeout = 30 * time.Second // far more than systemd needs to tell properties

// A unitState is what `systemctl show` says of a unit: every property that is
// not empty, by its name on D-Bus (org.freedesktop.systemd1(5)). What an older
// systemd does not know is not there. It may hold keys.
type unitState map[string][]string

// properties are those that are asked for.
const properties = "Id,LoadState,LoadError,ActiveState,SubState,Result,MainPID,NRestarts," +
	"ExecMainStartTimestampMonotonic,ExecMainCode,ExecMainStatus,ConditionResult,ConditionTimestampMonotonic," +
	"RefuseManualStart,RefuseManualStop,NeedDaemonReload,TimeoutStopUSec,ExecStart,ExecStartPre,EnvironmentFiles,WorkingDirectory,User,Group,DynamicUser"

// show asks how units are doing, in their order.
func (d *driver) show(ctx context.Context, units []string) (states []unitState, err error) {
	if len(units) == 0 {
		return nil, nil
	}
	text, err := d.ask(ctx, append([]string{"show", "--property=" + properties}, units...)...)
	if err != nil {
		return nil, err
	}
	for block := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		st, err := parseState(block)
		if err != nil {
			return nil, err
		}
		states = append(states, st)
	}
	if len(states) != len(units) {
		return nil, fmt.Errorf("systemctl show told of %d units, not of %d", len(states), len(units))
	}
	return states, nil
}

// parseState reads one block of `systemctl show`: NAME=VALUE, a line each.
func parseState(block string) (unitState, error) {
	st := unitState{}
	for line := range strings.SplitSeq(block, "\n") {
		if name, value, _ := strings.Cut(line, "="); value != "" {
			st[name] = append(st[name], value)
		}
	}
	if st.id() == "" || st.value("LoadState") == "" || st.active() == "" {
		return nil, errors.New("systemctl show did not tell the state of a unit")
	}
	return st, nil
}

// started is when the main process was started last: microseconds of the
// machine's clock since boot, 0 for never. It goes back to 0 when an inactive unit
// is forgotten.
const started = "ExecMainStartTimestampMonotonic"

// value is what stands behind a property the first time; "" for none.
func (st unitState) value(name string) string { return append(st[name], "")[0] }

func (st unitState) number(name string) int {
	n, _ := strconv.Atoi(st.value(name)) // 0 for none
	return n
}

func (st unitState) id() string     { return st.value("Id") } // of an alias, the unit's own name
func (st unitState) active() string { return st.value("ActiveState") }

// checked says whether systemd looked at the Condition… of the unit; if not, it
// was never started, or it ended well and was forgotten.
func (st unitState) checked() bool { return st.number("ConditionTimestampMonotonic") != 0 }

// now says in words how the unit is doing.
func (st unitState) now() string {
	what, result := st.active(), st.value("Result")
	if sub := st.value("SubState"); sub != "" && sub != what {
		what += " (" + sub + ")"
	}
	switch {
	case st.value("ConditionResult") == "no" && st.checked() && st.active() == "inactive":
		// Which is no failure to systemctl.
		return what + ": a condition of the unit is not met"
	case result == "" || result == "success":
		return what
	case result == "exit-code" && st.number("ExecMainCode") == 1: // CLD_EXITED
		return what + ": exit status " + st.value("ExecMainStatus")
	case result == "signal":
		return what + ": ended by signal " + st.value("ExecMainStatus")
	}
	return what + ": " + result
}

// process asks /proc what runs as the unit.
func (st unitState) process() restart.Process {
	p := restart.Process{Name: st.id()}
	if pid := st.number("MainPID"); pid > 0 {
		p.Start = fmt.Sprint(pid, " ", st.value(started))
		p.Look(pid)
	} else if st.value("DynamicUser") != "yes" { // whose user is made at the start
		p.User, p.Dir = cmp.Or(st.value("User"), "0")+":"+st.value("Group"), st.value("WorkingDirectory")
	}
	role := restart.RoleOf(st["ExecStart"]...)
	p.Server, p.Workers, p.ExecStore = p.Server || role.Server, p.Workers || role.Workers, p.ExecStore || role.ExecStore
	for _, command := range st["ExecStart"] { // "{ path=/usr/bin/blnk ; argv[]=…"
		path, _, _ := strings.Cut(strings.TrimPrefix(command, "{ path="), " ")
		p.Scripted = p.Scripted || filepath.Base(path) != "blnk"
	}
	p.Scripted = p.Scripted || slices.ContainsFunc(st["ExecStartPre"], func(command string) bool { return !restart.RoleOf(command).Migrates })
	return p
}

// envFiles are the files of EnvironmentFile=, as `systemctl show` names them:
// "PATH (ignore_errors=no)", where PATH may be a pattern. One that is not there,
// and must be, keeps systemd from starting the unit again: better known before
// it is stopped.
func (st unitState) envFiles() (files []string, err error) {
	files = []string{} // none, which is known
	for _, place := range st["EnvironmentFiles"] {
		path, optional := strings.CutSuffix(place, " (ignore_errors=yes)")
		path = strings.TrimSuffix(path, " (ignore_errors=no)")
		found, err := filepath.Glob(path)
		if err != nil || len(found) == 0 && !optional {
			return nil, fmt.Errorf("%s: its EnvironmentFile=%s: no such file; systemd would not start it", st.id(), path)
		}
		files = append(files, found...)
	}
	return files, nil
}
