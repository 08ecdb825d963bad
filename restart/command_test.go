package restart_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
)

// commands are what a configuration would hold.
var commands = map[string][]string{
	"deploy":  {"./deploy", "--now", "two words", "$HOME"},
	"nowhere": {"/nonexistent/program"},
	"empty":   {},
}

func openCommand(t *testing.T, name string, opt restart.Options) (restart.Driver, error) {
	t.Helper()
	scheme := restart.Command(func(name string) ([]string, error) { return commands[name], nil })
	if !scheme.WorkersProved {
		t.Error("a command that succeeded stands for the workers too")
	}
	return scheme.Open(name, opt)
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\nprintf '%s|' \"$@\" >args\n"
	if err := os.WriteFile(filepath.Join(dir, "deploy"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := openCommand(t, "deploy", restart.Options{Dir: dir})
	if err != nil || d.String() != "command:deploy" {
		t.Fatalf("%v, %v", d, err)
	}
	if err := d.(restart.Checker).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	// No shell has read the arguments.
	if args, err := os.ReadFile(filepath.Join(dir, "args")); err != nil || string(args) != "--now|two words|$HOME|" {
		t.Errorf("%q, %v", args, err)
	}
}

func TestCommandThatCannotRun(t *testing.T) {
	d, err := openCommand(t, "nowhere", restart.Options{Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.(restart.Checker).Check(t.Context()); err == nil {
		t.Error("the check passed")
	}
	var exit *run.ExitError
	if err := d.Restart(t.Context()); !errors.As(err, &exit) {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"empty", "unknown", ""} {
		if _, err := openCommand(t, name, restart.Options{Dir: "/"}); err == nil {
			t.Errorf("command %q was opened", name)
		}
	}
}
