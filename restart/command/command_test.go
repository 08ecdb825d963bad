package command_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/restart/command"
	"github.com/blnkctl/blnkctl/secret"
)

// open opens "sh:TEXT".
func open(t *testing.T, text string, opt restart.Options) restart.Driver {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	if !command.Sh().WorkersProved || command.Sh().Polls != 0 {
		t.Error("a command that succeeded stands for the workers too, and the servers answer within the usual time")
	}
	d, err := command.Sh().Open(text, opt)
	if err != nil {
		t.Fatal(err)
	}
	if d.String() != "sh:"+text {
		t.Errorf("String() = %q, want sh:%s", d, text)
	}
	return d
}

func TestShRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":          `restart reference "sh:": no command behind it`,
		" \n":       `restart reference "sh:": no command behind it`,
		"echo \x00": `restart reference "sh:…": a command cannot hold a NUL character`,
	} {
		if _, err := command.Sh().Open(text, restart.Options{Dir: "/"}); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

// The text reaches the shell as it is: quotes, '#', '?', colons, line ends.
func TestShVerbatim(t *testing.T) {
	dir := t.TempDir()
	const text = "printf '%s|' \"a  b\" 'c#d?e=f' x:y \\$HOME >out\necho end >>out # a comment"
	d := open(t, text, restart.Options{Dir: dir})
	if err := d.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "out"))
	if want := "a  b|c#d?e=f|x:y|$HOME|end\n"; err != nil || string(data) != want {
		t.Errorf("got %q, %v, want %q", data, err, want)
	}
}

func TestShFails(t *testing.T) {
	keys := []secret.Key{secret.New("first-key-of-the-test")}
	d := open(t, "echo first-key-of-the-test $KEY; exit 5", restart.Options{
		Env:  []string{"PATH=" + os.Getenv("PATH"), "KEY=next-key-of-the-test", "BLNK_SERVER_SECRET_KEY=x"},
		Mask: func() []secret.Key { return keys },
	})
	keys = append(keys, secret.New("next-key-of-the-test")) // made after the driver was opened
	err := d.Restart(t.Context())
	var exit *run.ExitError
	if !errors.As(err, &exit) || exit.Result.Exit != 5 {
		t.Fatalf("error %v, want one of exit status 5", err)
	}
	if want := "[redacted] [redacted]\n"; exit.Result.Output != want {
		t.Errorf("output %q, want %q", exit.Result.Output, want)
	}
	if want := "run sh: exit status 5"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestShTimeout(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	d := open(t, "sleep 300", restart.Options{})
	if err := d.Restart(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a time-out", err)
	}
}

func TestShLeavesItsDaemon(t *testing.T) {
	dir := t.TempDir()
	d := open(t, "sleep 300 & echo $! >pid", restart.Options{Dir: dir})
	start := time.Now()
	if err := d.Restart(t.Context()); err != nil || time.Since(start) > 2*time.Minute {
		t.Errorf("error %v after %v", err, time.Since(start))
	}
	data, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the daemon is gone: %v", err)
	}
}

func TestShCheck(t *testing.T) {
	dir := t.TempDir()
	check := func(text, dir string) error {
		return open(t, text, restart.Options{Dir: dir}).(restart.Checker).Check(t.Context())
	}
	if err := check("touch effect; no-such-program; exit 1", dir); err != nil {
		t.Errorf("a command that a shell can read: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Error("the check ran the command")
	}
	var exit *run.ExitError
	if err := check("echo 'no end", dir); !errors.As(err, &exit) || exit.Result.Output == "" {
		t.Errorf("a missing quote: error %v, want one with what the shell said", err)
	}
	if err := check("true", filepath.Join(dir, "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing folder: error %v", err)
	}
	if err := check("true", "/dev/null"); err == nil {
		t.Error("a folder that is none: no error")
	}
	t.Setenv("PATH", dir)
	if err := check("true", dir); !errors.Is(err, os.ErrNotExist) && !errors.As(err, &exit) {
		t.Errorf("no sh: error %v", err)
	}
}

func TestEndedContext(t *testing.T) {
	why := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	dir := t.TempDir()
	if err := open(t, "touch effect", restart.Options{Dir: dir}).Restart(ctx); !errors.Is(err, why) {
		t.Errorf("error %v, want the cause", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Error("had an effect")
	}
}

// commands are what a configuration would hold.
var commands = config.File{Path: "/blnkctl.yaml", Commands: map[string]config.Command{
	"deploy":  {Run: []string{"./deploy", "--now", "two words", "$HOME"}},
	"nowhere": {Run: []string{"/nonexistent/program"}},
	"empty":   {},
}}

func openCommand(t *testing.T, name string, opt restart.Options) (restart.Driver, error) {
	t.Helper()
	scheme := command.Named(func() (config.File, error) { return commands, nil })
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
