package restart

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/run"
)

const (
	// queryTimeout is far more than an engine needs for an answer.
	queryTimeout = 30 * time.Second
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

// ErrStopped: a container or service that is to be restarted does not run.
var ErrStopped = errors.New("does not run")

// An engine is Docker as the person at the command line reaches it: with the
// docker command, its context and its permissions.
type engine struct{ opt Options }

// A container is what "docker container inspect" says of one. Its environment
// may hold keys, so it must not be printed.
type container struct {
	ID, Name, Path, Image string
	Args                  []string
	State                 struct {
		Status                      string
		Running, Paused, Restarting bool
		ExitCode, Pid               int
		StartedAt                   time.Time
		Health                      *struct{ Status string }
	}
	HostConfig struct {
		NetworkMode, PidMode string
		Init                 *bool
		PortBindings         map[string][]binding
	}
	Mounts []struct{ Type, Name, Source, Destination string }
	Config struct {
		Env             []string
		Cmd, Entrypoint []string
		Image           string
		WorkingDir      string
		StopSignal      string
		StopTimeout     *int
		Labels          map[string]string
	}
	NetworkSettings struct {
		Ports map[string][]binding
	}

	// first is the program that process 1 runs by now; "" where nobody looked.
	first string
}

// A binding is an address of this host behind which a container's port is.
type binding struct{ HostIP, HostPort string }

// name is what a person calls the container.
func (c container) name() string { return strings.TrimPrefix(c.Name, "/") }

// env is the environment that the container was made with.
func (c container) env() map[string]string { return variables(c.Config.Env) }

func variables(list []string) map[string]string {
	vars := make(map[string]string, len(list))
	for _, v := range list {
		if name, value, ok := strings.Cut(v, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

// read returns what a command prints, which may hold keys: it goes through a
// pipe into memory only.
func (e engine) read(ctx context.Context, args ...string) (string, error) {
	out, res, err := e.cmd(queryTimeout, args...).Read(ctx)
	if err != nil {
		return "", withReason(err, res)
	}
	return out.Reveal(), nil
}

func (e engine) cmd(limit time.Duration, args ...string) run.Cmd {
	cmd := run.Cmd{Args: args, Dir: e.opt.Dir, Env: e.opt.Env, Timeout: limit}
	if e.opt.Mask != nil {
		cmd.Mask = e.opt.Mask()
	}
	return cmd
}

// withReason puts the last line of what a command complained behind its error.
// The error stands for its output then, which would say the same again.
func withReason(err error, res run.Result) error {
	if line := lastLine(res.Output); line != "" && res.Exit > 0 {
		return fmt.Errorf("%v: %s", err, line) //nolint:errorlint // see above
	}
	return err
}

func lastLine(text string) string {
	const most = 300
	last := ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			last = line
		}
	}
	if len(last) > most {
		last = strings.ToValidUTF8(last[:most], "") + "…"
	}
	return last
}

// inspect asks for one container by its name or ID.
func (e engine) inspect(ctx context.Context, name string) (container, error) {
	text, err := e.read(ctx, "docker", "container", "inspect", "--", name)
	if err != nil {
		return container{}, fmt.Errorf("look at container %s: %w", name, err)
	}
	var found []container
	// The decoder's error may quote what it could not read.
	if json.Unmarshal([]byte(text), &found) != nil || len(found) != 1 {
		return container{}, fmt.Errorf("look at container %s: the answer of docker container inspect is not understood", name)
	}
	return found[0], nil
}

// examine is inspect with a look at process 1, where that decides how the
// container stops: many a shell has its last command take its place, and some
// (dash) do not.
func (e engine) examine(ctx context.Context, name string) (container, error) {
	c, err := e.inspect(ctx, name)
	if err != nil || !c.State.Running || !c.deafShell() {
		return c, err
	}
	text, err := e.read(ctx, "docker", "container", "top", c.ID, "-o", "pid,comm")
	if err != nil {
		return c, nil // a minimal host has no ps: the command line has to do
	}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == strconv.Itoa(c.State.Pid) {
			c.first = words[1]
		}
	}
	return c, nil
}

// available says whether docker can be run.
func (e engine) available() error { return e.cmd(0, "docker").Check() }

// local says whether the engine is on this host: only then its published
// ports and mounted files are this host's.
func (e engine) local(ctx context.Context) bool {
	text, err := e.read(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	host := strings.TrimSpace(text)
	return err == nil && (host == "" || strings.HasPrefix(host, "unix://") || strings.HasPrefix(host, "fd://"))
}

// runningNow refuses a container that a restart would not bring back to what
// it is doing.
func (c container) runningNow() error {
	switch {
	case c.State.Paused:
		return fmt.Errorf("container %s is paused", c.name())
	case c.State.Restarting:
		return fmt.Errorf("container %s ends and is started again and again (exit status %d)", c.name(), c.State.ExitCode)
	case !c.State.Running:
		return fmt.Errorf("container %s %w (%s, exit status %d)", c.name(), ErrStopped, c.State.Status, c.State.ExitCode)
	}
	return nil
}

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

// An endedError is a container that did not come up. It wraps what the
// container said last, as the output of a failed command.
type endedError struct {
	text string
	last *run.ExitError
}

func (e *endedError) Error() string { return e.text }
func (e *endedError) Unwrap() error { return e.last }

func (e engine) ended(ctx context.Context, c container, format string, args ...any) error {
	text := fmt.Sprintf("container %s ", c.name()) + fmt.Sprintf(format, args...)
	res, err := e.cmd(queryTimeout, "docker", "logs", "--tail", "10", c.ID).Run(ctx)
	if err != nil || res.Output == "" {
		return errors.New(text) // its last words are lost, the failure is not
	}
	return &endedError{text, &run.ExitError{Name: "docker", Result: res}}
}
