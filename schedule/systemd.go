package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
)

var errSystemd = errors.New("systemd cannot run this")

// Timer is the name of the timer of a target, and Service that of what it starts.
func Timer(target string) string { return Name(target) + ".timer" }

// Service is described at Timer.
func Service(target string) string { return Name(target) + ".service" }

// Mailer is the name of the service that a failure starts, where it is to be mailed.
func Mailer(target string) string { return Name(target) + "-failed.service" }

// Units are the job as systemd has it: a service, its timer, and where a failure is
// mailed a service for that.
func (j Job) Units() []File {
	units := []File{{Service(j.Target), Sealed(j.service())}, {Timer(j.Target), Sealed(j.timer())}}
	if j.Mail != "" {
		units = append(units, File{Mailer(j.Target), Sealed(j.mailer())})
	}
	return units
}

// CheckUnits refuses a folder that systemd has no way to write: its name would go on in
// lines of its own, and say what is run.
func (j Job) CheckUnits() error {
	if strings.ContainsAny(j.Dir, "\n\r") || strings.HasSuffix(j.Dir, `\`) {
		return hint.Add(fmt.Errorf("%w: a line end, or a \\ at its end, is in the name of the folder %q", errSystemd, j.Dir), "run this in another folder, with whole paths")
	}
	return nil
}

func (j Job) service() string {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + "=" + value + "\n") }
	b.WriteString("[Unit]\n")
	line("Description", "Rotate the master key of Blnk where it is due"+j.of())
	if j.Root { // the manager of a user does not know of it
		line("Wants", "network-online.target")
		line("After", "network-online.target")
	}
	if j.Mail != "" {
		line("OnFailure", Mailer(j.Target))
	}
	b.WriteString("\n[Service]\n")
	line("Type", "oneshot")
	if j.Root {
		line("User", "root") // else there is no HOME, in which docker and vault look
	}
	line("WorkingDirectory", strings.ReplaceAll(j.Dir, "%", "%%"))
	for _, v := range j.Env {
		line("Environment", quoted(v, false))
	}
	line("ExecStart", j.exec())
	b.WriteString("# Another run is at work, and tells what comes of it.\n")
	line("SuccessExitStatus", "5")
	b.WriteString("# On SIGTERM it puts everything back, which takes a restart.\n")
	line("TimeoutStopSec", "10min")
	// Also where no command of theirs is known: blnkctl.yaml may name one later, and the
	// server and workers that it starts would be killed with a rotation that went well.
	b.WriteString("# What a command of yours starts goes on when the service ends.\n")
	line("KillMode", "process")
	if j.Foreign() {
		b.WriteString("# Nothing that it could need is taken from it.\n")
	} else {
		for _, s := range j.shut() {
			line(s[0], s[1])
		}
	}
	return b.String()
}

// shut is what the service cannot do, where it starts nothing but docker and systemctl:
// what is left are the files named, and what it takes to look at processes of other users
// and to keep the owner of a file.
func (j Job) shut() [][2]string {
	all := [][2]string{
		{"NoNewPrivileges", "yes"},
		{"LockPersonality", "yes"},
		{"MemoryDenyWriteExecute", "yes"},
		{"RestrictRealtime", "yes"},
		{"RestrictSUIDSGID", "yes"},
		{"RestrictNamespaces", "yes"},
		{"RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"},
		{"SystemCallArchitectures", "native"},
		{"SystemCallFilter", "@system-service"},
		{"SystemCallErrorNumber", "EPERM"},
		{"UMask", "0077"},
	}
	if !j.Root { // the rest takes a manager that is root
		return all
	}
	dirs, tmp := slices.Clone(j.Folders), "yes"
	if j.StateDir != ownState {
		dirs = append(dirs, j.StateDir)
	}
	if slices.ContainsFunc(append([]string{j.Program, j.Dir}, dirs...), func(path string) bool {
		return strings.HasPrefix(path, "/tmp/") || strings.HasPrefix(path, "/var/tmp/")
	}) { // a private one would hide it
		dirs, tmp = append(dirs, "/tmp", "/var/tmp"), "no"
	}
	writes := make([]string, 0, len(dirs))
	for _, dir := range dirs {
		writes = append(writes, quoted(dir, false))
	}
	all = append(all, [2]string{"ProtectSystem", "strict"}, [2]string{"ProtectHome", "read-only"})
	if j.StateDir == ownState {
		all = append(all, [2]string{"StateDirectory", "blnkctl"}, [2]string{"StateDirectoryMode", "0700"})
	}
	if len(writes) > 0 {
		all = append(all, [2]string{"ReadWritePaths", strings.Join(writes, " ")})
	}
	all = append(all, [2]string{"PrivateTmp", tmp})
	for _, name := range []string{
		"PrivateDevices", "ProtectClock", "ProtectControlGroups", "ProtectHostname",
		"ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables",
	} {
		all = append(all, [2]string{name, "yes"})
	}
	return append(all, [2]string{"CapabilityBoundingSet", "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_SYS_PTRACE"})
}

func (j Job) timer() string {
	return "[Unit]\nDescription=Rotate the master key of Blnk where it is due" + j.of() +
		"\n\n[Timer]\nOnCalendar=" + j.When.calendar() +
		"\n# A run that was missed is made up for: the policy or the age decides.\nPersistent=true\n" +
		"\n[Install]\nWantedBy=timers.target\n"
}

// mailer mails what the journal has of the service's last run. Its lines are not asked for
// by the ID of the run (_SYSTEMD_INVOCATION_ID): those that the journal takes when the run
// has ended lack it.
func (j Job) mailer() string {
	manager := ""
	if !j.Root {
		manager = "--user "
	}
	script := `{ printf 'To: %s\nSubject: blnkctl on %s: the scheduled rotation` + j.of() + ` failed\n\n' ` + j.Mail + ` "$(uname -n)"; ` +
		"journalctl --sync 2>/dev/null; " + // only root can; what is under way is in it then
		"journalctl " + manager + "--unit=" + Service(j.Target) + ` --since="$(systemctl ` + manager + "show --property=InactiveExitTimestamp --value " + Service(j.Target) + `)"` +
		" --lines=50 --output=cat --no-pager; } | PATH=$PATH:/usr/sbin:/usr/lib sendmail -t"
	return "[Unit]\nDescription=Mail that the scheduled rotation" + j.of() + " failed\n\n[Service]\nType=oneshot\n" +
		"# A sendmail may deliver after its own end.\nKillMode=process\nExecStart=/bin/sh -c " + quoted(script, true) + "\n"
}

// of names the target behind a text.
func (j Job) of() string {
	if j.Target == "" {
		return ""
	}
	return " (" + j.Target + ")"
}

// exec is the command of the service.
func (j Job) exec() string {
	words := []string{quoted(j.Program, false)} // in which no variable is looked for
	for _, word := range j.Args {
		words = append(words, quoted(word, true))
	}
	return strings.Join(words, " ")
}

// quoted writes a word so that systemd reads it as it is (systemd.syntax(7),
// systemd.service(5)); variables are looked for in the words of commands only.
func quoted(word string, variables bool) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@+=:,./_-"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	var b strings.Builder
	for i := range len(word) {
		switch c := word[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '%' || c == '$' && variables:
			b.WriteString(string(c) + string(c))
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}
