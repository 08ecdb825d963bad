package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
)

const (
	QueryTimeout = 30 * time.Second       // far more than an engine needs for an answer
	mostAnswer   = 16 << 20               // more than hundreds of containers, or services, take
	look         = 200 * time.Millisecond // between two looks at a container that starts
	// steadyFor is how long a container must run to count as started: a process
	// that cannot read its configuration ends within a second, and of a worker
	// nobody else would notice.
	steadyFor  = 2 * time.Second
	mostStarts = 4 // of a restart policy, before a container counts as one that does not come up
)

// An Engine is Docker as the person at the command line reaches it: with the
// docker command, its context and its permissions.
type Engine struct{ Options restart.Options }

// Ask returns what a command prints, which may hold keys: it goes through a pipe
// into memory only. The error of one that fails ends with its last line.
func (e Engine) Ask(ctx context.Context, args ...string) (string, error) {
	cmd := e.Options.Command(QueryTimeout, args...)
	cmd.Most = mostAnswer
	out, res, err := cmd.Read(ctx)
	if line := run.Last(res.Output, 1, 300); err != nil && line != "" && res.Exit > 0 {
		return "", fmt.Errorf("%v: %s", err, line) //nolint:errorlint // else its output would be shown, too
	}
	return out.Reveal(), err
}

// Answers says whether docker can be run, and the engine be reached.
func (e Engine) Answers(ctx context.Context) error {
	if err := e.Options.Command(0, "docker").Check(); err != nil {
		return hint.Add(fmt.Errorf("docker cannot be run: %w", err), "install it, or put it into PATH")
	}
	if _, err := e.Ask(ctx, "docker", "context", "inspect", "--format", "x"); err != nil {
		return hint.Add(fmt.Errorf("the context of Docker cannot be used: %w", err), "see which there are: docker context ls; DOCKER_CONTEXT names another one")
	}
	if _, err := e.Ask(ctx, "docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		return hint.Add(fmt.Errorf("the Docker engine cannot be reached: %w", err), "see whether it runs, and whether this user may reach it: docker info")
	}
	return nil
}

// Local says whether the engine is on this host: only then its published ports
// and mounted files are this host's.
func (e Engine) Local(ctx context.Context) bool {
	host, err := e.Endpoint(ctx)
	return err == nil && (host == "" || strings.HasPrefix(host, "unix://") || strings.HasPrefix(host, "fd://"))
}

// Endpoint is where the docker command reaches the engine ("unix:///var/run/docker.sock").
func (e Engine) Endpoint(ctx context.Context) (string, error) {
	text, err := e.Ask(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	return strings.TrimSpace(text), err
}

var errGone = errors.New("there is no container")

// inspect looks at containers, by name or ID, in that order.
func (e Engine) inspect(ctx context.Context, names ...string) ([]*Container, error) {
	if len(names) == 0 {
		return nil, nil
	}
	text, err := e.Ask(ctx, append([]string{"docker", "container", "inspect", "--"}, names...)...)
	if err != nil {
		if silent := e.Answers(ctx); silent != nil {
			return nil, silent
		}
		if strings.Contains(strings.ToLower(err.Error()), "no such container") && len(names) == 1 { // Docker's words; another failure says nothing
			return nil, hint.Add(fmt.Errorf("%w %s", errGone, names[0]), "see what there is: docker ps --all")
		}
		return nil, fmt.Errorf("look at containers: %w", err)
	}
	var each []json.RawMessage
	ok := json.Unmarshal([]byte(text), &each) == nil && len(each) == len(names)
	var all []*Container
	for _, one := range each {
		c := &Container{All: string(one)}
		ok = ok && json.Unmarshal(one, c) == nil
		all = append(all, c)
	}
	if !ok { // the decoder's error may quote what it could not read
		return nil, errors.New("look at containers: the answer of docker container inspect is not understood")
	}
	return all, nil
}

// List looks at the containers that "docker ps" lists with these flags. One that
// goes while it is looked at is left out: then each is looked at by itself.
func (e Engine) List(ctx context.Context, flags ...string) (all []*Container, err error) {
	text, silent := e.Ask(ctx, append([]string{"docker", "ps", "--no-trunc", "--quiet"}, flags...)...)
	if silent != nil {
		return nil, cmp.Or(e.Answers(ctx), fmt.Errorf("list containers: %w", silent))
	}
	ids := strings.Fields(text)
	if all, err = e.inspect(ctx, ids...); err == nil {
		return all, nil
	}
	for _, id := range ids {
		one, err := e.inspect(ctx, id)
		if err != nil && !errors.Is(err, errGone) {
			return nil, err
		}
		all = append(all, one...)
	}
	return all, nil
}

// Addresses are URLs of the containers that run a server; none where none does.
// One that cannot be asked from here is an error: whatever has its port on this
// host is another server.
func (e Engine) Addresses(ctx context.Context, all []*Container) (urls []string, err error) {
	local := e.Local(ctx)
	for _, c := range all {
		if !c.Process("", "", local).Server {
			continue
		}
		url, err := c.server()
		if !local {
			err = fmt.Errorf("container %s runs on another host, as far as Docker tells: its address is not known", c.Called())
		}
		if err != nil {
			return nil, hint.Add(err, "say where it can be asked: --server URL")
		}
		urls = append(urls, url)
	}
	return urls, nil
}

// Beside are the running containers that are not restarted, those of the caller's
// own project by their services; and what a restart does to those that share a
// network with one that is restarted, and lose it.
func (e Engine) Beside(ctx context.Context, restarted []*Container, project string, local bool) (all []restart.Process) {
	running, _ := e.List(ctx) // a look less
	for _, c := range running {
		if slices.ContainsFunc(restarted, func(o *Container) bool { return o.ID == c.ID }) {
			continue
		}
		p := c.Process("container "+c.Called(), "docker:"+c.Called(), local)
		if l := c.Config.Labels; project != "" && l[LabelOneoff] == "False" { // Compose made it, and can make it anew
			if p.Reference = "compose:#" + l[LabelService] + "?project=" + url.QueryEscape(l[LabelProject]); l[LabelProject] == project {
				p.Name = "service " + l[LabelService]
			}
		}
		of := strings.TrimPrefix(c.HostConfig.NetworkMode, "container:")
		for _, r := range restarted {
			if of == r.ID || of == r.Called() {
				p.Cautions = append(p.Cautions, fmt.Sprintf("container %s shares the network of container %s, and is cut off from then on: recreate it, or restart it, afterwards", c.Called(), r.Called()))
			}
		}
		all = append(all, p)
	}
	return all
}

// Steady waits until the containers have run for a while without ending, and are
// healthy where they have a health check.
func (e Engine) Steady(ctx context.Context, containers []*Container) error {
	var ids []string
	for _, c := range containers {
		ids = append(ids, c.ID)
	}
	since := map[string]time.Time{} // when a start was seen first
	for {
		all, err := e.inspect(ctx, ids...)
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
		if err := interrupt.Sleep(ctx, look); err != nil {
			return fmt.Errorf("wait for the start of container %s: %w", waitsFor, err)
		}
	}
}

// ended is the error of a container that did not come up, with what it said last.
func (e Engine) ended(ctx context.Context, c *Container, fault string) error {
	start := ""
	if !c.State.Running {
		start = ", start it (" + hint.Command("docker", "start", c.Called()) + ")"
	}
	err := hint.Add(fmt.Errorf("container %s %s", c.Called(), fault), "its log says why: %s; mend that%s, and run this again", c.logs(), start)
	res, failed := e.Options.Command(QueryTimeout, "docker", "logs", "--tail", "10", c.ID).Run(ctx)
	if failed != nil || res.Output == "" {
		return err // its last words are lost, the failure is not
	}
	return run.Saying(err, "the last lines of container "+c.Called()+" in its log:\n"+res.Output)
}
