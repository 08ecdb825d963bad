// Package wait restarts nothing. "wait:" leaves it to something else (a
// platform, an operator, a supervisor that watches the store), "manual:" to a
// person, whom it tells what to do. Nothing is known of the workers then.
package wait

import (
	"context"
	"fmt"
	"time"

	"github.com/blnkctl/blnkctl/restart"
)

// manualPolls is how long a person may take: to find the other terminal, the
// right host, perhaps a colleague.
const manualPolls = 15 * time.Minute

// Scheme is "wait:".
func Scheme() restart.Scheme { return restart.Scheme{Open: opener("wait:", nil)} }

// Manual is "manual:".
func Manual() restart.Scheme {
	return restart.Scheme{Polls: manualPolls, Open: opener("manual:", []string{
		"Restart the Blnk server and every worker now: each reads the key only when it starts.",
		"Where compose gives the key by env_file, a restart is not enough; recreate them:",
		"  docker compose up -d --no-deps --force-recreate SERVICE…",
	})}
}

func opener(ref string, lines []string) func(string, restart.Options) (restart.Driver, error) {
	return func(place string, opt restart.Options) (restart.Driver, error) {
		if place != "" { // what somebody wrote there was meant to have an effect
			return nil, fmt.Errorf("restart reference %q: nothing may stand behind %q", ref+place, ref)
		}
		return &driver{ref: ref, lines: lines, say: opt.Say}, nil
	}
}

type driver struct {
	ref   string
	lines []string
	say   func(line string)
}

var _ restart.Driver = (*driver)(nil)

// Restart says what to do, if anything, and returns.
func (d *driver) Restart(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, line := range d.lines {
		if d.say != nil {
			d.say(line)
		}
	}
	return nil
}

// String returns the reference.
func (d *driver) String() string { return d.ref }
