// Package systemd restarts units of systemd with systemctl: the place is a list
// of service units, UNIT[,UNIT…], with "?user=true" behind it for those of the
// caller's own manager. A name without ".service" gets it.
//
// A restart counts only where each unit's main process was started anew and
// still runs a while later. What that process has for a key is asked of /proc
// (Processes), not worked out from the unit's file. What a unit starts besides
// its main process, or leaves behind, is not looked at.
//
// A restart that fails is an error with what systemctl printed and the units' last
// journal lines behind it (run.Saying), with the keys of Options.Mask masked.
package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
)

// Scheme is "systemd:".
func Scheme() restart.Scheme { return restart.Scheme{Open: open, WorkersProved: true, Offers: offers} }

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

func open(place string, opt restart.Options) (restart.Driver, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("restart reference %q: %s", "systemd:"+place, fmt.Sprintf(format, args...))
	}
	r, err := ref.Parse("systemd:" + place)
	if err != nil {
		return nil, err
	}
	d := &driver{opt: opt}
	for name, values := range r.Options {
		if name != "user" {
			return nil, bad("unknown option %q", name)
		}
		if d.user, err = strconv.ParseBool(values[len(values)-1]); err != nil {
			return nil, bad("option user: want true or false")
		}
	}
	if r.Place == "" || r.Field != "" {
		return nil, bad("no unit behind it, or more than units; want systemd:UNIT,UNIT…")
	}
	for name := range strings.SplitSeq(r.Place, ",") {
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

// serviceName is the full name of a unit as a person writes it. Refused are what
// systemctl would take for an option, or for a pattern of units that match just
// now; a template; and what has no process of its own, so that nothing could prove
// its restart (systemd.unit(5)).
func serviceName(name string) (string, error) {
	const plain = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\-@`
	others := []string{".automount", ".device", ".mount", ".path", ".scope", ".slice", ".socket", ".swap", ".target", ".timer"}
	stem := strings.TrimSuffix(name, ".service")
	unit := stem + ".service"
	switch {
	case stem == "" || strings.ContainsAny(stem[:1], "-@") || strings.Trim(stem, plain) != "" || len(unit) > 255:
		return "", fmt.Errorf("%q cannot be the name of a unit", name)
	case slices.Contains(others, filepath.Ext(name)):
		return "", fmt.Errorf("%s is no service, so nothing could prove its restart; name its services", name)
	case strings.HasSuffix(stem, "@"):
		return "", fmt.Errorf("%s is a template: name its instances, as %sNAME.service", unit, stem)
	}
	return unit, nil
}

// String returns the reference, with full names.
func (d *driver) String() string { return d.reference(d.units...) }

func (d *driver) reference(units ...string) string {
	text := "systemd:" + strings.Join(units, ",")
	if d.user {
		text += "?user=true"
	}
	return text
}

const another = "give another --restart: sh:COMMAND runs anything"

// Check says whether systemctl is there and may restart, and whether each unit
// can be restarted and runs. A unit that does not run is restart.ErrStopped. For
// a caller other than root who needs polkit, only that polkit is there is known
// beforehand.
func (d *driver) Check(ctx context.Context) (stopped error) {
	if err := (run.Cmd{Args: []string{"systemctl"}}).Check(); err != nil {
		return hint.Add(fmt.Errorf("systemctl cannot be run: %w", err), another)
	}
	if d.needsPolkit() && (run.Cmd{Args: []string{"pkcheck"}}).Check() != nil {
		return hint.Add(errors.New("it takes root to restart units of the system: there is no polkit here that could permit it to others"), "run it with sudo")
	}
	states, err := d.show(ctx, d.units)
	if _, odd := os.Stat("/run/systemd/system"); err != nil && odd != nil && !d.user { // sd_booted(3)
		return hint.Add(fmt.Errorf("this host does not run systemd: %w", err), another)
	}
	for _, st := range states {
		if fault := d.fault(st); fault != nil && !errors.Is(fault, restart.ErrStopped) {
			return fault
		} else if fault != nil && stopped == nil {
			stopped = fault // said last: a caller may take it for no fault
		}
	}
	return cmp.Or(err, stopped)
}

// fault says why a restart of the unit could not work, or not be proved.
func (d *driver) fault(st unitState) error {
	id := st.id()
	switch load := st.value("LoadState"); {
	case load == "not-found":
		return hint.Add(fmt.Errorf("there is no unit %s", id), "see what there is: %s", d.byHand("list-units", "--all", "--type=service"))
	case load == "masked":
		return hint.Add(fmt.Errorf("%s is masked", id), "unmask it: %s", d.byHand("unmask", id))
	case load != "loaded":
		return hint.Add(fmt.Errorf("%s could not be loaded (%s): %s", id, load, st.value("LoadError")), "systemd says more: %s", d.byHand("status", id))
	case st.value("RefuseManualStart") == "yes" || st.value("RefuseManualStop") == "yes":
		return hint.Add(fmt.Errorf("%s may not be started and stopped by hand (RefuseManualStart=, RefuseManualStop=)", id), another)
	case st.active() != "active":
		return hint.Add(fmt.Errorf("%s %w: it is %s", id, restart.ErrStopped, st.now()),
			"start it: %s; or have the restart start it, without a proof of the old key beforehand: --server-down", d.byHand("start", id))
	case st.number("MainPID") == 0:
		return hint.Add(fmt.Errorf("%s has no main process that systemd knows of (%s), so nothing could prove its restart", id, st.value("SubState")), another)
	}
	return nil
}

// needsPolkit says whether systemd will ask polkit whether this user may
// restart a unit.
func (d *driver) needsPolkit() bool { return !d.user && os.Geteuid() != 0 }

const workerStops = 95 * time.Second // that a worker with a hot lane may need to stop (Blnk 0.15)

// Processes tells of the main process of each unit, and of those of all other
// services that run.
func (d *driver) Processes(ctx context.Context) (all []restart.Process, err error) {
	states, err := d.show(ctx, d.units)
	if err != nil {
		return nil, err
	}
	for _, st := range states {
		p := st.process()
		p.Restarts = true
		if st.value("NeedDaemonReload") == "yes" {
			p.Remarks = append(p.Remarks, p.Name+" was changed on the disk, and `systemctl daemon-reload` is pending: the restart takes it as it was loaded before")
		}
		if limit := st.value("TimeoutStopUSec"); p.Workers && shorter(limit, workerStops) {
			p.Remarks = append(p.Remarks, fmt.Sprintf("systemd kills %s if it takes longer than %s to stop (TimeoutStopSec=); a worker may need %v", p.Name, limit, workerStops))
		}
		if d.needsPolkit() && len(all) == 0 {
			p.Remarks = append(p.Remarks, "not run as root: polkit must permit org.freedesktop.systemd1.manage-units for "+strings.Join(d.units, ", ")+" without a password, which shows only when it is tried")
		}
		if p.EnvFiles, err = st.envFiles(); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	for _, st := range d.running(ctx, states) {
		p := st.process()
		p.Reference = d.reference(p.Name)
		all = append(all, p)
	}
	return all, nil
}

// running are the services that run, but for some.
func (d *driver) running(ctx context.Context, but []unitState) []unitState {
	text, err := d.ask(ctx, "list-units", "--type=service", "--state=running", "--plain", "--no-legend", "*")
	if err != nil {
		return nil // a look less
	}
	var names []string
	for line := range strings.Lines(text) {
		unit, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if unit != "" && !slices.ContainsFunc(but, func(st unitState) bool { return st.id() == unit }) {
			names = append(names, unit)
		}
	}
	others, _ := d.show(ctx, names)
	return others
}

// offers go by what a unit itself starts: Blnk may run below a shell of anybody's.
func offers(ctx context.Context, opt restart.Options) []string {
	d := &driver{opt: opt}
	var g restart.Group
	for _, st := range d.running(ctx, nil) {
		g.Add(restart.RoleOf(st["ExecStart"]...), st.id(), st.process().Config)
	}
	return g.Offers(d.reference)
}

// shorter says whether a time as systemd writes it ("1min 30s", "infinity") is
// less than limit. One that cannot be read is not.
func shorter(text string, limit time.Duration) bool {
	d, err := time.ParseDuration(strings.NewReplacer(" ", "", "min", "m").Replace(text))
	return err == nil && d < limit
}

// call returns the arguments of a call of systemctl or journalctl.
func (d *driver) call(program string, args ...string) []string {
	call := []string{program}
	if d.user {
		call = append(call, "--user")
	}
	return append(call, args...)
}

// byHand is systemctl as a person calls it.
func (d *driver) byHand(args ...string) string { return hint.Command(d.call("systemctl", args...)...) }

// command is such a call. Its callers let systemctl ask for no password: there may
// be nobody to answer.
func (d *driver) command(program string, args ...string) run.Cmd {
	c := d.opt.Command(0, append(d.call(program, args...), "--no-pager")...)
	if d.user { // cron and sudo leave out where the caller's own manager is (pam_systemd(8))
		if c.Env == nil {
			c.Env = os.Environ()
		}
		c.Env = append([]string{"XDG_RUNTIME_DIR=/run/user/" + strconv.Itoa(os.Geteuid())}, c.Env...) // what is set counts
	}
	return c
}

// ask returns what a call of systemctl that changes nothing writes to stdout:
// through a pipe only, since a command line may hold a key.
func (d *driver) ask(ctx context.Context, args ...string) (string, error) {
	c := d.command("systemctl", append(args, "--no-ask-password")...)
	c.Timeout = queryTimeout
	text, _, err := c.Read(ctx)
	return text.Reveal(), err
}
