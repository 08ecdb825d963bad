package restart

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/run"
)

// queryTimeout is far more than an engine needs for an answer.
const queryTimeout = 30 * time.Second

// longest is far more than an engine or Compose answers where it describes
// hundreds of containers, or a project of hundreds of services.
const longest = 16 << 20

// An engine is Docker as the person at the command line reaches it: with the
// docker command, its context and its permissions.
type engine struct{ opt Options }

// A container is what "docker container inspect" says of one. Its environment
// may hold keys, so it must not be printed.
type container struct {
	ID, Name, Path, Image string
	Created               time.Time
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
	Mounts []mount
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

// A mount is something of the engine's host in a container; Source is "" for a
// file system of its own, as a tmpfs.
type mount struct{ Type, Name, Source, Destination string }

// seenHere says that the source can be found by this process. The engine may
// name a path of another machine: where blnkctl runs in a container itself, or
// the engine in a virtual one.
func (m mount) seenHere() bool {
	_, err := os.Stat(m.Source)
	return err == nil
}

// A binding is an address of this host behind which a container's port is.
type binding struct{ HostIP, HostPort string }

// name is what a person calls the container.
func (c *container) name() string { return strings.TrimPrefix(c.Name, "/") }

// env is the environment that the container was made with.
func (c *container) env() map[string]string { return variables(c.Config.Env) }

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
	cmd := run.Cmd{Args: args, Dir: e.opt.Dir, Env: e.opt.Env, Timeout: limit, Most: longest}
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
func (e engine) inspect(ctx context.Context, name string) (*container, error) {
	text, err := e.read(ctx, "docker", "container", "inspect", "--", name)
	if err != nil {
		return nil, e.absent(ctx, name, err)
	}
	var found []*container
	// The decoder's error may quote what it could not read.
	if json.Unmarshal([]byte(text), &found) != nil || len(found) != 1 {
		return nil, fmt.Errorf("look at container %s: the answer of docker container inspect is not understood", name)
	}
	return found[0], nil
}

// others are the environments of the containers that run Blnk besides those that
// are known. One that cannot be looked at is a guess less.
func (e engine) others(ctx context.Context, known []*container, here bool) (envs []Environment) {
	text, err := e.read(ctx, "docker", "ps", "--no-trunc", "--format", `{{.ID}}{{"\t"}}{{.Command}}`)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(text) {
		id, command, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if !RoleOf(command).Blnk() || slices.ContainsFunc(known, func(c *container) bool { return c.ID == id }) {
			continue
		}
		if c, err := e.inspect(ctx, id); err == nil {
			env := c.environment("container "+c.name(), here)
			env.Left = true
			envs = append(envs, env)
		}
	}
	return envs
}

// absent says why a container could not be looked at: only an engine that
// answers knows that there is none.
func (e engine) absent(ctx context.Context, name string, err error) error {
	if engine := e.reached(ctx); engine != nil {
		return engine
	}
	// docker says with an exit status and a reason that there is none (see
	// withReason); anything else says nothing about the container.
	if _, ok := errors.AsType[*run.ExitError](err); ok {
		return fmt.Errorf("look at container %s: %w", name, err)
	}
	return fault(ErrAbsent, []string{"docker", "ps", "--all"}, "there is no container %s", name)
}

// reached says whether the engine answers.
func (e engine) reached(ctx context.Context) error {
	if err := e.available(); err != nil {
		return err
	}
	if _, err := e.read(ctx, "docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		return fault(ErrNoEngine, []string{"docker", "info"}, "%v: %v", ErrNoEngine, err)
	}
	return nil
}

// examine is inspect with a look at process 1, where that decides how the
// container stops: many a shell has its last command take its place, and some
// (dash) do not.
func (e engine) examine(ctx context.Context, name string) (*container, error) {
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
func (e engine) available() error {
	if err := e.cmd(0, "docker").Check(); err != nil {
		return fault(ErrNoTool, nil, "docker %v: %v", ErrNoTool, err)
	}
	return nil
}

// local says whether the engine is on this host: only then its published
// ports and mounted files are this host's.
func (e engine) local(ctx context.Context) bool {
	text, err := e.read(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	host := strings.TrimSpace(text)
	return err == nil && (host == "" || strings.HasPrefix(host, "unix://") || strings.HasPrefix(host, "fd://"))
}

// runningNow refuses a container that a restart would not bring back to what
// it is doing.
func (c *container) runningNow() error {
	switch {
	case c.State.Paused:
		return fault(ErrPaused, []string{"docker", "unpause", c.name()}, "container %s %v", c.name(), ErrPaused)
	case c.State.Restarting:
		return fault(ErrEnded, c.logs(), "container %s ends and is started again and again (exit status %d)", c.name(), c.State.ExitCode)
	case c.State.Running && c.State.Health != nil && c.State.Health.Status == "unhealthy":
		return fault(ErrUnhealthy, []string{"docker", "inspect", "--format", "{{json .State.Health.Log}}", c.name()}, "container %s %v, and would count as failed after its restart", c.name(), ErrUnhealthy)
	case !c.State.Running:
		return fault(ErrStopped, []string{"docker", "start", c.name()}, "container %s %v (%s, exit status %d)", c.name(), ErrStopped, c.State.Status, c.State.ExitCode)
	}
	return nil
}

// logs is the command that shows what the container said last.
func (c *container) logs() []string { return []string{"docker", "logs", "--tail", "50", c.name()} }
