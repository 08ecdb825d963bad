// Package command restarts with a command: of the shell (sh:COMMAND, the rest
// of the reference goes verbatim to "sh -c"), or one of blnkctl.yaml
// (command:NAME, an argument list that no shell reads). Exit status 0 means that
// server and workers were restarted. What the command leaves running is neither
// waited for nor killed. A command that outlived a blnkctl that was killed is for
// the next run to settle (restart.Work).
//
// A command that fails is an error that wraps *run.ExitError, whose Result
// holds the end of its output, with the keys of Options.Mask masked.
package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
)

// Sh is "sh:".
func Sh() restart.Scheme {
	open := func(text string, opt restart.Options) (restart.Driver, error) {
		if strings.TrimSpace(text) == "" {
			return nil, errors.New(`restart reference "sh:": no command behind it`)
		}
		if strings.ContainsRune(text, 0) {
			return nil, errors.New(`restart reference "sh:…": a command cannot hold a NUL character`)
		}
		return &driver{ref: "sh:" + text, args: []string{"sh", "-c", text}, shell: true, opt: opt}, nil
	}
	return restart.Scheme{Open: open, WorkersProved: true}
}

// Named is "command:", what blnkctl.yaml has a run command for.
func Named(file func() (config.File, error)) restart.Scheme {
	open := func(name string, opt restart.Options) (restart.Driver, error) {
		var c config.Command
		f, err := file()
		if err == nil {
			c, err = f.Command(name)
		}
		if err != nil {
			return nil, fmt.Errorf("restart reference %q: %w", "command:"+name, err)
		}
		if len(c.Run) == 0 {
			return nil, fmt.Errorf("restart reference %q: the command %q has no \"run\" in blnkctl.yaml", "command:"+name, name)
		}
		return &driver{ref: "command:" + name, args: c.Run, opt: opt}, nil
	}
	return restart.Scheme{Open: open, WorkersProved: true}
}

type driver struct {
	ref   string
	args  []string
	shell bool // args are "sh -c TEXT"
	opt   restart.Options
}

var (
	_ restart.Driver  = (*driver)(nil)
	_ restart.Checker = (*driver)(nil)
)

// Restart runs the command.
func (d *driver) Restart(ctx context.Context) error {
	_, err := d.opt.Work.Run(ctx, d.ref, d.opt.Command(0, d.args...))
	return err
}

// checkTimeout is far more than a shell needs to read a command.
const checkTimeout = 10 * time.Second

// Check says whether the program is there; a shell reads its command without
// running it (-n, POSIX sh), so that a missing quote shows before the key is
// changed. That the programs in it exist is not promised: only the shell knows
// what it will look up.
func (d *driver) Check(ctx context.Context) error {
	if !d.shell {
		return run.Cmd{Args: d.args, Dir: d.opt.Dir, Env: d.opt.Env}.Check()
	}
	_, err := d.opt.Command(checkTimeout, append([]string{"sh", "-n"}, d.args[1:]...)...).Run(ctx)
	return err
}

// String returns the reference.
func (d *driver) String() string { return d.ref }
