package restart_test

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

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
)

var schemes = restart.Schemes{"sh": restart.Sh(), "manual": restart.Manual(), "wait": restart.Wait()}

func open(t *testing.T, ref string, opt restart.Options) restart.Driver {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	scheme, place, err := schemes.Find(ref)
	if err != nil {
		t.Fatal(err)
	}
	d, err := scheme.Open(place, opt)
	if err != nil {
		t.Fatal(err)
	}
	if d.String() != ref {
		t.Errorf("String() = %q, want %q", d.String(), ref)
	}
	return d
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ ref, want string }{
		{"systemctl restart blnk", `restart reference "systemctl restart blnk": want SCHEME:PLACE`},
		{"cron:x", `restart reference "cron:x": unknown scheme "cron" (known: manual, sh, wait)`},
		{"sh:", `restart reference "sh:": no command behind it`},
		{"sh: \n", `restart reference "sh:": no command behind it`},
		{"sh:echo \x00", `restart reference "sh:…": a command cannot hold a NUL character`},
		{"wait:30s", `restart reference "wait:30s": nothing may stand behind "wait:"`},
		{"manual:please", `restart reference "manual:please": nothing may stand behind "manual:"`},
	} {
		scheme, place, err := schemes.Find(c.ref)
		if err == nil {
			_, err = scheme.Open(place, restart.Options{Dir: "/"})
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: error %v, want %s", c.ref, err, c.want)
		}
	}
}

func TestSchemeData(t *testing.T) {
	for name, workers := range map[string]bool{"sh": true, "manual": false, "wait": false} {
		if schemes[name].WorkersProved != workers {
			t.Errorf("%s: workers proved is %v", name, !workers)
		}
	}
	if schemes["manual"].Polls != 15*time.Minute || schemes["sh"].Polls != 0 {
		t.Error("how long to poll: want 15m for manual, the usual time for sh")
	}
}

// The text reaches the shell as it is: quotes, '#', '?', colons, line ends.
func TestShVerbatim(t *testing.T) {
	dir := t.TempDir()
	const text = "printf '%s|' \"a  b\" 'c#d?e=f' x:y \\$HOME >out\necho end >>out # a comment"
	d := open(t, "sh:"+text, restart.Options{Dir: dir})
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
	d := open(t, "sh:echo first-key-of-the-test $KEY; exit 5", restart.Options{
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
	d := open(t, "sh:sleep 300", restart.Options{Timeout: 200 * time.Millisecond})
	var exit *run.ExitError
	if err := d.Restart(t.Context()); !errors.As(err, &exit) || !exit.Result.TimedOut {
		t.Errorf("error %v, want a time-out", err)
	}
}

func TestShLeavesItsDaemon(t *testing.T) {
	dir := t.TempDir()
	d := open(t, "sh:sleep 300 & echo $! >pid", restart.Options{Dir: dir, Timeout: 30 * time.Second})
	start := time.Now()
	if err := d.Restart(t.Context()); err != nil || time.Since(start) > 15*time.Second {
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
		return open(t, "sh:"+text, restart.Options{Dir: dir}).(restart.Checker).Check(t.Context())
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

func TestManualSaysWhatToDo(t *testing.T) {
	var said []string
	d := open(t, "manual:", restart.Options{Say: func(line string) { said = append(said, line) }})
	if err := d.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(said, "\n")
	for _, want := range []string{"server", "worker", "--force-recreate"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing about %q in:\n%s", want, text)
		}
	}
	if err := open(t, "manual:", restart.Options{}).Restart(t.Context()); err != nil {
		t.Errorf("with nobody to tell: %v", err)
	}
}

func TestWaitDoesNothing(t *testing.T) {
	if err := open(t, "wait:", restart.Options{}).Restart(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEndedContext(t *testing.T) {
	why := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	for _, ref := range []string{"sh:touch effect", "manual:", "wait:"} {
		said := false
		dir := t.TempDir()
		d := open(t, ref, restart.Options{Dir: dir, Say: func(string) { said = true }})
		if err := d.Restart(ctx); !errors.Is(err, why) {
			t.Errorf("%s: error %v, want the cause", ref, err)
		}
		if left, _ := os.ReadDir(dir); said || len(left) != 0 {
			t.Errorf("%s: had an effect", ref)
		}
	}
}
