package run_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
)

// far is a time that no test comes near unless what it tests is broken.
const far = 4 * time.Minute

func sh(text string) run.Cmd { return run.Cmd{Args: []string{"sh", "-c", text}, Timeout: far} }

func TestOutputAndExit(t *testing.T) {
	for _, c := range []struct {
		name, text, output, err string
		exit                    int
		signal                  string
	}{
		{name: "success", text: "echo one; echo two >&2; echo three", output: "one\ntwo\nthree\n"},
		{name: "exit status", text: "echo why >&2; exit 3", output: "why\n", exit: 3, err: "run sh: exit status 3"},
		{name: "signal", text: "kill -KILL $$", exit: -1, signal: "killed", err: "run sh: ended by signal: killed"},
		{name: "stdin is empty", text: "cat; echo end", output: "end\n"},
		{name: "stdout opened anew", text: "echo lost output; echo kept >/dev/stdout; echo more", output: "kept\nmore\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := sh(c.text).Run(t.Context())
			if res.Output != c.output || res.Exit != c.exit || res.Signal != c.signal || res.TimedOut {
				t.Errorf("got %+v, want output %q, exit %d, signal %q", res, c.output, c.exit, c.signal)
			}
			if c.err == "" {
				if err != nil {
					t.Errorf("error %v, want none", err)
				}
				return
			}
			var exit *run.ExitError
			if !errors.As(err, &exit) || exit.Result != res || err.Error() != c.err {
				t.Errorf("error %v with %+v, want %q with the result", err, exit, c.err)
			}
		})
	}
}

func TestCannotStart(t *testing.T) {
	for _, c := range []struct {
		name string
		cmd  run.Cmd
		want error
	}{
		{"no such program", run.Cmd{Args: []string{"/nowhere/at-all"}}, fs.ErrNotExist},
		{"no such folder", run.Cmd{Args: []string{"sh", "-c", ":"}, Dir: "/nowhere"}, fs.ErrNotExist},
		{"a folder", run.Cmd{Args: []string{"/"}}, syscall.EISDIR},
		{"no command", run.Cmd{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := c.cmd.Run(t.Context())
			var exit *run.ExitError
			if !errors.As(err, &exit) || exit.Err == nil || res.Exit != -1 {
				t.Fatalf("got %+v, %v", res, err)
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v does not wrap %v", err, c.want)
			}
		})
	}
}

// A full or missing TMPDIR must stop a command before it has an effect.
func TestNoPlaceForOutput(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", filepath.Join(dir, "missing"))
	_, err := sh("touch " + filepath.Join(dir, "effect")).Run(t.Context())
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one of the missing folder", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "effect")); err == nil {
		t.Error("the command ran")
	}
}

func TestOutputFileIsPrivateAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	res, err := sh("stat -L -c '%a %h' /dev/fd/1; ls " + dir).Run(t.Context())
	if err != nil || res.Output != "600 0\n" {
		t.Errorf("mode and links of the output: %q, %v; want 600, no name, an empty folder", res.Output, err)
	}
}

func TestDirAndEnvironment(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BLNK_SERVER_SECRET_KEY", "theirs")
	t.Setenv("BLNK_SERVER_BLNK_SERVER_SECRET_KEY", "theirs")
	t.Setenv("BLNKCTL_OUTPUT", "ours")
	t.Setenv("OTHER", "kept")
	for _, c := range []struct {
		name string
		env  []string
		want string
	}{
		{"of the caller", nil, "BLNKCTL_OUTPUT=ours\nOTHER=kept\nPWD=" + dir + "\n"},
		{"given", []string{"PATH=" + os.Getenv("PATH"), "BLNK_X=theirs", "BLNKCTL_OUTPUT=ours"},
			"BLNKCTL_OUTPUT=ours\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := run.Cmd{Args: []string{"env"}, Dir: dir, Env: c.env}
			res, err := cmd.Run(t.Context())
			var got string
			for line := range strings.Lines(res.Output) {
				name, _, _ := strings.Cut(line, "=")
				if strings.HasPrefix(name, "BLNK_") || slices.Contains([]string{"BLNKCTL_OUTPUT", "OTHER", "PWD"}, name) {
					got += line
				}
			}
			lines := slices.Sorted(strings.Lines(got))
			if got = strings.Join(lines, ""); err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// The daemon keeps the output open and stays in the process group: both must
// neither delay Run nor cost the daemon its life.
func TestDaemonLeftBehind(t *testing.T) {
	start := time.Now()
	res, err := sh("sleep 300 & echo $!").Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(res.Output))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if d := time.Since(start); d > far/2 {
		t.Errorf("waited %v for the daemon", d)
	}
	if !alive(t, pid) {
		t.Error("the daemon was killed")
	}
}

// A time-out ends the whole group, also members that ignore SIGTERM and
// members that outlive the command; a daemon outside of it lives on.
func TestTimeoutEndsTheGroup(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup // all wait: at once, whatever -parallel says
	for _, c := range []struct {
		name, text string
		signal     string
		exit       int
	}{
		{"as asked", "sleep 300 & echo $!; wait", "terminated", -1},
		{"deaf", "trap '' TERM; sleep 300 & echo $!; wait", "killed", -1},
		{"child outlives", "(trap '' TERM; exec sleep 300) & echo $!; trap 'exit 7' TERM; wait; wait", "", 7},
		{"stopped", "sleep 300 & echo $!; kill -STOP $!; kill -STOP $$; wait", "terminated", -1},
	} {
		all.Go(func() {
			cmd := sh(c.text)
			cmd.Timeout, cmd.Grace = 8*time.Second, 8*time.Second // far more than a shell takes to get there
			res, err := cmd.Run(t.Context())
			if !res.TimedOut || res.Signal != c.signal || res.Exit != c.exit {
				t.Errorf("%s: got %+v, want a time-out, signal %q, exit %d", c.name, res, c.signal, c.exit)
			}
			if want := "run sh: timed out after 8s"; err == nil || err.Error() != want {
				t.Errorf("%s: error %v, want %s", c.name, err, want)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(res.Output))
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else if !dies(t, pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				t.Errorf("%s: a member of the group lives on", c.name)
			}
		})
	}
	all.Wait()
}

func TestTimeoutLeavesOtherGroups(t *testing.T) {
	t.Parallel()
	cmd := sh("setsid sleep 300 & echo $!; sleep 300")
	cmd.Timeout = 8 * time.Second
	res, _ := cmd.Run(t.Context())
	pid, err := strconv.Atoi(strings.TrimSpace(res.Output))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if !alive(t, pid) {
		t.Error("a daemon with a session of its own was killed")
	}
}

func TestContextEnds(t *testing.T) {
	why := errors.New("a person said stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	fifo := filepath.Join(t.TempDir(), "started")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = os.ReadFile(fifo) // returns when the command has written
		cancel(why)
	}()
	res, err := sh("trap 'echo cleaned up; exit 0' TERM; sh -c 'echo go >" + fifo + "; exec sleep 300' & wait").Run(ctx)
	if !errors.Is(err, why) || res.TimedOut || res.Output != "cleaned up\n" {
		t.Errorf("got %+v, %v; want the cause and a command that cleaned up", res, err)
	}
	res, err = sh("echo ran").Run(ctx)
	if !errors.Is(err, why) || res.Output != "" || res.Exit != -1 {
		t.Errorf("with a context that had ended: %+v, %v", res, err)
	}
}

// A process group of its own keeps a ^C of the terminal away.
func TestOwnProcessGroup(t *testing.T) {
	res, err := sh("cut -d' ' -f5 /proc/$$/stat; echo $$").Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Fields(res.Output); len(lines) != 2 || lines[0] != lines[1] {
		t.Errorf("process group and PID differ: %q", res.Output)
	}
}

func TestOutputMasked(t *testing.T) {
	key := secret.New("blnk_sk_0123456789abcdefghij+/%\"x")
	var lines strings.Builder
	for _, s := range key.Encodings() {
		lines.WriteString(s + "\n")
	}
	file := filepath.Join(t.TempDir(), "shapes")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	// dd writes three bytes at a time: no write holds a whole key.
	cmd := sh("dd bs=3 status=none <" + file + "; dd bs=3 status=none <" + file + " >&2")
	cmd.Mask = []secret.Key{key, secret.New("another")}
	res, err := cmd.Run(t.Context())
	want := strings.Repeat(secret.Redacted+"\n", 2*len(key.Encodings()))
	if err != nil || res.Output != want {
		t.Errorf("got %v and\n%s\nwant\n%s", err, res.Output, want)
	}
}

// The command is killed in the middle of a key.
func TestHalfKeyAtTheEnd(t *testing.T) {
	cmd := sh("printf 'key: blnk_sk_012345'; kill -KILL $$")
	cmd.Mask = []secret.Key{secret.New("blnk_sk_0123456789abcdefghij")}
	res, _ := cmd.Run(t.Context())
	if want := "key: " + secret.Redacted; res.Output != want {
		t.Errorf("got %q, want %q", res.Output, want)
	}
}

func TestFlood(t *testing.T) {
	const keep = 64 << 10
	key := secret.New("blnk_sk_0123456789abcdefghij")
	shift := func(n int) { // n bytes behind the key: the cut goes n+len-keep bytes into it
		cmd := sh("head -c 100000000 /dev/zero | tr '\\0' x; printf %s blnk_sk_0123456789abcdefghij; head -c " +
			strconv.Itoa(n) + " /dev/zero | tr '\\0' y")
		cmd.Mask = []secret.Key{key}
		res, err := cmd.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := secret.Redacted + strings.Repeat("y", n); res.Output != want {
			t.Errorf("with %d bytes behind the key: %d bytes that begin %.40q", n, len(res.Output), res.Output)
		}
	}
	shift(keep - 10)
	shift(keep - 27)
	shift(keep - 1)
}

// dies waits for a process that was sent SIGKILL: the signal is on its way when
// Run returns.
func dies(t *testing.T, pid int) bool {
	t.Helper()
	deadline := time.After(far)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for alive(t, pid) {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}

// alive says whether a process runs; a zombie does not.
func alive(t *testing.T, pid int) bool {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// What a command said last, on one line.
func TestLast(t *testing.T) {
	for _, c := range []struct {
		output      string
		lines, most int
		want        string
	}{
		{"", 3, 9, ""},
		{"\r\n \n", 3, 9, ""},
		{"a\r\n\n b \nc\n", 1, 9, "c"},
		{"a\r\n\n b \nc\n", 2, 9, "b; c"},
		{"a\nb", 9, 9, "a; b"},
		{"0123456789", 1, 4, "…6789"},
		{"äöü", 1, 3, "…ü"}, // no half of a character
	} {
		if got := run.Last(c.output, c.lines, c.most); got != c.want {
			t.Errorf("%q, %d lines, %d bytes: %q, want %q", c.output, c.lines, c.most, got, c.want)
		}
	}
}
