// Package run runs a command and tells how it ended, with every key masked in
// what it printed.
//
// The command gets a process group of its own, so that a ^C meant for blnkctl
// does not kill a restart halfway. Its stdin is /dev/null, and its output goes
// to a private file without a name instead of a pipe: a daemon that it leaves
// behind keeps the file open, and with a pipe that alone would keep Run
// waiting. A key goes to it and comes from it through pipes only, never through
// a file, an argument or a variable. Run waits for the command itself, never for what it started, and
// signals the group only on a time-out or when the context ends.
//
// It does not promise to find processes that left the group, nor to bound what
// a daemon left behind goes on writing to that file: its room on the disk
// comes back when the daemon ends. A command that opens /dev/stdout or
// /dev/stderr anew truncates what it printed before, as with any file.
package run

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/secret"
)

// defaultGrace is what a group gets between SIGTERM and SIGKILL.
const defaultGrace = 5 * time.Second

// lastWait is how long a killed command may take to be gone. Only one that
// hangs in the kernel (a dead network file system) takes longer.
const lastWait = 5 * time.Second

// A Cmd is a command to run. It holds no state: it can be run again.
type Cmd struct {
	// Args is the program, looked up in PATH, and its arguments.
	Args []string
	// Dir is the working directory; "" is the caller's own.
	Dir string
	// Env is the environment, as NAME=VALUE; nil is the caller's own.
	// Variables named BLNK_* are removed from either: they are settings of a
	// Blnk server and may hold its key. BLNKCTL_* stay.
	Env []string
	// Timeout ends the command; 0 is no limit.
	Timeout time.Duration
	// Grace is how long the process group has to end after SIGTERM before it
	// gets SIGKILL; 0 is 5 seconds.
	Grace time.Duration
	// Mask holds the keys that must not show in the output.
	Mask []secret.Key
	// Input is a key that the command gets on its stdin, as it is: no line end
	// behind it. It is masked too. Without one stdin is /dev/null.
	Input secret.Key
	// Most is how much Read takes of what the command writes to stdout, in
	// bytes; 0 is 64 KiB.
	Most int
	// Held is a file that the command inherits and so keeps open until it ends;
	// nil is none. It serves for a lock that must outlive this process.
	Held *os.File
}

// A Result is how a command ended.
type Result struct {
	// Exit is the exit status, or -1 where there is none: not started, killed
	// by a signal, or given up.
	Exit int
	// Signal names the signal that killed the command ("killed",
	// "terminated"); "" where none did.
	Signal string
	// Output is the end of what the command wrote to stdout and stderr, in
	// the order written, at most 64 KiB of it, with keys masked.
	Output string
	// TimedOut says that Timeout was over before the command was.
	TimedOut bool
	// Unread says that the command ended without reading all of Input.
	Unread bool
}

// An ExitError is a command that did not end with exit status 0. Its text
// names the program only: arguments and output may be long or private.
type ExitError struct {
	// Name is the program, as it was given.
	Name string
	// Result is what is known of the run.
	Result Result
	// Err is the reason where it is not the command's own end: it could not be
	// started, or the context ended. It is nil for an exit status, a signal
	// and a time-out.
	Err error

	reason string
}

// Error says which program failed and how.
func (e *ExitError) Error() string { return "run " + e.Name + ": " + e.reason }

// Unwrap returns Err.
func (e *ExitError) Unwrap() error { return e.Err }

// Run runs the command and waits for it, not for what it leaves behind. The
// error is nil after exit status 0, and otherwise an *ExitError that holds the
// Result too. When ctx ends, the process group is ended as on a time-out, and
// the error wraps the context's cause. A ctx that ended before starts nothing.
func (c Cmd) Run(ctx context.Context) (Result, error) { return c.run(ctx, nil) }

// Read is Run for a command that prints a key: what it writes to stdout is
// returned and never put on a disk, and Result.Output is what it wrote to
// stderr, with that key masked too. Where there is an error there is no key.
// More than Most on stdout is an *ExitError that wraps ErrTooLong.
func (c Cmd) Read(ctx context.Context) (secret.Key, Result, error) {
	out := capture{most: cmp.Or(c.Most, defaultMost)}
	res, err := c.run(ctx, &out)
	if err == nil && out.over {
		res, err = c.failed(c.Args[0], res, fmt.Errorf("%w: more than %d KiB", ErrTooLong, out.most>>10))
	}
	if err != nil {
		return secret.Key{}, res, err
	}
	return secret.New(string(out.data)), res, nil
}

func (c Cmd) run(ctx context.Context, stdout *capture) (Result, error) {
	if len(c.Args) == 0 {
		return c.failed("", Result{Exit: -1}, errors.New("no command"))
	}
	if ctx.Err() != nil {
		return c.failed(c.Args[0], Result{Exit: -1}, context.Cause(ctx))
	}
	out, err := privateFile()
	if err != nil {
		return c.failed(c.Args[0], Result{Exit: -1}, err)
	}
	defer out.Close()

	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.Env = withoutBlnk(cmd.Environ())
	// The same file twice makes one descriptor: the order of writing stays.
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.Held != nil {
		cmd.ExtraFiles = []*os.File{c.Held}
	}
	finish, err := c.connect(cmd, stdout)
	if err != nil {
		return c.failed(c.Args[0], Result{Exit: -1}, err)
	}
	if err := cmd.Start(); err != nil {
		finish()
		return c.failed(c.Args[0], Result{Exit: -1}, fmt.Errorf("could not start: %w", err))
	}
	res, cause := c.wait(ctx, cmd)
	var keys []secret.Key
	keys, res.Unread = finish()
	text, err := tail(out, append(keys, c.Mask...))
	if err != nil {
		text = "(its output could not be read: " + err.Error() + ")"
	}
	res.Output = text
	return c.failed(c.Args[0], res, cause)
}

// failed gives res the error that belongs to it: nil where all went well.
func (c Cmd) failed(name string, res Result, cause error) (Result, error) {
	e := &ExitError{Name: name, Result: res, Err: cause}
	switch {
	case res.TimedOut:
		e.reason = fmt.Sprintf("timed out after %v", c.Timeout)
	case cause != nil:
		e.reason = cause.Error()
	case res.Signal != "":
		e.reason = "ended by signal: " + res.Signal
	case res.Exit != 0:
		e.reason = fmt.Sprintf("exit status %d", res.Exit)
	default:
		return res, nil
	}
	return res, e
}

// wait waits for a command that was started. The error says what ended the
// wait where it was neither the command itself nor the time-out.
func (c Cmd) wait(ctx context.Context, cmd *exec.Cmd) (Result, error) {
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // ProcessState says it all
		close(done)
	}()
	var limit <-chan time.Time
	if c.Timeout > 0 {
		timer := time.NewTimer(c.Timeout)
		defer timer.Stop()
		limit = timer.C
	}
	var res Result
	var cause error
	select {
	case <-done:
	case <-limit:
		res.TimedOut = true
	case <-ctx.Done():
		cause = fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	if res.TimedOut || cause != nil {
		g := group{id: cmd.Process.Pid, grace: c.Grace, leader: done}
		if !g.end() {
			res.Exit = -1
			return res, cause
		}
	}
	res.Exit = cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		res.Signal = ws.Signal().String()
	}
	return res, cause
}

// withoutBlnk leaves out the settings of a Blnk server. Their twins
// (BLNK_SERVER_BLNK_…) begin alike; BLNKCTL_… does not.
func withoutBlnk(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, v := range env {
		if !strings.HasPrefix(v, "BLNK_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// privateFile makes a file that only this process and its children can reach:
// 0600 and without a name. It appends, so that a command that truncates it by
// opening /dev/stdout leaves no hole in front of what it writes next.
func privateFile() (*os.File, error) {
	name := filepath.Join(os.TempDir(), "blnkctl-run-"+rand.Text())
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a file for its output: %w", err)
	}
	if err := os.Remove(name); err != nil {
		f.Close()
		return nil, fmt.Errorf("make a file for its output: %w", err)
	}
	return f, nil
}
