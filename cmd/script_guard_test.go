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
	"strings"
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

// toGuard tells the guard, a line each, of what is mounted for tests, and that all is over.
var toGuard io.Writer

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
	toGuard = write
	go endWithGo()
	status := g.M.Run()
	_, _ = write.WriteString(runOver + "\n")
	return status
}

// endWithGo ends the test run when the go command that began it was killed, which would
// not wait for it any more.
func endWithGo() {
	parent := os.Getppid()
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent))
	if strings.TrimSpace(string(name)) != "go" {
		return // a person's shell may end
	}
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			os.Exit(1)
		}
	}
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

// runOver is the last line of a run that has taken away itself what it made.
const runOver = "over"

// guardRun is the guard.
func guardRun() int {
	said, _ := io.ReadAll(os.Stdin)
	mounted := strings.Split(strings.TrimSpace(string(said)), "\n")
	over := mounted[len(mounted)-1] == runOver
	run := os.Args[1]
	again := time.NewTicker(20 * time.Millisecond) // what was about to start something
	for range 50 {
		if !killAll(run) && over {
			return 0
		}
		<-again.C
	}
	for _, place := range mounted {
		_ = exec.Command("umount", "--lazy", place).Run() // most are none any more
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
