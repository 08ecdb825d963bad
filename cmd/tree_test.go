package cmd

import (
	"bytes"
	"context"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/screen"
)

// testEnv is an Env without a process around it: no terminal, no environment
// but a state folder of its own.
func testEnv(t *testing.T, environ ...string) (env *Env, stdout, stderr *bytes.Buffer) {
	t.Helper()
	return testEnvIn(t.TempDir(), environ...)
}

// testEnvIn is the same in a folder that is there.
func testEnvIn(dir string, environ ...string) (env *Env, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return &Env{
		CatchSignals: func() {},
		Stdin:        strings.NewReader(""), Stdout: stdout, Stderr: &screen.Talk{W: stderr},
		Environ: append([]string{"BLNKCTL_STATE_DIR=" + dir + "/state"}, environ...),
		Getwd:   func() (string, error) { return dir, nil },
		UID:     1000,
		Now:     time.Now,
	}, stdout, stderr
}

func testApp(t *testing.T) (*app, *cobra.Command) {
	t.Helper()
	env, stdout, _ := testEnv(t)
	a := &app{env: env, out: &screen.Output{Writer: stdout}}
	return a, newRootCmd(a, nil)
}

func walkCommands(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walkCommands(sub, visit)
	}
}

// Every command's --help ends with its exit status, fits a terminal in both
// directions, lists each flag, and names no command that does not exist.
func TestHelpOfEveryCommand(t *testing.T) {
	_, root := testApp(t)
	flags := map[string][]string{}
	walkCommands(root, func(c *cobra.Command) {
		flags[c.CommandPath()] = nil
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			flags[c.CommandPath()] = append(flags[c.CommandPath()], "--"+f.Name+" ")
		})
	})
	for name, own := range flags {
		t.Run(name, func(t *testing.T) {
			env, stdout, stderr := testEnv(t)
			args := append(strings.Fields(name)[1:], "--help")
			if code := Run(context.Background(), env, args); code != exitOK || stderr.Len() > 0 {
				t.Fatalf("exit status %d, stderr %q", code, stderr)
			}
			help := stdout.String()
			_, codes, ok := strings.Cut(help, "\nExit Status:\n  ")
			if name == "blnkctl exit-codes" {
				codes, ok = help, true
			} else if !strings.Contains(strings.Join(strings.Fields(codes), " "), "see `blnkctl help exit-codes`") {
				t.Error("it does not end with its exit status")
			}
			if !ok || strings.Contains(codes, "\n\n") && name != "blnkctl exit-codes" {
				t.Errorf("no exit status:\n%s", help)
			}
			for _, flag := range own {
				if !strings.Contains(help, " "+flag) {
					t.Errorf("%s is missing", flag)
				}
			}
			most := 45
			if name == "blnkctl rotate" || name == "blnkctl" { // twice as many flags as any other, and all commands
				most = 55
			}
			if n := strings.Count(help, "\n"); n > most {
				t.Errorf("%d lines", n)
			}
			for line := range strings.Lines(help) {
				if len(strings.TrimRight(line, "\n")) > screen.Width+strings.Count(line, "…")*2 {
					t.Errorf("%d columns: %s", len(line)-1, line)
				}
			}
			for _, later := range []string{"blnkctl init", "blnkctl status", "blnkctl doctor", "blnkctl due"} {
				if _, there := flags[later]; strings.Contains(help, later) && !there {
					t.Errorf("the help names %s, which does not exist", later)
				}
			}
		})
	}
}

// What is built for one command is what stands in the whole tree.
func TestOneCommandOfTheTree(t *testing.T) {
	for name := range commands() {
		a, _ := testApp(t)
		root := newRootCmd(a, []string{name})
		c, _, err := root.Find([]string{name})
		if err != nil || c.Name() != name {
			t.Errorf("%s: found %v, %v", name, c.Name(), err)
		}
	}
}

// A flag that asks for something to be done must not come from a variable that
// somebody forgot.
func TestActionsAreNoVariables(t *testing.T) {
	never := []string{"yes", "force", "abort", "abandon", "compromised", "server-down", "dry-run"}
	_, root := testApp(t)
	seen := map[string]bool{}
	walkCommands(root, func(c *cobra.Command) {
		for _, name := range never {
			if f := c.Flags().Lookup(name); f != nil {
				seen[name] = true
				if _, action := f.Annotations[actionMark]; !action {
					t.Errorf("%s: --%s is not marked as an action", c.CommandPath(), name)
				}
			}
		}
	})
	if !seen["force"] {
		t.Error("keygen has no --force: this test looks at nothing")
	}
}

// Run touches nothing but its Env.
func TestRunUsesItsEnvOnly(t *testing.T) {
	t.Setenv("BLNKCTL_FORMAT", "hex")
	env, stdout, stderr := testEnv(t, "BLNKCTL_FORMAT=base62")
	if code := Run(context.Background(), env, []string{"keygen"}); code != exitOK {
		t.Fatalf("exit status %d: %s", code, stderr)
	}
	if n := len(strings.TrimSpace(stdout.String())); n != 43 {
		t.Errorf("%d characters, want the 43 of base62", n)
	}
}

func TestInterruptedBeforeItBegan(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(&interrupt.Error{Signal: syscall.SIGINT})
	env, _, stderr := testEnv(t)
	code := Run(ctx, env, []string{"keygen", "--store", "blnkjson:blnk.json"})
	if code != exitInterrupted || !strings.HasPrefix(stderr.String(), "error: interrupted (SIGINT)\n") {
		t.Errorf("exit status %d, %q", code, stderr)
	}
}

// A run in this process leaves nothing behind that --all would have as many times as
// there are targets.
func TestRunsKeepNothing(t *testing.T) {
	held := func() uint64 {
		for range 200 {
			env, _, _ := testEnv(t)
			if code := Run(context.Background(), env, []string{"rotate", "--help"}); code != exitOK {
				t.Fatal(code)
			}
		}
		runtime.GC()
		runtime.GC() // what has a finalizer needs two
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, after := held(), held()
	if kept := (int64(after) - int64(before)) / 200; kept > 5000 {
		t.Errorf("each run keeps %d bytes", kept)
	}
}
