package run_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
)

const piped = "blnk_sk_Kq7ZpW3xVb9THc5RmY8dLf2NJx4GtS6wQz1P"

func TestInput(t *testing.T) {
	for _, c := range []struct {
		name, text, key, output string
		unread                  bool
	}{
		{"as it is", "wc -c; test -p /dev/stdin && echo a pipe", piped, strconv.Itoa(len(piped)) + "\na pipe\n", false},
		{"masked", "cat", piped, "[redacted]", false},
		{"opened anew", "cat /dev/stdin | wc -c", piped, strconv.Itoa(len(piped)) + "\n", false},
		{"not read", "echo done", piped, "done\n", true},
		{"half read", "head -c 3 >/dev/null", piped, "", true},
		{"more than a pipe holds, not read", ":", strings.Repeat(piped, 1<<14), "", true},
		{"more than a pipe holds", "wc -c", strings.Repeat(piped, 1<<14), strconv.Itoa(len(piped)<<14) + "\n", false},
		{"in no variable", "env | grep -c " + piped[9:20] + "; cat >/dev/null", piped, "0\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := sh(c.text)
			cmd.Input = secret.New(c.key)
			res, err := cmd.Run(t.Context())
			if err != nil || strings.ReplaceAll(res.Output, " ", "") != strings.ReplaceAll(c.output, " ", "") || res.Unread != c.unread {
				t.Errorf("got %q, unread %v, %v; want %q, %v", res.Output, res.Unread, err, c.output, c.unread)
			}
		})
	}
}

// A text is not masked, and need not be read either.
func TestText(t *testing.T) {
	for text, want := range map[string]string{"cat": "a text", ":": ""} {
		cmd := sh(text)
		cmd.Text = "a text"
		if res, err := cmd.Run(t.Context()); err != nil || res.Output != want {
			t.Errorf("%s: %q, %v", text, res.Output, err)
		}
	}
	cmd := sh("wc -c <&0 >/dev/null; echo read; exec <&-")
	cmd.Text = strings.Repeat("x", 1<<20)
	if res, err := cmd.Run(t.Context()); err != nil || res.Output != "read\n" {
		t.Errorf("%q, %v", res.Output, err)
	}
	cmd = sh("echo not read")
	cmd.Text = strings.Repeat("x", 1<<20)
	if res, err := cmd.Run(t.Context()); err != nil || res.Output != "not read\n" {
		t.Errorf("%q, %v", res.Output, err)
	}
}

func TestInputNotStarted(t *testing.T) {
	before := openFiles(t)
	for range 10 {
		cmd := run.Cmd{Args: []string{"/nowhere/at-all"}, Input: secret.New(piped)}
		if _, _, err := cmd.Read(t.Context()); err == nil {
			t.Fatal("it ran")
		}
	}
	if after := openFiles(t); after > before+5 {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, text, key, output, err string
	}{
		{"apart", "echo a; echo b >&2; echo c", "a\nc\n", "b\n", ""},
		{"nothing", "echo b >&2", "", "b\n", ""},
		{"masked on stderr", "echo " + piped + "; echo got " + piped + " >&2", piped + "\n", "got [redacted]\n", ""},
		{"failed behind it", "echo " + piped + "; echo got " + piped + " >&2; exit 3", "", "got [redacted]\n", "run sh: exit status 3"},
		{"killed behind it", "echo " + piped + "; echo got " + piped + " >&2; kill -KILL $$", "", "got [redacted]\n", "run sh: ended by signal: killed"},
		{"far too long", "head -c 10000000 /dev/zero", "", "", "run sh: too much on its stdout: more than 64 KiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, res, err := sh(c.text).Read(t.Context())
			if key.Reveal() != c.key || res.Output != c.output {
				t.Errorf("key of %d bytes, output %q; want %q, %q", len(key.Reveal()), res.Output, c.key, c.output)
			}
			if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if strings.Contains(c.err, "64 KiB") && !errors.Is(err, run.ErrTooLong) {
				t.Error("the error does not wrap ErrTooLong")
			}
		})
	}
}

// What a command prints as a key is on no disk, not even in a file without a
// name.
func TestReadKeepsOffTheDisk(t *testing.T) {
	key, res, err := sh("test -p /dev/fd/1 && echo a pipe").Read(t.Context())
	if err != nil || key.Reveal() != "a pipe\n" {
		t.Errorf("%q, %q, %v", key.Reveal(), res.Output, err)
	}
}

// A daemon that keeps stdout open is not waited for.
func TestReadBesideADaemon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	start := time.Now()
	key, _, err := sh("sleep 300 & echo $! >" + file + "; echo key").Read(t.Context())
	if err != nil || key.Reveal() != "key\n" {
		t.Errorf("%q, %v", key.Reveal(), err)
	}
	if took := time.Since(start); took > far/2 {
		t.Errorf("it took %v", took)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the daemon was ended with the command: %v", err)
	}
}

func TestReadTimesOut(t *testing.T) {
	cmd := sh("echo half; exec sleep 60")
	cmd.Timeout = 50 * time.Millisecond
	key, res, err := cmd.Read(t.Context())
	if err == nil || !res.TimedOut || !key.IsZero() {
		t.Errorf("key %v, %+v, %v", !key.IsZero(), res, err)
	}
}
