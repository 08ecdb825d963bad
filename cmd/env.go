package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/screen"
)

// An Env is everything that a command takes from the process it runs in.
// Nothing below package cmd reads or writes any of it.
type Env struct {
	Stdin    io.Reader
	StdinTTY bool        // is it a terminal?
	Stdout   io.Writer   // data
	Look     screen.Look // of Stdout
	Stderr   *screen.Talk

	Environ []string               // as os.Environ has it: NAME=value
	Getwd   func() (string, error) // where relative paths start
	UID     int                    // the effective user
	Now     func() time.Time
	// CatchSignals lets signals end the context of Run from now on, where they
	// would have ended the process.
	CatchSignals func()
	// AllowCoreDumps lets core files be made again, for the program that exec
	// becomes.
	AllowCoreDumps func()
	// ReadHidden calls ask, and reads a line from the terminal without showing it.
	// nil where there is none. It comes back when ctx ends, with the terminal as it
	// was.
	ReadHidden func(ctx context.Context, ask func()) (string, error)
}

// processEnv is the Env of this process.
func processEnv() *Env {
	env := &Env{
		Stdin:        os.Stdin,
		StdinTTY:     term.IsTerminal(int(os.Stdin.Fd())),
		Stdout:       os.Stdout,
		Environ:      os.Environ(),
		Getwd:        getwd,
		CatchSignals: func() {},
		UID:          os.Geteuid(),
		Now:          time.Now,
	}
	if env.StdinTTY {
		env.ReadHidden = readHidden
	}
	env.Look = env.look(os.Stdout)
	env.Stderr = &screen.Talk{W: os.Stderr, Look: env.look(os.Stderr)}
	return env
}

func (e *Env) look(f *os.File) screen.Look {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) {
		return screen.Look{}
	}
	columns := func() int {
		width, _, _ := term.GetSize(fd) // else it is not known
		return width
	}
	return screen.Look{Columns: columns, Term: e.Getenv("TERM"), NoColour: e.Getenv("NO_COLOR") != ""}
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

// readHidden asks for a line of the terminal and reads it, with the echo switched
// off from before the question.
func readHidden(ctx context.Context, ask func()) (line string, err error) {
	show, err := screen.HideTyping(os.Stdin)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, show()) }()
	ask()
	text, err := interrupt.Await(ctx, func() ([]byte, error) { return term.ReadPassword(int(os.Stdin.Fd())) })
	return string(text), err
}
