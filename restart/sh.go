package restart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// checkTimeout is far more than a shell needs to read a command.
const checkTimeout = 10 * time.Second

// Sh restarts with a shell command: the place goes, verbatim, to "sh -c". Exit
// status 0 means that server and workers were restarted. What the command
// leaves running is neither waited for nor killed; nor is, in the next run, a
// command that outlived a blnkctl that was killed.
//
// A command that fails is an error that wraps *run.ExitError, whose Result
// holds the end of its output, with the keys of Options.Mask masked.
func Sh() Scheme { return Scheme{Open: openSh, WorkersProved: true} }

type sh struct {
	text string
	opt  Options
}

var (
	_ Driver  = (*sh)(nil)
	_ Checker = (*sh)(nil)
)

func openSh(place string, opt Options) (Driver, error) {
	if strings.TrimSpace(place) == "" {
		return nil, errors.New(`restart reference "sh:": no command behind it`)
	}
	if strings.ContainsRune(place, 0) {
		return nil, errors.New(`restart reference "sh:…": a command cannot hold a NUL character`)
	}
	return &sh{text: place, opt: opt}, nil
}

// Restart runs the command.
func (s *sh) Restart(ctx context.Context) error {
	return s.run(ctx, s.opt.Timeout, "-c", s.text)
}

// Check has the shell read the command without running it (-n, POSIX sh), so
// that a missing quote shows before the key is changed. It does not promise
// that the programs in it exist: only the shell knows what it will look up.
func (s *sh) Check(ctx context.Context) error {
	info, err := os.Stat(s.opt.Dir)
	if err != nil {
		return fmt.Errorf("folder of the command: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("folder of the command: %s is not a folder", s.opt.Dir)
	}
	return s.run(ctx, checkTimeout, "-n", "-c", s.text)
}

func (s *sh) run(ctx context.Context, limit time.Duration, args ...string) error {
	return runCommand(ctx, append([]string{"sh"}, args...), s.opt, limit)
}

// String returns the reference.
func (s *sh) String() string { return "sh:" + s.text }
