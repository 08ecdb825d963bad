package cmd_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// strike is the program behind
//
//	exec strike KILL CALL PATH PROGRAM ARG...
//	exec strike hold CALL PATH PROGRAM ARG...
//	strike KILL|hold CALL PATH -p PID
//
// It becomes PROGRAM, or comes over the process PID that runs already (a shell
// of a restart command knows blnkctl's as $PPID), and strikes when that is about
// to make a system call on a path ("-": on any) for the first time: the process
// is killed, and the call is never made; or it is held there until the command
// release lets it go on. So a script hits the instant that it wants to show, and
// the product needs no hook for it.
//
// CALL is rename (PATH: the new name), unlink, open, write, fsync, truncate or
// connect. What PROGRAM itself starts is left alone. It needs strace, and root,
// because blnkctl lets not even its own user look into it.
func strike() int {
	args := os.Args[1:]
	if len(args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: strike KILL|hold CALL PATH PROGRAM ARG... | -p PID")
		return 2
	}
	argv := strikeArgs(args[0], args[1], args[2])
	if args[3] != "-p" {
		argv = append(argv, "-D")
	}
	argv = append(argv, args[3:]...)
	strace, err := exec.LookPath("strace")
	switch {
	case err != nil:
	case args[3] == "-p":
		err = attach(strace, argv, args[4])
	default:
		err = syscall.Exec(strace, argv, os.Environ())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "strike:", err)
		return 127
	}
	return 0
}

// strikeArgs are the arguments of strace but for the program. when=1 is the
// first time in each thread (strace(1)): an event must be the first of its kind
// in the whole process to be hit for sure, and the second one cannot be hit.
func strikeArgs(effect, call, path string) []string {
	// With "?" a call that this machine does not have is no error.
	calls := map[string]string{
		"rename":   "?rename,?renameat,?renameat2",
		"unlink":   "?unlink,?unlinkat",
		"open":     "?open,?openat",
		"write":    "write,pwrite64",
		"fsync":    "fsync",
		"truncate": "ftruncate",
		"connect":  "connect",
	}[call]
	effect = map[string]string{"KILL": "signal=SIGKILL", "hold": "delay_enter=3600s"}[effect]
	// -D: PROGRAM is the process that was started, with its PID and its exit
	// status, and strace watches from the side. -b: what it executes is not
	// followed, so that strace ends with it and not with a server that a
	// restart leaves running.
	args := []string{"strace", "-f", "-b", "execve", "-qq", "-o", "/dev/null",
		"-e", "trace=" + calls, "-e", "inject=" + calls + ":" + effect + ":when=1"}
	if path != "-" {
		args = append(args, "-P", path)
	}
	return args
}

// attach returns when strace has all threads of the process.
func attach(strace string, argv []string, pid string) error {
	tracer := &exec.Cmd{Path: strace, Args: argv, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := tracer.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- tracer.Wait() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if free, err := untraced(pid); !free || err != nil {
			return err
		}
		select {
		case err := <-ended:
			return errors.Join(errors.New("strace has ended"), err)
		case <-tick.C:
		}
	}
}

// untraced says whether a thread of the process has no tracer.
func untraced(pid string) (bool, error) {
	threads, err := filepath.Glob("/proc/" + pid + "/task/*/status")
	if err == nil && len(threads) == 0 {
		err = errors.New("there is no process " + pid)
	}
	for _, path := range threads {
		if tracer, err := tracerIn(path); tracer == 0 && !errors.Is(err, os.ErrNotExist) {
			return true, err
		}
	}
	return false, err
}

// tracerIn reads who traces the thread, 0 for nobody, from its proc(5) status.
func tracerIn(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(data), "\nTracerPid:\t")
	line, _, _ := strings.Cut(rest, "\n")
	if !ok {
		return 0, errors.New(path + ": no TracerPid")
	}
	return strconv.Atoi(line)
}

// cmdRelease is
//
//	release NAME    let what `exec spawn NAME strike hold …` runs go on, from now
//	                on without anybody who watches
func cmdRelease(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "release NAME")
	status := fmt.Sprintf("/proc/%d/status", spawned(ts, args[0], ".pid"))
	until(ts, args[0]+" to be held", func() error {
		tracer, err := tracerIn(status)
		if err == nil && tracer == 0 {
			err = errors.New("nobody traces it")
		}
		if err == nil {
			// What a killed tracer held goes on (ptrace(2)).
			err = syscall.Kill(tracer, syscall.SIGKILL)
		}
		return err
	})
}
