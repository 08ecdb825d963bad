package listener_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/listener"
)

// run starts a command that lasts, and returns its PID.
func run(t *testing.T, name string, args ...string) int {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = "/usr", []string{"PATH=" + os.Getenv("PATH"), "K=v"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return cmd.Process.Pid
}

// fakeBlnk is a program of that name that sleeps.
func fakeBlnk(t *testing.T) string {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "blnk")
	if err := os.Symlink(sleep, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLook(t *testing.T) {
	pid := run(t, "sleep", "600")
	p, ok := listener.Look(pid)
	if !ok || p.PID != pid || filepath.Base(p.Exe) == "" || p.Dir != "/usr" || p.Env["K"] != "v" || !slices.Equal(p.Args, []string{"sleep", "600"}) {
		t.Errorf("%v in %s runs %q", p, p.Dir, p.Args)
	}
	if again, _ := listener.Look(pid); p.Start == "" || again.Start != p.Start {
		t.Errorf("started at %q, later at %q", p.Start, again.Start)
	}
	other := p
	for range 1000 { // Start counts ticks, of 10 ms
		if other, _ = listener.Look(run(t, "true")); other.Start != p.Start && other.Start != "" {
			break
		}
	}
	if other.Start == p.Start {
		t.Error("all processes were started at the same time")
	}
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if p, ok := listener.Look(cmd.Process.Pid); ok {
		t.Errorf("a process that is gone: %v", p)
	}
	if m := (listener.Mark{PID: cmd.Process.Pid}); m.Runs() { // it was gone when it was marked
		t.Errorf("%v still runs", m)
	}
}

// A program that is being started is not taken for one without arguments, nor without
// an environment, nor for another one: execve(2) is seen before they are there.
func TestLookWhileItStarts(t *testing.T) {
	path := fakeBlnk(t)
	for i := range 1000 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			pid := run(t, path, "600")
			if p, ok := listener.Blnk(pid); !ok || p.Env["K"] != "v" || !slices.Equal(p.Args, []string{path, "600"}) {
				t.Fatalf("%v runs %q with %q", p, p.Args, p.Env)
			}
		})
	}
}

// The Blnk that a script starts is found below the script's process.
func TestBlnk(t *testing.T) {
	path := fakeBlnk(t)
	direct, script, other := run(t, path, "600"), run(t, "sh", "-c", path+" 600; true"), run(t, "sleep", "600")
	if p, ok := listener.Blnk(direct); !ok || p.PID != direct {
		t.Errorf("itself: %v, %v", p, ok)
	}
	var child listener.Process
	for deadline := time.Now().Add(5 * time.Minute); ; <-time.After(time.Millisecond) {
		var ok bool
		if child, ok = listener.Blnk(script); ok || time.Now().After(deadline) {
			break
		}
	}
	if child.PID == script || child.PID == 0 || child.Env["K"] != "v" {
		t.Errorf("below a script: %v", child)
	}
	t.Cleanup(func() {
		if p, err := os.FindProcess(child.PID); err == nil && child.PID > 0 {
			_ = p.Kill()
		}
	})
	if p, ok := listener.Blnk(other); ok {
		t.Errorf("another program: %v", p)
	}
}
