package cmd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The systemctl and journalctl of scripts: systemd's part in a restart as a
// state machine, with the words, exit statuses and properties that systemd 252
// was seen to answer with. Its units are the stand-in's server and workers,
// which it really stops and starts. Their states stand in the folder $RUN/units.
//
//	fake-systemd unit UNIT DIR ROLE [PROPERTY=VALUE...]
//	                         a unit that runs ROLE (server, worker) of the
//	                         stand-in's folder DIR; an EnvironmentFiles among the
//	                         properties is the env file of its process
//	fake-systemd set UNIT PROPERTY=VALUE...
//	fake-systemd next UNIT PLAN...
//	                         what becomes of the next restarts, one after the
//	                         other; of later ones: ok
//
// Plans: ok, dies (it starts, and exits a moment later), limit (refused, as
// started too often), loop (Restart= starts it until systemd gives up), slow (it
// is a while before it runs), lag (restarted, but told of late), same (exit 0,
// and nothing happens), condition (stopped; a condition keeps it from
// starting; exit 0), denied (polkit says no).

// insideSystemd is the variable that says that this test binary runs where
// systemd is real (TestSystemd).
const insideSystemd = "BLNKCTL_SYSTEMD_INSIDE"

// A fakeUnit is all that is known of a unit.
type fakeUnit struct {
	Dir, Role  string
	Properties map[string]string
	Plans      []string
	// Later holds properties that `show` will tell next, one step each time.
	Later   []map[string]string
	Journal []string

	name string
}

func unitsDir() string { return filepath.Join(os.Getenv("RUN"), "units") }

func readUnit(name string) (*fakeUnit, error) {
	name = strings.TrimSuffix(name, ".service") + ".service"
	u := &fakeUnit{name: name, Properties: map[string]string{
		"Id": name, "LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "Result": "success",
		"MainPID": "0", "NRestarts": "0", "ExecMainStartTimestampMonotonic": "0", "ExecMainCode": "0", "ExecMainStatus": "0",
		"ConditionResult": "no", "ConditionTimestampMonotonic": "0", "RefuseManualStart": "no", "RefuseManualStop": "no", "NeedDaemonReload": "no",
		"TimeoutStopUSec": "1min 30s", "Environment": "", "PassEnvironment": "", "UnsetEnvironment": "",
		"LoadError": fmt.Sprintf("org.freedesktop.systemd1.NoSuchUnit %q", "Unit "+name+" not found."),
	}}
	data, err := os.ReadFile(filepath.Join(unitsDir(), name))
	if errors.Is(err, os.ErrNotExist) {
		return u, nil
	}
	if err != nil {
		return nil, err
	}
	return u, json.Unmarshal(data, u)
}

func (u *fakeUnit) save() error {
	if err := os.MkdirAll(unitsDir(), 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	// Somebody else may read it at the same time.
	path := filepath.Join(unitsDir(), u.name)
	half := filepath.Join(os.Getenv("RUN"), fmt.Sprintf("unit.%d", os.Getpid()))
	if err := os.WriteFile(half, data, 0o600); err != nil {
		return err
	}
	return os.Rename(half, path)
}

// set takes NAME=VALUE…
func (u *fakeUnit) set(properties ...string) {
	for _, p := range properties {
		name, value, _ := strings.Cut(p, "=")
		u.Properties[name] = value
	}
}

// runs notes a main process that was started just now.
func (u *fakeUnit) runs() {
	pid, _ := os.ReadFile(filepath.Join(u.Dir, ".standin", u.Role+".pid")) // none: then 0
	u.set("ActiveState=active", "SubState=running", "Result=success", "MainPID="+strings.TrimSpace(string(pid))+"", "NRestarts=0",
		fmt.Sprintf("ExecMainStartTimestampMonotonic=%d", time.Now().UnixMicro()), "ExecMainCode=0", "ExecMainStatus=0", "ConditionResult=yes", "ConditionTimestampMonotonic=1")
}

// down is a unit whose process ended.
func (u *fakeUnit) failed(result string, code, status int) {
	u.set("ActiveState=failed", "SubState=failed", "Result="+result, "MainPID=0",
		fmt.Sprintf("ExecMainCode=%d", code), fmt.Sprintf("ExecMainStatus=%d", status))
}

func (u *fakeUnit) log(lines ...string) {
	for _, line := range lines {
		u.Journal = append(u.Journal, strings.ReplaceAll(line, "UNIT", u.name))
	}
}

// standin has the stand-in do something with the unit's process.
func (u *fakeUnit) standin(verb string) error {
	args := []string{verb, "--dir", u.Dir}
	for _, place := range strings.Split(u.Properties["EnvironmentFiles"], "\n") {
		if file, _, ok := strings.Cut(place, " (ignore_errors="); ok && verb == "restart" {
			args = append(args, "--env-file", file)
		}
	}
	c := exec.Command("blnk", append(args, u.Role)...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	return c.Run()
}

// fakeSystemd makes units for the fake systemctl.
func fakeSystemd() int {
	if len(os.Args) < 4 {
		return complain(2, "usage: fake-systemd unit|set|next UNIT …")
	}
	u, err := readUnit(os.Args[2])
	if err != nil {
		return complain(1, err)
	}
	switch os.Args[1] {
	case "unit":
		u.Dir, u.Role = os.Args[3], os.Args[4]
		u.set("LoadState=loaded", "LoadError=")
		u.set(os.Args[5:]...)
		if err := u.standin("restart"); err != nil {
			return complain(1, err)
		}
		u.runs()
	case "set":
		u.set(os.Args[3:]...)
	case "next":
		u.Plans = append(u.Plans, os.Args[3:]...)
	default:
		return complain(2, "unknown verb "+os.Args[1])
	}
	if err := u.save(); err != nil {
		return complain(1, err)
	}
	return 0
}

func complain(status int, text any) int {
	fmt.Fprintln(os.Stderr, text)
	return status
}

// systemctl is the fake of the same name.
func systemctl() int {
	call := os.Args[1:]
	if i := slices.IndexFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "BLNK_") }); i >= 0 {
		return complain(1, "systemctl was given a BLNK_ variable")
	}
	var options, args []string
	for _, a := range call {
		if strings.HasPrefix(a, "-") {
			options = append(options, a)
		} else {
			args = append(args, a)
		}
	}
	if len(args) == 0 || !slices.Contains(options, "--no-ask-password") {
		return complain(1, "unexpected call of systemctl: "+strings.Join(call, " "))
	}
	verb, names := args[0], args[1:]
	switch verb {
	case "show":
		return fakeShow(options, names)
	case "restart":
		return eachUnit(names, (*fakeUnit).restart)
	case "reset-failed":
		return eachUnit(names, (*fakeUnit).resetFailed)
	case "list-units":
		all, _ := filepath.Glob(filepath.Join(unitsDir(), names[0]))
		return eachUnit(all, func(u *fakeUnit) int {
			if u.Properties["SubState"] == "running" {
				fmt.Println(u.name, "loaded active running", u.name)
			}
			return 0
		})
	}
	return complain(1, "Unknown command verb "+verb+".")
}

// eachUnit changes units, and ends with the worst status.
func eachUnit(names []string, change func(*fakeUnit) int) (status int) {
	for _, name := range names {
		u, err := readUnit(filepath.Base(name))
		if err != nil {
			return complain(1, err)
		}
		status = max(status, change(u))
		if u.Properties["LoadState"] == "loaded" {
			if err := u.save(); err != nil {
				return complain(1, err)
			}
		}
	}
	return status
}

func fakeShow(options, names []string) int {
	var wanted []string
	for _, o := range options {
		if list, ok := strings.CutPrefix(o, "--property="); ok {
			wanted = strings.Split(list, ",")
		}
	}
	if len(names) == 0 {
		fmt.Println("Version=252.39-1~deb12u2\nEnvironment=LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
		return 0
	}
	for i, name := range names {
		if i > 0 {
			fmt.Println()
		}
		status := eachUnit([]string{name}, func(u *fakeUnit) int {
			// As systemd, in an order of its own.
			shown := u.Properties
			if len(u.Later) > 0 {
				for name, value := range u.Later[0] {
					u.Properties[name] = value
				}
				u.Later = u.Later[1:]
			}
			for _, p := range []string{
				"TimeoutStopUSec", "MainPID", "Result", "NRestarts", "ExecMainStartTimestampMonotonic", "ExecMainCode", "ExecMainStatus",
				"ExecStart", "Environment", "EnvironmentFiles", "PassEnvironment", "UnsetEnvironment", "Id", "LoadState", "ActiveState", "SubState",
				"RefuseManualStart", "RefuseManualStop", "NeedDaemonReload", "ConditionResult", "ConditionTimestampMonotonic", "LoadError",
			} {
				value, ok := shown[p]
				if !ok || !slices.Contains(wanted, p) {
					continue
				}
				for line := range strings.SplitSeq(value, "\n") {
					fmt.Println(p + "=" + line)
				}
			}
			return 0
		})
		if status != 0 {
			return status
		}
	}
	return 0
}

func (u *fakeUnit) resetFailed() int {
	if u.Properties["LoadState"] != "loaded" {
		return complain(1, "Failed to reset failed state of unit "+u.name+": Unit "+u.name+" not loaded.")
	}
	u.set("NRestarts=0", "limited=")
	if u.Properties["ActiveState"] == "failed" {
		u.set("ActiveState=inactive", "SubState=dead", "Result=success")
	}
	return 0
}

// restart does what the next plan says.
func (u *fakeUnit) restart() int {
	if u.Properties["LoadState"] != "loaded" {
		return complain(5, "Failed to restart "+u.name+": Unit "+u.name+" not found.")
	}
	plan := "ok"
	if len(u.Plans) > 0 {
		plan, u.Plans = u.Plans[0], u.Plans[1:]
	}
	if u.Properties["limited"] != "" {
		plan = "limit"
	}
	u.Later = nil
	return fakePlans[plan](u)
}

var fakePlans = map[string]func(*fakeUnit) int{
	"ok":        (*fakeUnit).planOK,
	"slow":      (*fakeUnit).planSlow,
	"lag":       (*fakeUnit).planLag,
	"same":      func(*fakeUnit) int { return 0 },
	"dies":      (*fakeUnit).planDies,
	"loop":      (*fakeUnit).planLoop,
	"limit":     (*fakeUnit).planLimit,
	"condition": (*fakeUnit).planCondition,
	"denied": func(u *fakeUnit) int {
		return complain(4, "Failed to restart "+u.name+": Access denied\nSee system logs and 'systemctl status "+u.name+"' for details.")
	},
}

func (u *fakeUnit) planOK() int {
	if err := u.standin("restart"); err != nil {
		u.failed("exit-code", 1, 1)
		return complain(1, "Job for "+u.name+" failed because the control process exited with error code.\n"+
			"See \"systemctl status "+u.name+"\" and \"journalctl -xeu "+u.name+"\" for details.")
	}
	if u.Properties["NeedDaemonReload"] == "yes" {
		fmt.Fprintln(os.Stderr, "Warning: The unit file, source configuration file or drop-ins of "+u.name+
			" changed on disk. Run 'systemctl daemon-reload' to reload units.")
	}
	u.runs()
	u.log("Stopping UNIT...", "UNIT: Deactivated successfully.", "Stopped UNIT.", "Started UNIT.")
	return 0
}

// told lets what the unit is now be told after n looks; until then it is what
// it was before, with some changes.
func (u *fakeUnit) told(n int, before map[string]string, changes ...string) {
	now := u.Properties
	u.Properties = before
	u.set(changes...)
	for range n {
		u.Later = append(u.Later, nil)
	}
	u.Later = append(u.Later, now)
}

func (u *fakeUnit) copyOf() map[string]string {
	c := map[string]string{}
	for name, value := range u.Properties {
		c[name] = value
	}
	return c
}

func (u *fakeUnit) planSlow() int {
	before := u.copyOf()
	status := u.planOK()
	u.told(3, before, "ActiveState=activating", "SubState=start-pre", "MainPID=0")
	return status
}

func (u *fakeUnit) planLag() int {
	before := u.copyOf()
	status := u.planOK()
	u.told(3, before)
	return status
}

func (u *fakeUnit) planDies() int {
	u.planOK()
	running := u.copyOf()
	if err := u.standin("down"); err != nil {
		return complain(1, err)
	}
	u.failed("exit-code", 1, 1)
	u.told(2, running)
	config, _ := os.ReadFile(filepath.Join(u.Dir, "blnk.json"))
	_, line, _ := strings.Cut(string(config), `"secret_key"`) // what a program might print that fails
	line, _, _ = strings.Cut(line, "\n")
	u.log(`error loading config: "secret_key"`+line, "UNIT: Main process exited, code=exited, status=1/FAILURE", "UNIT: Failed with result 'exit-code'.")
	return 0
}

func (u *fakeUnit) planLoop() int {
	u.planDies()
	u.Later = nil
	u.set("limited=yes")
	for n := range 5 {
		u.Later = append(u.Later, map[string]string{
			"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code", "MainPID": "0", "ExecMainCode": "1", "ExecMainStatus": "1",
			"NRestarts": fmt.Sprint(n + 1),
		})
	}
	u.Later = append(u.Later, map[string]string{"ActiveState": "failed", "SubState": "failed"})
	u.log("UNIT: Scheduled restart job, restart counter is at 5.", "Stopped UNIT.", "UNIT: Start request repeated too quickly.",
		"UNIT: Failed with result 'exit-code'.", "Failed to start UNIT.")
	return 0
}

func (u *fakeUnit) planLimit() int {
	if err := u.standin("down"); err != nil {
		return complain(1, err)
	}
	u.failed("start-limit-hit", 2, 15)
	u.set("limited=yes")
	u.log("Stopping UNIT...", "UNIT: Deactivated successfully.", "Stopped UNIT.", "UNIT: Start request repeated too quickly.",
		"UNIT: Failed with result 'start-limit-hit'.", "Failed to start UNIT.")
	return complain(1, strings.ReplaceAll(`Job for UNIT failed because start of the service was attempted too often.
See "systemctl status UNIT" and "journalctl -xeu UNIT" for details.
To force a start use "systemctl reset-failed UNIT"
followed by "systemctl start UNIT" again.`, "UNIT", u.name))
}

func (u *fakeUnit) planCondition() int {
	if err := u.standin("down"); err != nil {
		return complain(1, err)
	}
	u.set("ActiveState=inactive", "SubState=dead", "MainPID=0", "ExecMainStartTimestampMonotonic=0", "ConditionResult=no")
	u.log("Stopping UNIT...", "UNIT: Deactivated successfully.", "Stopped UNIT.", "UNIT was skipped because of an unmet condition check (ConditionPathExists=/etc/blnk/gate).")
	return 0
}

// journalctl is the fake of the same name: all lines of one unit, at most as
// many as it was asked for, which are ten.
func journalctl() int {
	if !slices.Contains(os.Args, "--lines=10") || !slices.Contains(os.Args, "--output=cat") {
		return complain(1, "unexpected call of journalctl: "+strings.Join(os.Args, " "))
	}
	for _, a := range os.Args {
		if name, ok := strings.CutPrefix(a, "--unit="); ok {
			u, err := readUnit(name)
			if err != nil {
				return complain(1, err)
			}
			for _, line := range u.Journal[max(0, len(u.Journal)-10):] {
				fmt.Println(line)
			}
		}
	}
	return 0
}
