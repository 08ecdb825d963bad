package restart

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/internal/run"
)

// Systemd restarts units of systemd with systemctl: the place is a list of
// service units, UNIT[,UNIT…], with "?user=true" behind it for those of the
// caller's own manager. A name without ".service" gets it.
//
// A restart counts only where each unit's main process was started anew and
// still runs a while later. It is not proved that the process reads the key
// that a store holds, nor that it works; and what a unit starts besides its
// main process, or leaves behind, is not looked at.
//
// A restart that fails is an error that wraps a *UnitError for each unit that
// did not come back, and a *run.ExitError whose Result holds what systemctl
// printed and the units' last journal lines, with the keys of Options.Mask
// masked.
func Systemd() Scheme { return Scheme{Open: openSystemd, WorkersProved: true} }

type systemd struct {
	units []string
	user  bool
	opt   Options
}

var (
	_ Driver    = (*systemd)(nil)
	_ Checker   = (*systemd)(nil)
	_ Environer = (*systemd)(nil)
	_ Remarker  = (*systemd)(nil)
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

func openSystemd(place string, opt Options) (Driver, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("restart reference %q: %s", "systemd:"+place, fmt.Sprintf(format, args...))
	}
	names, query, _ := strings.Cut(place, "?")
	s := &systemd{opt: opt}
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, bad("options: %v", err)
	}
	for name, values := range options {
		if name != "user" {
			return nil, bad("unknown option %q", name)
		}
		if s.user, err = strconv.ParseBool(values[len(values)-1]); err != nil {
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
		if slices.Contains(s.units, unit) {
			return nil, bad("%s is named twice", unit)
		}
		s.units = append(s.units, unit)
	}
	return s, nil
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
	unit := strings.TrimSuffix(name, ".service") + ".service"
	stem := strings.TrimSuffix(unit, ".service")
	switch {
	case stem == "" || stem[0] == '@' || len(unit) > 255:
		return "", fmt.Errorf("%q cannot be the name of a unit", name)
	case strings.HasSuffix(stem, "@"):
		return "", fmt.Errorf("%s is a template: name its instances, as %sNAME.service", unit, stem)
	}
	return unit, nil
}

// String returns the reference, with full names.
func (s *systemd) String() string {
	ref := "systemd:" + strings.Join(s.units, ",")
	if s.user {
		ref += "?user=true"
	}
	return ref
}

// Check says whether systemctl is there and may restart, and whether each unit
// can be restarted and runs. A unit that does not run is ErrStopped. For a
// caller other than root who needs polkit, only that polkit is there is known
// beforehand (see Remarks).
func (s *systemd) Check(ctx context.Context) error {
	if err := (run.Cmd{Args: []string{"systemctl"}}).Check(); err != nil {
		return fault(ErrNoTool, nil, "systemctl %v: %v", ErrNoTool, err)
	}
	if s.needsPolkit() && (run.Cmd{Args: []string{"pkcheck"}}).Check() != nil {
		return errors.New("it takes root to restart units of the system: there is no polkit here that could permit it to others")
	}
	states, err := s.show(ctx)
	if err != nil {
		return err
	}
	for _, st := range states {
		if st.LoadState == "not-found" {
			return fault(ErrAbsent, s.byHand("list-units", "--all", "--type=service"), "there is no unit %s", st.Id)
		}
		if err := st.restartable(); err != nil {
			return err
		}
	}
	stopped := error(nil) // said last: a caller may take it for no fault
	for _, st := range states {
		switch {
		case st.ActiveState != "active" && stopped == nil:
			stopped = fault(ErrStopped, s.byHand("start", st.Id), "%s %v: it is %s", st.Id, ErrStopped, st.now())
		case st.ActiveState == "active" && st.MainPID == 0:
			return fmt.Errorf("%s has no main process that systemd knows of (%s), so nothing could prove its restart; sh: can restart it", st.Id, st.SubState)
		}
	}
	return stopped
}

// needsPolkit says whether systemd will ask polkit whether this user may
// restart a unit.
func (s *systemd) needsPolkit() bool { return !s.user && os.Geteuid() != 0 }

// systemctl returns the arguments of a call. Nothing may ask for a password:
// there may be nobody to answer.
func (s *systemd) systemctl(verb string, args ...string) []string {
	call := []string{"systemctl", "--no-ask-password", "--no-pager"}
	if s.user {
		call = append(call, "--user")
	}
	return append(append(call, verb), args...)
}

// byHand is systemctl as a person calls it.
func (s *systemd) byHand(args ...string) []string {
	call := []string{"systemctl"}
	if s.user {
		call = append(call, "--user")
	}
	return append(call, args...)
}

// command is a call of a program of systemd's.
func (s *systemd) command(args []string) run.Cmd {
	c := run.Cmd{Args: args, Dir: s.opt.Dir, Env: s.opt.Env, Timeout: s.opt.Timeout}
	if s.opt.Mask != nil {
		c.Mask = s.opt.Mask()
	}
	if s.user {
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
