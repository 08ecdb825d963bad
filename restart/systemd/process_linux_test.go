package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/internal/textfile"
)

// start runs a process that calls itself by argv and sleeps, and returns its PID.
func start(t *testing.T, dir string, env []string, argv ...string) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.Args, cmd.Dir, cmd.Env = argv, dir, env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return cmd.Process.Pid
}

// state is what `systemctl show` would say of a unit with this main process.
func state(t *testing.T, pid int, lines ...string) unitState {
	t.Helper()
	st, err := parseState("Id=x.service\nLoadState=loaded\nActiveState=active\nExecMainStartTimestampMonotonic=7\nMainPID=" +
		strconv.Itoa(pid) + "\n" + strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

const (
	server = "ExecStart={ path=/usr/bin/blnk ; argv[]=/usr/bin/blnk start ; ignore_errors=no }"
	script = "ExecStart={ path=/bin/sh ; argv[]=/bin/sh -c cp x . && exec blnk start ; ignore_errors=no }"
	client = "ExecStart={ path=/usr/bin/docker ; argv[]=docker run --rm image blnk workers ; ignore_errors=no }"
)

// What the main process of a unit is seen to be: its file, its environment, its
// role; and whether more than Blnk itself starts it.
func TestProcess(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	blnk, other := start(t, dir, []string{"K=v"}, "/usr/bin/blnk", "600"), start(t, dir, []string{"K=v"}, "docker", "600")
	for _, c := range []struct {
		what          string
		pid           int
		lines         []string
		config        bool
		server, works bool
		scripted      bool
	}{
		{"as it runs", blnk, []string{server}, true, true, false, false},
		{"as it runs, whatever is set since", blnk, []string{server, "WorkingDirectory=/"}, true, true, false, false},
		{"a script", blnk, []string{script}, true, true, false, true},
		{"something before it", blnk, []string{server, "ExecStartPre={ path=/bin/cp ; argv[]=/bin/cp x . ; ignore_errors=no }"}, true, true, false, true},
		{"its own migration before it", blnk, []string{server, "ExecStartPre={ path=/usr/bin/blnk ; argv[]=/usr/bin/blnk migrate up ; ignore_errors=no }"}, true, true, false, false},
		{"a container's client", other, []string{client}, false, false, true, true},
		{"nothing runs", 0, []string{server}, false, true, false, false},
	} {
		p := state(t, c.pid, c.lines...).process()
		config := p.Config != "" && textfile.Same(filepath.Dir(p.Config), dir)
		if config != c.config || p.Server != c.server || p.Workers != c.works || p.Scripted != c.scripted {
			t.Errorf("%s: server %v, workers %v, scripted %v, reads %q", c.what, p.Server, p.Workers, p.Scripted, p.Config)
		}
		if running := c.pid != 0; p.Env["K"] != map[bool]string{true: "v"}[running] || (p.Start != "") != running || (p.Env != nil) != running {
			t.Errorf("%s: PID %d, start %q, environment known: %v", c.what, p.PID, p.Start, p.Env != nil)
		}
	}
	before := state(t, blnk, server)
	after := state(t, blnk, server)
	after[started] = []string{"8"}
	if before.process().Start != state(t, blnk, server).process().Start || before.process().Start == after.process().Start {
		t.Error("what Start says does not change with each start, and with nothing else")
	}
}

// A process that sees other file systems than this one: by the same path it has
// another file, so it is not known which one it reads.
func TestProcessElsewhere(t *testing.T) {
	needs.Namespaces().For(t)
	here, there := t.TempDir(), t.TempDir()
	for _, d := range []string{here, there} {
		if err := os.WriteFile(filepath.Join(d, "blnk.json"), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, mount := range map[string]string{
		"another folder": "mount --bind " + there + " " + here,
		"another file":   "mount --bind " + filepath.Join(there, "blnk.json") + " " + filepath.Join(here, "blnk.json"),
	} {
		cmd := exec.Command("unshare", "--mount", "bash", "-c", mount+" && cd "+here+" && exec -a blnk sleep 600")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			if err := <-ended; err == nil {
				t.Errorf("%s: it has ended by itself", what)
			}
		})
		for args := ""; !strings.HasPrefix(args, "blnk\x00"); runtime.Gosched() { // until it has become that
			select {
			case err := <-ended:
				ended <- err
				t.Fatalf("%s: it has ended: %v", what, err)
			default:
			}
			data, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "cmdline"))
			args = string(data)
		}
		if p := state(t, cmd.Process.Pid, server).process(); p.Config != "" {
			t.Errorf("%s: %q", what, p.Config)
		}
	}
}

// As whom and where a unit is to be started is told where nothing runs.
func TestStoppedUnit(t *testing.T) {
	for lines, want := range map[string]string{
		"User=nobody\nGroup=\nWorkingDirectory=/srv": "nobody: /srv",
		"Group=daemon":               "0:daemon ",
		"User=blnk\nDynamicUser=yes": " ",
	} {
		p := state(t, 0, server, lines).process()
		if got := p.User + " " + p.Dir; got != want {
			t.Errorf("%q: %q, want %q", lines, got, want)
		}
	}
	if p := state(t, start(t, t.TempDir(), nil, "/usr/bin/blnk", "600"), server, "User=nobody").process(); p.User != "" {
		t.Errorf("one that runs is to be started as %q", p.User)
	}
}
