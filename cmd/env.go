package cmd

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/schedule/host"
)

// An Env is everything that a command takes from the process it runs in.
// Nothing below package cmd reads or writes any of it.
type Env struct {
	Stdin    io.Reader
	Terminal *os.File    // Stdin where it is one; else nil
	Stdout   io.Writer   // data
	Look     screen.Look // of Stdout
	Stderr   *screen.Talk

	Environ []string               // as os.Environ has it: NAME=value
	Whole   []string               // with the addresses that no program is to have; nil: Environ has all
	Getwd   func() (string, error) // where relative paths start
	Program string                 // the path of this one, for cron, which has another PATH
	UID     int                    // the effective user
	Now     func() time.Time
	Syslog  string // the socket of the system's log
	// CatchSignals lets signals end the context of Run from now on, where they
	// would have ended the process.
	CatchSignals func()
	// AllowCoreDumps lets core files be made again, for the program that exec
	// becomes.
	AllowCoreDumps func()
}

// processEnv is the Env of this process.
func processEnv() *Env {
	env := &Env{
		Stdin:        os.Stdin,
		Stdout:       os.Stdout,
		Environ:      os.Environ(),
		Getwd:        getwd,
		CatchSignals: func() {},
		UID:          os.Geteuid(),
		Now:          time.Now,
		Syslog:       "/dev/log",
	}
	if runtime.GOOS == "darwin" {
		env.Syslog = "/var/run/syslog"
	}
	var err error
	if env.Program, err = os.Executable(); err != nil {
		env.Program = "blnkctl"
	}
	env.Program = host.Program(os.Args[0], env.Program, env.Getenv("PATH"))
	if screen.LookOf(os.Stdin, env.Getenv).Terminal() {
		env.Terminal = os.Stdin
	}
	env.Look = screen.LookOf(os.Stdout, env.Getenv)
	env.Stderr = &screen.Talk{W: os.Stderr, Look: screen.LookOf(os.Stderr, env.Getenv)}
	return env
}

// getwd is os.Getwd, whose folder may have been removed.
func getwd() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		err = fmt.Errorf("find the working directory: %w", err)
	}
	return dir, hint.Add(err, "cd to a folder that is there, and run this again")
}

// Getenv is the value of a variable, "" where it is missing; of several of the same
// name the last wins, as os/exec has it.
func (e *Env) Getenv(name string) (value string) {
	for _, v := range e.Environ {
		if n, text, ok := strings.Cut(v, "="); ok && n == name {
			value = text
		}
	}
	return value
}
