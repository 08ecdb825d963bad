package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// runVariable is in the environment of all that a test run starts: which one.
const runVariable = "TEST_RUN_OF_BLNKCTL"

// A guarded test run leaves nothing running, however it ends: another process,
// the guard, sees its end, and kills whatever has its variable. (A server of the
// stand-in is meant to outlive those who start it, so none of them can take it
// along.)
type guarded struct{ *testing.M }

const guardName = "guard-of-tests"

func (g guarded) Run() int {
	heedSignals()
	run := fmt.Sprintf("%06x", rand.N(1<<24))
	read, write, err := os.Pipe()
	if err == nil {
		err = errors.Join(os.Setenv(runVariable, run), startGuard(run, read), read.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		return 1
	}
	status := g.M.Run()
	_, _ = write.WriteString("over")
	return status
}

// heedSignals gives what the tests start the default action for each signal, where
// nohup or a shell that ran us in the background had some of them ignored.
func heedSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGPIPE} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s) // here it goes on being of no effect
		}
	}
}

func startGuard(run string, stdin *os.File) error {
	self := "/proc/self/exe" // by which name it is not killed with the others
	if exists(self) != nil {
		var err error
		if self, err = os.Executable(); err != nil {
			return err
		}
	}
	guard := &exec.Cmd{Path: self, Args: []string{guardName, run}, Stdin: stdin, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	return guard.Start()
}

// guardRun is the guard. A run that says that it is over has removed its
// containers itself.
func guardRun() int {
	word, _ := io.ReadAll(os.Stdin)
	run := os.Args[1]
	again := time.NewTicker(20 * time.Millisecond) // what was about to start something
	for range 50 {
		if !killAll(run) && len(word) > 0 {
			return 0
		}
		<-again.C
	}
	removeContainers(containersOf(run))
	return 0
}

// killAll kills what has the variable of a test run, but for the guard and the
// test itself, and tells whether there was anything.
func killAll(run string) (found bool) {
	want := []byte(runVariable + "=" + run)
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || pid == os.Getpid() || pid == os.Getppid() {
			continue
		}
		if env, err := os.ReadFile(path); err == nil && bytes.Contains(env, want) {
			found = true
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return found
}

// containersOf is how the names of a run's containers and images begin.
func containersOf(run string) string { return "bt" + run }
