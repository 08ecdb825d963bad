// Package run runs a command and tells how it ended, with every key masked in
// what it printed.
//
// The command gets a process group of its own, so that a ^C meant for blnkctl
// does not kill a restart halfway. Its stdin is /dev/null, and its output goes
// to a private file without a name instead of a pipe: a daemon that it leaves
// behind keeps the file open, and with a pipe that alone would keep Run
// waiting. A key goes to it and comes from it through pipes only, never through
// a file, an argument or a variable. Run waits for the command itself, never for
// what it started, and signals the group only on a time-out or when the context
// ends.
//
// It does not promise to find processes that left the group, nor to bound what
// a daemon left behind goes on writing to that file: its room on the disk
// comes back when the daemon ends. A command that opens /dev/stdout or
// /dev/stderr anew truncates what it printed before, as with any file.
package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/secret"
)

// Grace is Cmd.Grace where nobody says otherwise.
const Grace = 5 * time.Second

const (
	// poll: the kernel gives no event for a group that is gone.
	poll = 10 * time.Millisecond
	// glance is how often Show is told: as often as a person can read.
	glance = 200 * time.Millisecond
	// lastWait: only a killed command that hangs in the kernel (a dead network
	// file system) takes longer, or, after killed, one that nobody waits for.
	lastWait = 5 * time.Second
	killed   = time.Second
	// drain is how long stdout may stay open behind a command that ended: what
	// it wrote is read at once, and only a daemon that it left behind keeps the
	// pipe open.
	drain   = time.Second
	givenUp = -1 // the exit status where there is none
)

// ErrTooLong: a command printed more on its stdout than a key can be.
var ErrTooLong = errors.New("too much on its stdout")

// A Cmd is a command to run. It holds no state: it can be run again.
type Cmd struct {
	Args []string // the program, looked up in PATH, and its arguments
	Dir  string   // "" is the caller's own
	// Env is the environment, as NAME=VALUE; nil is the caller's own.
	// Variables named BLNK_* are removed from either: they are settings of a
	// Blnk server and may hold its key. BLNKCTL_* stay.
	Env     []string
	Timeout time.Duration // 0 is no limit
	Grace   time.Duration // between SIGTERM and SIGKILL to the process group; 0 is Grace
	Mask    []secret.Key  // what must not show in the output
	// Input is a key that the command gets on its stdin, as it is: no line end
	// behind it. It is masked too. Text is one that is not masked. Without either stdin
	// is /dev/null. It need not be read, whatever a pipe holds.
	Input secret.Key
	Text  string
	Most  int // how many bytes of stdout Read takes; 0 is 64 KiB
	// In is what it reads, and Out and Err what it writes to, in the place of a text and
	// Output, such as the ends of pipes. nil: as above.
	In, Out, Err *os.File
	// Show gets the last line of what the command wrote besides to Read, while it
	// runs, whenever it looks; keys are masked in it. nil: nobody looks.
	Show func(line string)
	// Record is told the PID before the command does anything, where there is a shell.
	// Where this process is killed in it, the command is not run then.
	Record func(pid int)
}

// A Result is how a command ended.
type Result struct {
	Exit   int    // -1 where there is none: not started, killed by a signal, or given up
	Signal string // that killed it ("killed", "terminated"); "" where none did
	// Output is the end of what the command wrote to stdout and stderr, in
	// the order written, at most 64 KiB of it, with keys masked.
	Output   string
	TimedOut bool // Timeout was over before the command was
	Unread   bool // it ended without reading all of Input
}

// An ExitError is a command that did not end with exit status 0. Its text
// names the program only: arguments and output may be long or private.
type ExitError struct {
	Name   string // the program, as it was given
	Result Result
	Err    error // why it did not start or was interrupted; nil for its own end and a time-out
	reason string
}

func (e *ExitError) Error() string { return "run " + e.Name + ": " + e.reason }

// Tail is the end of the output, no longer than fits on a screen: a command that
// fails says why at its end.
func (e *ExitError) Tail() string {
	const most = 20
	lines := strings.Split(strings.TrimRight(e.Result.Output, " \t\r\n"), "\n")
	if n := len(lines) - most; n > 0 {
		lines = append([]string{fmt.Sprintf("(%d lines before these are left out)", n)}, lines[n:]...)
	}
	return strings.Join(lines, "\n")
}

func (e *ExitError) Unwrap() error { return e.Err }

// Saying is an error with what a program printed behind it, which a report shows.
func Saying(err error, output string) error {
	if strings.TrimSpace(output) == "" {
		return err
	}
	return &said{err, &ExitError{Result: Result{Output: output}}}
}

type said struct {
	error
	output *ExitError
}

func (s *said) Unwrap() []error { return []error{s.error, s.output} }

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
	out := printed{most: cmp.Or(c.Most, keep)}
	res, err := c.run(ctx, &out)
	if err == nil && out.tooLong {
		res, err = c.failed(res, fmt.Errorf("%w: more than %d KiB", ErrTooLong, out.most>>10))
	}
	if err != nil {
		return secret.Key{}, res, err
	}
	return secret.New(string(out.data)), res, nil // nobody writes any more
}

// Check says, without running it, whether the program can be found and run. It
// looks into the caller's own PATH, as Run does.
func (c Cmd) Check() error {
	if len(c.Args) == 0 {
		return errors.New("no command")
	}
	name := c.Args[0]
	if strings.ContainsRune(name, filepath.Separator) && !filepath.IsAbs(name) && c.Dir != "" {
		name = filepath.Join(c.Dir, name) // where the kernel looks once it is there
	}
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("program of the command: %w", err)
	}
	return nil
}

func (c Cmd) run(ctx context.Context, stdout *printed) (Result, error) {
	if len(c.Args) == 0 {
		return c.failed(Result{Exit: givenUp}, errors.New("no command"))
	}
	if ctx.Err() != nil {
		return c.failed(Result{Exit: givenUp}, context.Cause(ctx))
	}
	out, err := privateFile()
	if err != nil {
		return c.failed(Result{Exit: givenUp}, fmt.Errorf("make a file for its output: %w", err))
	}
	defer out.Close()

	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	// Settings of a Blnk server and their twins (BLNK_SERVER_BLNK_…) begin so.
	cmd.Env = slices.DeleteFunc(cmd.Environ(), func(v string) bool { return strings.HasPrefix(v, "BLNK_") })
	// The same file twice makes one descriptor: the order of writing stays.
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	keys := slices.Clone(c.Mask)
	var in *feed
	if text := cmp.Or(c.Text, c.Input.Reveal()); text != "" {
		if in, err = newFeed(text); err != nil {
			return c.failed(Result{Exit: givenUp}, fmt.Errorf("make a pipe for its input: %w", err))
		}
		cmd.Stdin, keys = in.from, append(keys, c.Input)
	}
	if stdout != nil {
		cmd.Stdout, cmd.WaitDelay = stdout, drain
	}
	if c.In != nil {
		cmd.Stdin = c.In
	}
	if c.Out != nil {
		cmd.Stdout = c.Out
	}
	if c.Err != nil {
		cmd.Stderr = c.Err
	}
	stop := c.follow(out, keys)
	res, cause := c.startAndWait(ctx, cmd)
	stop()
	if in != nil {
		res.Unread = in.rest()
	}
	if stdout != nil {
		keys = append(keys, stdout.key())
	}
	if cmd.Process != nil {
		if res.Output, err = tail(out, keys); err != nil {
			res.Output = "(its output could not be read: " + err.Error() + ")"
		}
	}
	return c.failed(res, cause)
}

// failed gives res the error that belongs to it: nil where all went well.
func (c Cmd) failed(res Result, cause error) (Result, error) {
	e := &ExitError{Err: cause}
	if len(c.Args) > 0 {
		e.Name = c.Args[0]
	}
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
	e.Result = res
	return res, e
}

// startAndWait returns how the command ended. The error says what ended the wait
// where it was neither the command itself nor the time-out.
func (c Cmd) startAndWait(ctx context.Context, cmd *exec.Cmd) (Result, error) {
	if err := c.start(cmd); err != nil {
		return Result{Exit: givenUp}, fmt.Errorf("could not start: %w", err)
	}
	done := make(chan struct{})
	var waited error
	go func() {
		waited = cmd.Wait() // ProcessState says it all, where it is known
		close(done)
	}()
	var limit <-chan time.Time
	if c.Timeout > 0 {
		limit = time.After(c.Timeout)
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
		EndGroup(cmd.Process.Pid, cmp.Or(c.Grace, Grace))
		select {
		case <-done:
		case <-time.After(lastWait):
			res.Exit = givenUp
			return res, cause
		}
	}
	if cmd.ProcessState == nil {
		res.Exit = givenUp
		return res, cmp.Or(cause, fmt.Errorf("wait for its end: %w", waited))
	}
	res.Exit = cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		res.Signal = ws.Signal().String()
	}
	return res, cause
}

// start starts the command. One that is recorded waits behind a gate meanwhile: a
// shell that becomes the command when it is told to, and ends where nobody lives
// to tell it. Where there is no shell, it is recorded right after its start.
func (c Cmd) start(cmd *exec.Cmd) error {
	shell, missing := exec.LookPath("sh")
	if missing != nil {
		shell, missing = exec.LookPath("/bin/sh") // PATH may have no more than the command needs
	}
	if c.Record == nil || cmd.Err != nil || missing != nil {
		err := cmd.Start()
		if c.Record != nil && err == nil {
			c.Record(cmd.Process.Pid)
		}
		return err
	}
	gate, opener, err := os.Pipe()
	if err != nil {
		return err
	}
	defer gate.Close()
	defer opener.Close()
	cmd.Args = append([]string{"sh", "-c", `read -r go <&3 && exec "$@" 3<&-`, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.ExtraFiles = shell, []*os.File{gate}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.Record(cmd.Process.Pid)
	_, _ = opener.WriteString("go\n") // it cannot fail: this process has the other end, too
	return nil
}

// EndGroup asks a process group to end, forces it at the end of grace, and comes back
// when it is gone, or cannot be ended. The group's number cannot be given to others
// while one member is alive.
func EndGroup(id int, grace time.Duration) {
	_ = syscall.Kill(-id, syscall.SIGTERM)
	// A member that waits for a terminal (sudo asking for a password) is
	// stopped, and would see SIGTERM only when it goes on.
	_ = syscall.Kill(-id, syscall.SIGCONT)
	deadline, forced := time.After(grace), false
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !errors.Is(syscall.Kill(-id, 0), syscall.ESRCH) {
		select {
		case <-tick.C:
			continue
		case <-deadline:
		}
		if forced {
			return
		}
		_ = syscall.Kill(-id, syscall.SIGKILL)
		deadline, forced = time.After(killed), true
	}
}

// IsVariable says whether name can be the name of an environment variable that
// a shell, too, could assign to: letters, digits and underscores, with no digit
// in front (POSIX.1-2017, 3.235 and 8.1). It is no regular expression, because
// every command would pay for that at its start.
func IsVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && (!digit || i == 0) {
			return false
		}
	}
	return name != ""
}
