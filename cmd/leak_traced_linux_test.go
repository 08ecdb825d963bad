package cmd_test

import (
	"encoding/json"
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

// A program that stands in the folder bin of a leakFolder notes what is to be
// searched for later before it begins: blnkctl the keys that stand below the
// script's folder and what it was started with, others what blnkctl started them
// with. Below strace, or a filter, nobody notes anything: strace sees it all, and a
// strike waits for the first call on a path.
func noteStart(name string) {
	self, err := os.Executable()
	if err != nil {
		return
	}
	folder := filepath.Dir(filepath.Dir(self))
	work, err := os.ReadFile(filepath.Join(folder, "work"))
	if tracer, _ := tracerIn("/proc/self"); err != nil || tracer != 0 || os.Getenv(struckVariable) == strconv.Itoa(os.Getpid()) {
		return
	}
	switch {
	case name == "strike":
		if len(os.Args) > 4 {
			err = noteBoth(folder, string(work), os.Args[5:])
		}
	case name == "blnkctl" || name == "leaker":
		err = noteBoth(folder, string(work), os.Args[1:])
	default:
		parent, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", os.Getppid()))
		if strings.TrimSpace(string(parent)) == "blnkctl" || strings.TrimSpace(string(parent)) == "leaker" {
			err = noteRun(runName(folder)+".child", os.Args)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+": note:", err)
		os.Exit(127)
	}
}

func noteBoth(folder, work string, args []string) error {
	return errors.Join(noteKeys(folder, work), noteRun(runName(folder)+".run", args))
}

// runName begins the names of the files about a run.
func runName(folder string) string {
	return filepath.Join(folder, fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano()))
}

// traced is what stands for blnkctl while strace looks at it:
//
//	traced FOLDER WORK PROGRAM ARG...
//
// It notes the same in FOLDER, and becomes PROGRAM, with an strace aside that
// writes down everything that PROGRAM and what it starts execute, and all that
// they write.
//
// PROGRAM has the PID, the streams, the environment and the exit status that it
// would have without all that, and whoever waits for the end of its output does
// not wait for strace. The output of strace itself goes nowhere.
func traced() int {
	args := os.Args[1:]
	var err error
	switch {
	case len(args) > 3 && args[0] == handedOver:
		err = takeOver(args[1], args[2], args[3:])
	case len(args) > 2:
		err = trace(args[0], args[1], args[2:])
	default:
		err = errors.New("usage: traced FOLDER WORK PROGRAM ARG...")
	}
	fmt.Fprintln(os.Stderr, "traced:", err)
	return 127
}

// handedOver is the first argument behind strace.
const handedOver = "-handed-over"

// A tracedRun is what is known of one run of blnkctl, or of what it starts.
type tracedRun struct {
	PID, Parent int
	Args        []string // without the program's name
	Dir         string
	Env         []string
	// Stores are the files that its arguments and variables name as stores.
	Stores []string
	trace  string // the file with what strace saw
}

func trace(folder, work string, program []string) error {
	if err := noteKeys(folder, work); err != nil {
		return err
	}
	name := runName(folder)
	if err := noteRun(name+".run", program[1:]); err != nil {
		return err
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	streams, err := inherited()
	if err != nil {
		return err
	}
	lock, err := openLock(folder)
	if err != nil {
		return err
	}
	channel, err := handOver(streams)
	if err != nil {
		return err
	}
	argv := append(straceArgs(name+".trace"), self, handedOver, strconv.Itoa(channel), strconv.Itoa(lock))
	return syscall.Exec(strace, append(argv, program...), os.Environ())
}

// straceArgs: -Y tells whose each line is, -y where each write goes.
// --seccomp-bpf stops nobody at other calls, which makes it bearable.
func straceArgs(out string) []string {
	calls := "execve,execveat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,connect"
	args := []string{"strace", "-DDD", "-f", "--seccomp-bpf", "-qqq", "-y", "-Y", "-v", "-s", "4000000", "-e", "signal=none", "-o", out}
	if os.Geteuid() != 0 {
		// blnkctl lets only root look into it (PR_SET_DUMPABLE). What it is not
		// asked for it cannot do.
		calls += ",prctl"
		args = append(args, "-e", "inject=prctl:retval=0")
	}
	return append(args, "-e", "trace="+calls, "--")
}

func noteRun(path string, args []string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	run := tracedRun{PID: os.Getpid(), Parent: os.Getppid(), Args: args, Dir: dir, Env: os.Environ(), Stores: storesOf(args, os.Environ(), dir)}
	data, err := json.Marshal(run)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// openLock opens the lock of the folder, which strace inherits: when nobody has
// it any more, all traces are complete.
func openLock(folder string) (int, error) {
	fd, err := syscall.Open(filepath.Join(folder, "lock"), syscall.O_RDWR|syscall.O_CREAT, 0o666)
	if err == nil {
		err = syscall.Flock(fd, syscall.LOCK_SH)
	}
	return fd, err
}

// inherited are the streams from stderr on that a program that is executed gets.
func inherited() ([]int, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		flags, _, no := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if fd >= 2 && no == 0 && flags&syscall.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds, nil
}

// handOver sends streams into a socket, where takeOver finds them, so that
// strace does not hold them.
func handOver(fds []int) (channel int, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return 0, err
	}
	numbers, err := json.Marshal(fds)
	if err != nil {
		return 0, err
	}
	if err := syscall.Sendmsg(pair[0], numbers, syscall.UnixRights(fds...), nil, 0); err != nil {
		return 0, err
	}
	if err := syscall.Close(pair[0]); err != nil {
		return 0, err
	}
	nowhere, err := syscall.Open(os.DevNull, syscall.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	for _, fd := range fds {
		if fd == 2 {
			err = errors.Join(err, syscall.Dup3(nowhere, fd, 0))
		} else {
			err = errors.Join(err, syscall.Close(fd))
		}
	}
	return pair[1], errors.Join(err, syscall.Close(nowhere))
}

func takeOver(channel, lock string, program []string) error {
	from, err := strconv.Atoi(channel)
	if err != nil {
		return err
	}
	held, err := strconv.Atoi(lock)
	if err != nil {
		return err
	}
	if err := receive(from); err != nil {
		return err
	}
	if err := errors.Join(syscall.Close(from), syscall.Close(held)); err != nil {
		return err
	}
	return execute(program)
}

// execute gives the program its own name, and not its path, for a first
// argument, as a shell does.
func execute(program []string) error {
	argv := append([]string{filepath.Base(program[0])}, program[1:]...)
	return syscall.Exec(program[0], argv, os.Environ())
}

// receive puts the streams where they were. It first takes them out of the way
// of each other.
func receive(from int) error {
	numbers, space := make([]byte, 1<<12), make([]byte, syscall.CmsgSpace(4*200))
	n, m, _, _, err := syscall.Recvmsg(from, numbers, space, syscall.MSG_CMSG_CLOEXEC)
	if err != nil {
		return err
	}
	var fds []int
	if err := json.Unmarshal(numbers[:n], &fds); err != nil {
		return err
	}
	messages, err := syscall.ParseSocketControlMessage(space[:m])
	if err != nil || len(messages) != 1 {
		return errors.Join(errors.New("no streams"), err)
	}
	got, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(got) != len(fds) {
		return errors.Join(errors.New("not all streams"), err)
	}
	const beyond = 300
	for i, fd := range got {
		high, _, no := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, beyond)
		if no != 0 {
			return no
		}
		got[i] = int(high)
		if err := syscall.Close(fd); err != nil {
			return err
		}
	}
	for i, fd := range fds {
		if err := syscall.Dup3(got[i], fd, 0); err != nil {
			return err
		}
	}
	return nil
}

// leftTracees are processes that an strace with this folder still watches.
func leftTracees(folder string) []int {
	var left []int
	statuses, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range statuses {
		tracer, err := tracerIn(proc)
		if err != nil || tracer == 0 {
			continue
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", tracer))
		if pid, perr := strconv.Atoi(filepath.Base(proc)); err == nil && perr == nil && strings.Contains(string(cmdline), folder+"/") {
			left = append(left, pid)
		}
	}
	return left
}
