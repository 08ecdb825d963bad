package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

// spawn is the program behind `exec spawn NAME PROGRAM ARG... &`: it runs
// PROGRAM so that a script can watch and signal it. In the folder $RUN it
// leaves NAME.out and NAME.err, which grow as the program writes, NAME.pid, and
// at the end NAME.exit with the exit status (128+n for a signal n).
//
// The program gets the working directory and the environment of the script,
// and the default action for every signal. When spawn is interrupted, at the
// end of the script, it kills the program.
func spawn() int {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: exec spawn NAME PROGRAM ARG... &")
		return 2
	}
	status, err := spawnAndWait(filepath.Join(os.Getenv("RUN"), os.Args[1]), os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "spawn:", err)
		status = 127
	}
	return status
}

func spawnAndWait(base string, args []string) (int, error) {
	over := make(chan os.Signal, 1)
	signal.Notify(over, os.Interrupt, syscall.SIGTERM)
	child := exec.Command(args[0], args[1:]...)
	out, err := os.Create(base + ".out")
	if err != nil {
		return 0, err
	}
	errs, err := os.Create(base + ".err")
	if err != nil {
		return 0, err
	}
	child.Stdout, child.Stderr = out, errs
	if err := child.Start(); err != nil {
		return 0, err
	}
	if err := publish(base+".pid", child.Process.Pid); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = child.Wait() // ProcessState tells more
	}()
	select {
	case <-ended:
	case <-over:
		_ = child.Process.Kill()
		<-ended
		return 0, nil
	}
	state := child.ProcessState.Sys().(syscall.WaitStatus)
	status := state.ExitStatus()
	if state.Signaled() {
		status = 128 + int(state.Signal())
	}
	return 0, publish(base+".exit", status)
}

// publish writes a number so that nobody finds half of it.
func publish(path string, n int) error {
	if err := os.WriteFile(path+".tmp", []byte(strconv.Itoa(n)), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
