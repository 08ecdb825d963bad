package restart

import (
	"context"
	"fmt"
	"time"

	"github.com/blnkctl/blnkctl/internal/run"
)

const (
	// look is how often a container is looked at while it starts.
	look = 200 * time.Millisecond
	// steadyFor is how long a container must run to count as started: a
	// process that cannot read its configuration ends within a second, and of
	// a worker nobody else would notice.
	steadyFor = 2 * time.Second
	// mostStarts is how often a restart policy may start a container anew
	// before it counts as one that does not come up.
	mostStarts = 4
)

// A startedContainer is one that was just started, and what was seen of it.
type startedContainer struct {
	id     string
	at     time.Time // its StartedAt
	since  time.Time // when that was first seen
	starts int
}

// steady waits until the containers have run for a while without ending, and
// are healthy where they have a health check.
func (e engine) steady(ctx context.Context, ids []string) error {
	var open []*startedContainer
	for _, id := range ids {
		open = append(open, &startedContainer{id: id})
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		var left []*startedContainer
		for _, s := range open {
			done, err := e.watch(ctx, s)
			if err != nil {
				return err
			}
			if !done {
				left = append(left, s)
			}
		}
		if open = left; len(open) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the start of container %s: %w", open[0].id, context.Cause(ctx))
		}
	}
}

// watch takes one look at a container that was started.
func (e engine) watch(ctx context.Context, s *startedContainer) (done bool, err error) {
	c, err := e.inspect(ctx, s.id)
	if err != nil {
		return false, err
	}
	now := time.Now()
	if !c.State.StartedAt.Equal(s.at) {
		s.at, s.since = c.State.StartedAt, now
		s.starts++
	}
	switch {
	case s.starts > mostStarts:
		return false, e.ended(ctx, c, "does not come up: it was started %d times", s.starts)
	case c.State.Restarting:
		return false, nil
	case !c.State.Running:
		return false, e.ended(ctx, c, "ended right after its start, with exit status %d", c.State.ExitCode)
	}
	if h := c.State.Health; h != nil && h.Status != "none" {
		if h.Status == "unhealthy" {
			return false, e.ended(ctx, c, "is unhealthy after its start")
		}
		return h.Status == "healthy", nil
	}
	return now.Sub(s.since) >= steadyFor, nil
}

// ended is the error of a container that did not come up, with what it said last
// as the output of a failed command.
func (e engine) ended(ctx context.Context, c *container, format string, args ...any) error {
	err := fault(ErrEnded, c.logs(), "container %s %s", c.name(), fmt.Sprintf(format, args...))
	res, failed := e.cmd(queryTimeout, "docker", "logs", "--tail", "10", c.ID).Run(ctx)
	if failed != nil || res.Output == "" {
		return err // its last words are lost, the failure is not
	}
	res.Output = "the last lines of container " + c.name() + " in its log:\n" + res.Output
	return &outcome{error: err, exit: &run.ExitError{Name: "docker", Result: res}}
}
