package notify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
)

const (
	// commandLimit is for a program that hands a mail over.
	commandLimit = 30 * time.Second
	// hookLimit is for what somebody wants done after a rotation.
	hookLimit = 5 * time.Minute
)

// A command is a program that gets the facts as variables, and Event.Text on its stdin.
type command struct {
	args []string
	dir  string
	env  []string
}

// send runs it once: where it failed, nobody knows what it did already.
func (c command) send(ctx context.Context, e Event) error {
	return c.run(ctx, e, commandLimit)
}

func (c command) run(ctx context.Context, e Event, limit time.Duration) error {
	res, err := run.Cmd{
		Args: c.args, Dir: c.dir, Env: slices.Concat(c.env, e.Variables()), Timeout: limit, Text: e.Text(),
	}.Run(ctx)
	if said := run.Last(secret.MaskOwn(res.Output), 1, mostText); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// Hook runs a command of a shell with the facts as variables and Event.Text on its stdin,
// for at most five minutes. What it leaves running is not waited for.
func Hook(ctx context.Context, text, dir string, env []string, e Event) error {
	return command{[]string{"sh", "-c", text}, dir, env}.run(ctx, e, hookLimit)
}
