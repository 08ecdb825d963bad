package blnktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// How a supervised process tells that its port is open: it finds the variable,
// and a pipe as this file descriptor.
const (
	readyVariable = "STANDIN_READY"
	readyFD       = 3
)

// spawn is how processes of a unit are started and stopped.
type spawn struct {
	noWait  bool          // do not wait for the port
	timeout time.Duration // how long to wait for the port
	grace   time.Duration // between SIGTERM and SIGKILL
}

// up starts the process of the unit in the background and returns when its
// port is open.
func (u *unit) up(how spawn) error {
	lock, err := u.lock()
	if err != nil {
		return err
	}
	defer lock.Close()                       // the process has its own by then
	if err := lock.Truncate(0); err != nil { // the PID of the one before
		return err
	}
	once, err := u.dequeue()
	if err != nil {
		return err
	}
	if err := u.prepare(); err != nil {
		return err
	}
	if err := u.save(); err != nil {
		return err
	}
	pipe, child, err := os.Pipe()
	if err != nil {
		return err
	}
	defer pipe.Close()
	own := []string{readyVariable + "=1", "STANDIN_ADDR_FILE=" + u.path("addr")}
	process, err := u.start(environ(u.Env, once, own), child, lock)
	child.Close()
	if err != nil {
		return err
	}
	if _, err := lock.WriteAt(fmt.Appendln(nil, process.Pid), 0); err != nil {
		return err
	}
	if how.noWait {
		return process.Release()
	}
	return u.awaitReady(process, pipe, how.timeout)
}

// prepare gives a worker a port of its own, which it keeps.
func (u *unit) prepare() error {
	if u.role != "worker" || u.exists() {
		return nil
	}
	port, err := FreePort()
	if err != nil {
		return err
	}
	u.setEnv([]string{fmt.Sprintf("STANDIN_MONITORING_PORT=%d", port)})
	return nil
}

// start runs this program again, in a session of its own, so that no signal
// for the caller's process group reaches it.
func (u *unit) start(env []string, ready, lock *os.File) (*os.Process, error) {
	log, err := os.OpenFile(u.path("log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// The name matters: a test binary goes by it to find what it is to be.
	cmd := &exec.Cmd{Path: program, Args: append([]string{os.Args[0]}, u.Args...), Dir: u.dir, Env: env,
		Stdout: log, Stderr: log, ExtraFiles: []*os.File{ready, lock},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd.Process, nil
}

// awaitReady returns nil when the process wrote to the pipe, and an error when
// it ended first or took too long.
func (u *unit) awaitReady(process *os.Process, pipe *os.File, limit time.Duration) error {
	if err := pipe.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := pipe.Read(make([]byte, 1))
	switch {
	case err == nil:
		return process.Release()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s: port not open after %s (it goes on)", u.role, limit)
	case errors.Is(err, io.EOF):
		state, err := process.Wait()
		if err != nil {
			return err
		}
		return fmt.Errorf("%s ended at start (%s): %s", u.role, state, u.lastLine())
	}
	return err
}

func (u *unit) lastLine() string {
	text, err := os.ReadFile(u.path("log"))
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// down ends the process of the unit: SIGTERM, and SIGKILL after the grace. It
// returns when the process is gone; without one it does nothing.
func (u *unit) down(how spawn) error {
	pid, ok := u.pid()
	if !ok {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	if u.waitGone(how.grace) == nil {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return u.waitGone(how.timeout)
}

// background runs this program with args in the background and does not wait.
func background(args []string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{Path: program, Args: append([]string{os.Args[0]}, args...),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
