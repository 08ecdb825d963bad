package restart

import (
	"context"
	"fmt"
	"time"

	"github.com/blnkctl/blnkctl/internal/run"
)

// Command restarts with a program of the configuration: an argument list that
// no shell reads. find returns it by its name; nil where there is none. Exit
// status 0 means that server and workers were restarted.
//
// A command that fails is an error that wraps *run.ExitError, as for Sh.
func Command(find func(name string) ([]string, error)) Scheme {
	open := func(name string, opt Options) (Driver, error) {
		args, err := find(name)
		if err != nil {
			return nil, err
		}
		if len(args) == 0 {
			return nil, fmt.Errorf("restart reference %q: the command %q has no \"run\" in blnkctl.yaml", "command:"+name, name)
		}
		return &program{name: name, args: args, opt: opt}, nil
	}
	return Scheme{Open: open, WorkersProved: true}
}

// A program is one command of the configuration.
type program struct {
	name string
	args []string
	opt  Options
}

var (
	_ Driver  = (*program)(nil)
	_ Checker = (*program)(nil)
)

// Restart runs the program.
func (p *program) Restart(ctx context.Context) error {
	return runCommand(ctx, p.args, p.opt, p.opt.Timeout)
}

// Check says whether the program is there.
func (p *program) Check(context.Context) error {
	return run.Cmd{Args: p.args, Dir: p.opt.Dir, Env: p.opt.Env}.Check()
}

// String returns the reference.
func (p *program) String() string { return "command:" + p.name }

// runCommand runs what restarts, with the keys masked in its output.
func runCommand(ctx context.Context, args []string, opt Options, limit time.Duration) error {
	cmd := run.Cmd{Args: args, Dir: opt.Dir, Env: opt.Env, Timeout: limit}
	if opt.Mask != nil {
		cmd.Mask = opt.Mask()
	}
	_, err := cmd.Run(ctx)
	return err
}
