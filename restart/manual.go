package restart

import (
	"context"
	"time"
)

// manualPolls is how long a person may take: to find the other terminal, the
// right host, perhaps a colleague.
const manualPolls = 15 * time.Minute

// Manual leaves the restart to a person: it says what to do through
// Options.Say, asks nothing and returns. Nothing is known of the workers.
func Manual() Scheme { return Scheme{Open: openManual, Polls: manualPolls} }

type manual struct{ say func(string) }

var _ Driver = (*manual)(nil)

func openManual(place string, opt Options) (Driver, error) {
	if err := nothingBehind("manual:", place); err != nil {
		return nil, err
	}
	if opt.Say == nil {
		opt.Say = func(string) {}
	}
	return &manual{say: opt.Say}, nil
}

// Restart says what to do.
func (m *manual) Restart(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.say("Restart the Blnk server and every worker now: each reads the key only when it starts.")
	m.say("Where compose gives the key by env_file, a restart is not enough; recreate them:")
	m.say("  docker compose up -d --no-deps --force-recreate SERVICE…")
	return nil
}

// String returns the reference.
func (*manual) String() string { return "manual:" }
