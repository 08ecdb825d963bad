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
)

// strike is the program behind
//
//	exec strike EFFECT CALL PATH PROGRAM ARG...
//	strike EFFECT CALL PATH -p PID
//
// It becomes PROGRAM, or comes over the process PID that runs already (a shell
// of a restart command knows blnkctl's as $PPID), and strikes when that makes a
// system call on a path ("-": on any) for the first time. With the effect KILL
// it is killed and never makes the call; with hold it waits before the call, and
// with after behind it, until the script kills or releases it
// (script_held_linux_test.go). So a script hits the instant that it wants to
// show, and the product needs no hook for it. With EIO, EPERM or ENOSPC the call fails
// with that, and the next one does not.
//
// CALL is rename (PATH: the new name), unlink, open, write, fsync, truncate, connect or
// chmod. What PROGRAM itself starts is left alone. It needs root, because blnkctl
// lets not even its own user look into it, and strace for after and for -p
// (the others: script_filter_linux_test.go).
func strike() int {
	args := os.Args[1:]
	err := errors.New("usage: strike KILL|EIO|EPERM|ENOSPC|hold|after CALL PATH PROGRAM ARG... | -p PID")
	switch {
	case len(args) == 2 && args[0] == guardArg:
		err = guard(args[1])
	case len(args) == 3 && args[0] == watchArg:
		err = watch(args[1], args[2])
	case len(args) == 5 && args[3] == "-p":
		err = attach(strikeArgs(args[0], args[1], args[2]), args[4])
	case len(args) > 3 && args[0] != "after":
		err = becomeFiltered(args[0], args[1], args[2], args[3:])
	case len(args) > 3:
		err = become(strikeArgs(args[0], args[1], args[2]), args[3:])
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
	effect = map[string]string{"KILL": "signal=SIGKILL", "hold": "delay_enter=3600s", "after": "delay_exit=3600s"}[effect]
	// -b: what the process executes is not followed, so that strace ends with
	// it and not with a server that a restart leaves running.
	args := []string{"strace", "-f", "-b", "execve", "-qq", "-o", "/dev/null",
		"-e", "trace=" + calls, "-e", "inject=" + calls + ":" + effect + ":when=1"}
	if path != "-" {
		// Calls below an opened folder have the last part only.
		args = append(args, "-P", path, "-P", filepath.Base(path))
	}
	return args
}

// become turns this process into the program. -D: so the program has the PID
// and the exit status of the process that was started, and strace watches from
// the side.
func become(strace, program []string) error {
	path, err := exec.LookPath(strace[0])
	if err != nil {
		return err
	}
	if err := aside(os.Args[0], guardArg, strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	return syscall.Exec(path, append(append(strace, "-D"), program...), os.Environ())
}

// attach returns when strace has all threads of the process.
func attach(strace []string, pid string) error {
	if err := aside(append(strace, "-p", pid)...); err != nil {
		return err
	}
	if err := aside(os.Args[0], guardArg, pid); err != nil {
		return err
	}
	return poll(func() (bool, error) {
		free, err := untraced(pid)
		return !free, err
	})
}

// aside starts a process that no signal for a group reaches, and that holds no
// pipe open.
func aside(args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}

// guardArg makes strike the guard of a process: strace does not let go of one
// that is killed while it is held, and whoever waits for its end would wait for
// strace.
const guardArg = "-guard"

func guard(pid string) error {
	most := 0
	return poll(func() (bool, error) {
		tracer, err := tracerIn("/proc/" + pid)
		if err != nil {
			return true, nil //nolint:nilerr // it has ended
		}
		if tracer == 0 {
			return false, nil // not yet: the process is still this program
		}
		threads, _ := filepath.Glob("/proc/" + pid + "/task/*")
		most = max(most, len(threads))
		if !dying(pid, threads, most) {
			return false, nil
		}
		return true, syscall.Kill(tracer, syscall.SIGKILL)
	})
}

// dying says whether the process only waits for its tracer to be gone: its main
// thread has ended, or a thread has SIGKILL before it and does not go, or of the
// most threads that it ever had only one is left (a Go program always has more:
// it is the held one, and stands at its exit, where no signal is pending).
func dying(pid string, threads []string, most int) bool {
	status, err := readStatus("/proc/" + pid)
	if err == nil && strings.HasPrefix(status["State"], "Z") {
		return true
	}
	if len(threads) == 1 && most > 1 {
		return true
	}
	for _, thread := range threads {
		status, err := readStatus(thread)
		if err == nil && (hasKill(status["SigPnd"]) || hasKill(status["ShdPnd"])) {
			return true
		}
	}
	return false
}

// hasKill looks for SIGKILL in a set of signals as proc(5) shows it.
func hasKill(set string) bool {
	bits, err := strconv.ParseUint(set, 16, 64)
	return err == nil && bits&(1<<(syscall.SIGKILL-1)) != 0
}

// poll asks again and again, and less and less often: who asks all the time
// keeps the others from what it waits for.
func poll(done func() (bool, error)) error {
	for wait := time.Millisecond; ; wait = min(wait*5/4, 25*time.Millisecond) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		<-time.After(wait)
	}
}

// untraced says whether a thread of the process has no tracer.
func untraced(pid string) (bool, error) {
	threads, err := filepath.Glob("/proc/" + pid + "/task/*")
	if err == nil && len(threads) == 0 {
		err = errors.New("there is no process " + pid)
	}
	for _, thread := range threads {
		if tracer, err := tracerIn(thread); tracer == 0 && !errors.Is(err, os.ErrNotExist) {
			return true, err
		}
	}
	return false, err
}

// tracerIn reads who traces the process or thread, 0 for nobody.
func tracerIn(proc string) (int, error) {
	status, err := readStatus(proc)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(status["TracerPid"])
}

// readStatus reads the status of a process or thread, proc(5).
func readStatus(proc string) (map[string]string, error) {
	data, err := os.ReadFile(proc + "/status")
	if err != nil {
		return nil, err
	}
	status := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.TrimSpace(value)
	}
	return status, nil
}
