package cmd_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// heldCmds are about a process that a strike holds in a call:
//
//	held NAME      wait until it is there, and has done what it can do without
//	               (taken a signal, say)
//	release NAME   and let it go on
func heldCmds() map[string]scriptCmd {
	return map[string]scriptCmd{"held": cmdHeld, "release": cmdRelease}
}

func cmdHeld(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "held NAME")
	untilHeld(ts, args[0])
}

func cmdRelease(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "release NAME")
	h := &hold{run: ts.Getenv("RUN"), pid: spawned(ts, args[0], ".pid")}
	over := filepath.Join(ts.Getenv("RUN"), args[0]+".exit")
	until(ts, args[0]+" to be held", func() error {
		if exists(over) == nil {
			h.tracer, h.watcher = 0, 0
			return nil
		}
		return h.find()
	})
	if h.watcher != 0 {
		ts.Check(syscall.Kill(h.watcher, syscall.SIGUSR1))
		file := heldFile(ts.Getenv("RUN"), h.pid)
		until(ts, "the end of "+file, func() error {
			if exists(file) == nil {
				return errors.New("still there")
			}
			return nil
		})
		return
	}
	if h.tracer == 0 {
		return // it has ended: only one of its threads was held
	}
	// What a killed tracer held goes on (ptrace(2)).
	if err := syscall.Kill(h.tracer, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
		ts.Check(err)
	}
}

// A hold is a process that waits for its watcher, or its tracer, in a system call.
type hold struct {
	run             string
	pid             int
	watcher, tracer int
}

func untilHeld(ts *testscript.TestScript, name string) *hold {
	h := &hold{run: ts.Getenv("RUN"), pid: spawned(ts, name, ".pid")}
	over := filepath.Join(ts.Getenv("RUN"), name+".exit")
	until(ts, name+" to be held", func() error {
		if exists(over) == nil {
			ts.Fatalf("%s has ended, and was not held", name)
		}
		return h.find()
	})
	return h
}

// find looks for the tracer, and for the thread in the call that the tracer was
// told to hold. A tracer stops threads in every call, but that one it does not
// let go. All others must have come to rest.
func (h *hold) find() error {
	proc := fmt.Sprintf("/proc/%d", h.pid)
	status, err := readStatus(proc)
	if err != nil {
		return err
	}
	if watcher, err := os.ReadFile(heldFile(h.run, h.pid)); err == nil {
		if h.watcher, err = strconv.Atoi(string(watcher)); err != nil {
			return err
		}
		return h.atRest(proc, status)
	}
	if h.tracer, err = tracerIn(proc); err != nil || h.tracer == 0 {
		return errors.New("nobody traces it")
	}
	if strings.Trim(status["ShdPnd"], "0") != "" {
		return errors.New("a signal is on its way")
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", h.tracer))
	if err != nil {
		return err
	}
	path := ""
	if _, after, ok := strings.Cut(string(cmdline), "\x00-P\x00"); ok {
		path, _, _ = strings.Cut(after, "\x00")
	}
	threads, err := filepath.Glob(proc + "/task/*")
	if err != nil {
		return err
	}
	found := false
	for _, thread := range threads {
		status, err := readStatus(thread)
		if err != nil {
			return err
		}
		c, ok := callOf(thread, status)
		switch {
		case ok && strings.Contains(string(cmdline), c.name) && (path == "" || c.path == path || c.path == filepath.Base(path)):
			found = true
		case !strings.HasPrefix(status["State"], "S"):
			return errors.New("a thread is " + status["State"])
		}
	}
	if !found {
		return errors.New("it is not in such a call")
	}
	return nil
}

// atRest: no signal is on its way, and no thread has anything to do.
func (h *hold) atRest(proc string, status map[string]string) error {
	threads, err := filepath.Glob(proc + "/task/*")
	if err == nil && strings.Trim(status["ShdPnd"], "0") != "" {
		err = errors.New("a signal is on its way")
	}
	for _, thread := range threads {
		status, gone := readStatus(thread)
		if gone == nil && !strings.HasPrefix(status["State"], "S") {
			err = errors.New("a thread is " + status["State"])
		}
	}
	return err
}

// A call is a system call that strike knows.
type call struct{ name, path string }

// callOf says in which call a thread is stopped, if it is.
func callOf(thread string, status map[string]string) (call, bool) {
	if !strings.HasPrefix(status["State"], "t") {
		return call{}, false
	}
	text, err := os.ReadFile(thread + "/syscall") // proc(5): number, arguments
	if err != nil {
		return call{}, false
	}
	var number uintptr
	var arg [6]uintptr
	if _, err := fmt.Sscan(string(text), &number, &arg[0], &arg[1], &arg[2], &arg[3], &arg[4], &arg[5]); err != nil {
		return call{}, false
	}
	switch number {
	case syscall.SYS_RENAMEAT:
		return call{"?renameat,", readPath(thread, arg[3])}, true
	case unix.SYS_RENAMEAT2:
		return call{"?renameat2", readPath(thread, arg[3])}, true
	case syscall.SYS_UNLINKAT:
		return call{"?unlinkat", readPath(thread, arg[1])}, true
	case syscall.SYS_OPENAT:
		return call{"?openat", readPath(thread, arg[1])}, true
	case syscall.SYS_FSYNC:
		return call{"fsync", readFD(thread, arg[0])}, true
	case syscall.SYS_WRITE:
		return call{"write,", readFD(thread, arg[0])}, true
	case syscall.SYS_PWRITE64:
		return call{"pwrite64", readFD(thread, arg[0])}, true
	case syscall.SYS_FTRUNCATE:
		return call{"ftruncate", readFD(thread, arg[0])}, true
	case syscall.SYS_CONNECT:
		return call{"connect", ""}, true
	}
	return call{}, false
}

func readFD(thread string, fd uintptr) string {
	path, _ := os.Readlink(fmt.Sprintf("%s/fd/%d", thread, fd))
	return path
}

// readPath reads a string from the memory of a thread.
func readPath(thread string, at uintptr) string {
	mem, err := os.Open(thread + "/mem")
	if err != nil {
		return ""
	}
	defer mem.Close()
	buf := make([]byte, 512)
	n, _ := mem.ReadAt(buf, int64(at)) // less than asked for at the end of a page
	path, _, _ := strings.Cut(string(buf[:n]), "\x00")
	return path
}
