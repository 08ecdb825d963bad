package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
)

const (
	// QueryTimeout is far more than an engine needs for an answer.
	QueryTimeout = 30 * time.Second
	// mostAnswer is far more than an engine or Compose answers where it describes
	// hundreds of containers, or a project of hundreds of services.
	mostAnswer = 16 << 20
	// look is how often a container is looked at while it starts.
	look = 200 * time.Millisecond
	// steadyFor is how long a container must run to count as started: a process
	// that cannot read its configuration ends within a second, and of a worker
	// nobody else would notice.
	steadyFor = 2 * time.Second
	// mostStarts is how often a restart policy may start a container before it
	// counts as one that does not come up.
	mostStarts = 4
)

// An Engine is Docker as the person at the command line reaches it: with the
// docker command, its context and its permissions.
type Engine struct{ Options restart.Options }

// Command is a command with the folder, the environment and the masks of the
// engine.
func (e Engine) Command(limit time.Duration, args ...string) run.Cmd {
	cmd := run.Cmd{Args: args, Dir: e.Options.Dir, Env: e.Options.Env, Timeout: limit, Most: mostAnswer, Show: e.Options.Show}
	if e.Options.Mask != nil {
		cmd.Mask = e.Options.Mask()
	}
	return cmd
}

// Ask returns what a command prints, which may hold keys: it goes through a pipe
// into memory only. The error of one that fails ends with its last line.
func (e Engine) Ask(ctx context.Context, args ...string) (string, error) {
	out, res, err := e.Command(QueryTimeout, args...).Read(ctx)
	if line := LastLine(res.Output); err != nil && line != "" && res.Exit > 0 {
		return "", fmt.Errorf("%v: %s", err, line) //nolint:errorlint // else its output would be shown, too
	}
	return out.Reveal(), err
}

// LastLine is the last line of a text that says something, cut to a length that
// can be read.
func LastLine(text string) string {
	const most = 300
	text = strings.TrimSpace(text)
	last := strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
	if len(last) > most {
		last = strings.ToValidUTF8(last[:most], "") + "…"
	}
	return last
}

// Within bounds ctx by the time that one restart may take.
func (e Engine) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	if e.Options.Timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, e.Options.Timeout, fmt.Errorf("not done within %s", e.Options.Timeout))
}

// Installed says whether docker can be run.
func (e Engine) Installed() error {
	if err := e.Command(0, "docker").Check(); err != nil {
		return hint.Add(fmt.Errorf("docker cannot be run: %w", err), "install it, or put it into PATH")
	}
	return nil
}

// Answers says whether the engine can be reached.
func (e Engine) Answers(ctx context.Context) error {
	if err := e.Installed(); err != nil {
		return err
	}
	if _, err := e.Ask(ctx, "docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		return hint.Add(fmt.Errorf("the Docker engine cannot be reached: %w", err), "see whether it runs, and whether this user may reach it: docker info")
	}
	return nil
}

// Local says whether the engine is on this host: only then its published ports
// and mounted files are this host's.
func (e Engine) Local(ctx context.Context) bool {
	text, err := e.Ask(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	host := strings.TrimSpace(text)
	return err == nil && (host == "" || strings.HasPrefix(host, "unix://") || strings.HasPrefix(host, "fd://"))
}

// Inspect looks at containers, by name or ID, in that order.
func (e Engine) Inspect(ctx context.Context, names ...string) ([]*Container, error) {
	if len(names) == 0 {
		return nil, nil
	}
	text, err := e.Ask(ctx, append([]string{"docker", "container", "inspect", "--"}, names...)...)
	if err != nil {
		if silent := e.Answers(ctx); silent != nil {
			return nil, silent
		}
		// Only an engine that answers knows that there is none; a command that was
		// killed or took too long says nothing about the container.
		if _, odd := errors.AsType[*run.ExitError](err); !odd && len(names) == 1 {
			return nil, hint.Add(fmt.Errorf("there is no container %s", names[0]), "see what there is: docker ps --all")
		}
		return nil, fmt.Errorf("look at containers: %w", err)
	}
	var found []*Container
	// The decoder's error may quote what it could not read.
	if json.Unmarshal([]byte(text), &found) != nil || len(found) != len(names) {
		return nil, errors.New("look at containers: the answer of docker container inspect is not understood")
	}
	return found, nil
}

// Addresses are URLs of the containers that run a server; none where none does.
// One that cannot be asked from here is an error: whatever has its port on this
// host is another server.
func (e Engine) Addresses(ctx context.Context, all []*Container) (urls []string, err error) {
	servers := slices.DeleteFunc(slices.Clone(all), func(c *Container) bool { return !c.Role().Server })
	if len(servers) == 0 {
		servers = slices.DeleteFunc(slices.Clone(all), func(c *Container) bool { return !c.mayServe() })
	}
	const help = "say where it can be asked: --server URL"
	for _, c := range servers {
		if !e.Local(ctx) {
			return nil, hint.Add(fmt.Errorf("container %s runs on another host, as far as Docker tells: its address is not known", c.Called()), help)
		}
		found, err := c.servers()
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("container %s publishes no port of its server", c.Called())
		}
		if err != nil {
			return nil, hint.Add(err, help)
		}
		urls = append(urls, found...)
	}
	return urls, nil
}

// Beside are running containers that are not restarted and have to do with it:
// those that run Blnk, but for the ones that the caller knows, and those that
// share the network of one that is restarted, which ends with it. One that ends
// while it is looked at is left out.
func (e Engine) Beside(ctx context.Context, restarted, known []*Container, local bool) (all []restart.Process) {
	text, err := e.Ask(ctx, "docker", "ps", "--no-trunc", "--format", `{{.ID}}{{"\t"}}{{.Networks}}{{"\t"}}{{.Command}}`)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(text) {
		field := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(field) != 3 {
			continue
		}
		is := func(c *Container) bool { return c.ID == field[0] }
		blnk := restart.RoleOf(field[2]).Blnk() && !slices.ContainsFunc(known, is)
		if slices.ContainsFunc(restarted, is) || !blnk && field[1] != "" { // one that shares a network has none of its own
			continue
		}
		found, err := e.Inspect(ctx, field[0])
		if err != nil {
			continue
		}
		c, p := found[0], restart.Process{Name: "container " + found[0].Called()}
		if blnk {
			p = c.Process(p.Name, local)
			p.Remarks = nil // of its restart
		}
		of := strings.TrimPrefix(c.HostConfig.NetworkMode, "container:")
		for _, r := range restarted {
			if of == r.ID || of == r.Called() {
				p.Cautions = append(p.Cautions, fmt.Sprintf("container %s shares the network of container %s, and is cut off from then on: recreate it, or restart it, afterwards", c.Called(), r.Called()))
			}
		}
		if blnk || len(p.Cautions) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// Steady waits until the containers have run for a while without ending, and are
// healthy where they have a health check.
func (e Engine) Steady(ctx context.Context, ids []string) error {
	since := map[string]time.Time{} // when a start was seen first
	for {
		all, err := e.Inspect(ctx, ids...)
		if err != nil {
			return err
		}
		waitsFor := ""
		for _, c := range all {
			if since[c.start()].IsZero() {
				since[c.start()] = time.Now()
			}
			up, fault := c.up(time.Since(since[c.start()]))
			if fault != "" {
				return e.ended(ctx, c, fault)
			}
			if !up {
				waitsFor = c.Called()
			}
		}
		if waitsFor == "" {
			return nil
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return fmt.Errorf("wait for the start of container %s: %w", waitsFor, context.Cause(ctx))
		}
	}
}

// ended is the error of a container that did not come up, with what it said last
// as the output of a failed command.
func (e Engine) ended(ctx context.Context, c *Container, fault string) error {
	err := hint.Add(fmt.Errorf("container %s %s", c.Called(), fault), "its log says why: %s; mend that, and run this again", c.logs())
	res, failed := e.Command(QueryTimeout, "docker", "logs", "--tail", "10", c.ID).Run(ctx)
	if failed != nil || res.Output == "" {
		return err // its last words are lost, the failure is not
	}
	res.Output = "the last lines of container " + c.Called() + " in its log:\n" + res.Output
	return &withLog{err, &run.ExitError{Name: "docker", Result: res}}
}

// A withLog is an error with the output of a command behind it.
type withLog struct {
	error
	log *run.ExitError
}

func (e *withLog) Unwrap() []error { return []error{e.error, e.log} }
