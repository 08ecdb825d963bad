// Package systemd restarts units of systemd with systemctl: the place is a list
// of service units, UNIT[,UNIT…], with "?user=true" behind it for those of the
// caller's own manager. A name without ".service" gets it.
//
// A restart counts only where each unit's main process was started anew and
// still runs a while later. What that process has for a key is asked of /proc
// (Processes), not worked out from the unit's file. What a unit starts besides
// its main process, or leaves behind, is not looked at.
//
// A restart that fails is an error that wraps a *run.ExitError, whose Result
// holds what systemctl printed and the units' last journal lines, with the keys
// of Options.Mask masked.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
)

// Scheme is "systemd:".
func Scheme() restart.Scheme { return restart.Scheme{Open: open, WorkersProved: true} }

type driver struct {
	units []string
	user  bool
	opt   restart.Options
}

var (
	_ restart.Driver   = (*driver)(nil)
	_ restart.Checker  = (*driver)(nil)
	_ restart.Observer = (*driver)(nil)
)

// isUnitName says that systemd takes the text for the name of a unit
// (systemd.unit(5)), that it has no '-' in front, which would be an option, and
// that it is no pattern, which systemctl takes for the units that match just
// now.
func isUnitName(text string) bool {
	const plain = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\`
	return text != "" && text[0] != '-' && text[0] != '@' && strings.Trim(text, plain+"@-") == ""
}

// otherTypes are the units that are no services: they have no process of
// their own.
var otherTypes = []string{
	".automount", ".device", ".mount", ".path", ".scope", ".slice", ".socket", ".swap", ".target", ".timer",
}

func open(place string, opt restart.Options) (restart.Driver, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("restart reference %q: %s", "systemd:"+place, fmt.Sprintf(format, args...))
	}
	names, query, _ := strings.Cut(place, "?")
	d := &driver{opt: opt}
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, bad("options: %v", err)
	}
	for name, values := range options {
		if name != "user" {
			return nil, bad("unknown option %q", name)
		}
		if d.user, err = strconv.ParseBool(values[len(values)-1]); err != nil {
			return nil, bad("option user: want true or false")
		}
	}
	if names == "" {
		return nil, bad("no unit behind it")
	}
	for name := range strings.SplitSeq(names, ",") {
		unit, err := serviceName(name)
		if err != nil {
			return nil, bad("%v", err)
		}
		if slices.Contains(d.units, unit) {
			return nil, bad("%s is named twice", unit)
		}
		d.units = append(d.units, unit)
	}
	return d, nil
}

// serviceName is the full name of a unit as a person writes it.
func serviceName(name string) (string, error) {
	if !isUnitName(name) {
		return "", fmt.Errorf("%q cannot be the name of a unit", name)
	}
	for _, suffix := range otherTypes {
		if strings.HasSuffix(name, suffix) {
			return "", fmt.Errorf("%s is no service, so nothing could prove its restart; name its services", name)
		}
	}
	stem := strings.TrimSuffix(name, ".service")
	unit := stem + ".service"
	switch {
	case stem == "" || stem[0] == '@' || len(unit) > 255:
		return "", fmt.Errorf("%q cannot be the name of a unit", name)
	case strings.HasSuffix(stem, "@"):
		return "", fmt.Errorf("%s is a template: name its instances, as %sNAME.service", unit, stem)
	}
	return unit, nil
}

// String returns the reference, with full names.
func (d *driver) String() string {
	ref := "systemd:" + strings.Join(d.units, ",")
	if d.user {
		ref += "?user=true"
	}
	return ref
}

// Check says whether systemctl is there and may restart, and whether each unit
// can be restarted and runs. A unit that does not run is restart.ErrStopped. For
// a caller other than root who needs polkit, only that polkit is there is known
// beforehand.
func (d *driver) Check(ctx context.Context) error {
	if err := (run.Cmd{Args: []string{"systemctl"}}).Check(); err != nil {
		return hint.Add(fmt.Errorf("systemctl cannot be run: %w", err), "give another --restart: sh:COMMAND runs anything")
	}
	if d.needsPolkit() && (run.Cmd{Args: []string{"pkcheck"}}).Check() != nil {
		return errors.New("it takes root to restart units of the system: there is no polkit here that could permit it to others")
	}
	states, err := d.show(ctx)
	if err != nil {
		return err
	}
	for _, st := range states {
		if st.value("LoadState") == "not-found" {
			return hint.Add(fmt.Errorf("there is no unit %s", st.Id), "see what there is: %s", d.byHand("list-units", "--all", "--type=service"))
		}
		if err := st.restartable(); err != nil {
			return err
		}
	}
	stopped := error(nil) // said last: a caller may take it for no fault
	for _, st := range states {
		switch {
		case st.ActiveState != "active" && stopped == nil:
			stopped = hint.Add(fmt.Errorf("%s %w: it is %s", st.Id, restart.ErrStopped, st.now()),
				"start it: %s; or have the restart start it, without a proof of the old key beforehand: --server-down", d.byHand("start", st.Id))
		case st.ActiveState == "active" && st.MainPID == 0:
			return fmt.Errorf("%s has no main process that systemd knows of (%s), so nothing could prove its restart; sh: can restart it", st.Id, st.SubState)
		}
	}
	return stopped
}

// needsPolkit says whether systemd will ask polkit whether this user may
// restart a unit.
func (d *driver) needsPolkit() bool { return !d.user && os.Geteuid() != 0 }

// workerStops is how long a worker with a hot lane may need to stop (Blnk
// 0.15).
const workerStops = 95 * time.Second

// Processes tells of the main process of each unit, and of other units that run
// and seem to be Blnk's by their names.
func (d *driver) Processes(ctx context.Context) ([]restart.Process, error) {
	states, err := d.show(ctx)
	if err != nil {
		return nil, err
	}
	var all []restart.Process
	for _, st := range states {
		p := st.process()
		p.Restarts = true
		if st.value("NeedDaemonReload") == "yes" {
			p.Remarks = append(p.Remarks, st.Id+" was changed on the disk, and `systemctl daemon-reload` is pending: the restart takes it as it was loaded before")
		}
		if limit := st.value("TimeoutStopUSec"); p.Workers && shorter(limit, workerStops) {
			p.Remarks = append(p.Remarks, fmt.Sprintf("systemd kills %s if it takes longer than %s to stop (TimeoutStopSec=); a worker may need %v", st.Id, limit, workerStops))
		}
		if d.needsPolkit() && len(all) == 0 {
			p.Remarks = append(p.Remarks, "not run as root: polkit must permit org.freedesktop.systemd1.manage-units for "+strings.Join(d.units, ", ")+" without a password, which shows only when it is tried")
		}
		if p.EnvFiles, err = st.envFiles(); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return append(all, d.unnamed(ctx, states)...), nil
}

// process asks /proc what runs as the unit.
func (st unitState) process() restart.Process {
	p := restart.Process{Name: st.Id, Start: fmt.Sprint(st.MainPID, " ", st.Started)}
	if st.MainPID > 0 {
		p.Look(st.MainPID)
	} else {
		p.Start = ""
	}
	role := restart.RoleOf(st.all["ExecStart"]...)
	p.Server, p.Workers, p.ExecStore = p.Server || role.Server, p.Workers || role.Workers, p.ExecStore || role.ExecStore
	for _, command := range st.all["ExecStart"] { // "{ path=/usr/bin/blnk ; argv[]=…"
		path, _, _ := strings.Cut(strings.TrimPrefix(command, "{ path="), " ")
		p.Scripted = p.Scripted || filepath.Base(path) != "blnk"
	}
	for _, command := range st.all["ExecStartPre"] {
		p.Scripted = p.Scripted || !restart.RoleOf(command).Migrates
	}
	return p
}

// envFiles are the files of EnvironmentFile=, as `systemctl show` names them:
// "PATH (ignore_errors=no)", where PATH may be a pattern. One that is not there,
// and must be, keeps systemd from starting the unit again: better known before
// it is stopped.
func (st unitState) envFiles() (files []string, err error) {
	files = []string{} // none, which is known
	for _, place := range st.all["EnvironmentFiles"] {
		path, optional := strings.CutSuffix(place, " (ignore_errors=yes)")
		path = strings.TrimSuffix(path, " (ignore_errors=no)")
		found, err := filepath.Glob(path)
		if err != nil || len(found) == 0 && !optional {
			return nil, fmt.Errorf("%s: its EnvironmentFile=%s: no such file; systemd would not start it", st.Id, path)
		}
		files = append(files, found...)
	}
	return files, nil
}

// unnamed finds units that run, seem to be Blnk's by their names, and will not
// be restarted.
func (d *driver) unnamed(ctx context.Context, states []unitState) (all []restart.Process) {
	text, err := d.ask(ctx, "list-units", "--type=service", "--state=running", "--plain", "--no-legend", "*blnk*")
	if err != nil {
		return nil // a guess less
	}
	var names []string
	for line := range strings.Lines(text) {
		unit, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if unit != "" && !slices.ContainsFunc(states, func(st unitState) bool { return st.Id == unit }) {
			names = append(names, unit)
		}
	}
	others, err := d.showUnits(ctx, names)
	if err != nil {
		return nil
	}
	for _, st := range others {
		all = append(all, st.process())
	}
	return all
}

// shorter says whether a time as systemd writes it ("1min 30s", "infinity") is
// less than limit. One that cannot be read is not.
func shorter(text string, limit time.Duration) bool {
	d, err := time.ParseDuration(strings.NewReplacer(" ", "", "min", "m").Replace(text))
	return err == nil && d < limit
}

// systemctl returns the arguments of a call. Nothing may ask for a password:
// there may be nobody to answer.
func (d *driver) systemctl(verb string, args ...string) []string {
	call := []string{"systemctl", "--no-ask-password", "--no-pager"}
	if d.user {
		call = append(call, "--user")
	}
	return append(append(call, verb), args...)
}

// byHand is systemctl as a person calls it.
func (d *driver) byHand(args ...string) string {
	call := []string{"systemctl"}
	if d.user {
		call = append(call, "--user")
	}
	return hint.Command(append(call, args...)...)
}

// command is a call of a program of systemd's.
func (d *driver) command(args []string) run.Cmd {
	c := run.Cmd{Args: args, Dir: d.opt.Dir, Env: d.opt.Env, Timeout: d.opt.Timeout, Show: d.opt.Show}
	if d.opt.Mask != nil {
		c.Mask = d.opt.Mask()
	}
	if d.user {
		c.Env = withRuntimeDir(c.Env)
	}
	return c
}

// withRuntimeDir adds where the caller's own manager can be found, which cron
// and sudo leave out (pam_systemd sets it).
func withRuntimeDir(env []string) []string {
	if env == nil {
		env = os.Environ()
	}
	const name = "XDG_RUNTIME_DIR="
	if slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, name) }) {
		return env
	}
	dir := "/run/user/" + strconv.Itoa(os.Geteuid())
	if _, err := os.Stat(dir); err != nil {
		return env
	}
	return append(slices.Clone(env), name+dir)
}
