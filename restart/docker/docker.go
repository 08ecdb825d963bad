// Package docker restarts containers by name or ID: "docker:server,worker", in
// that order. It runs the docker command, with the context and the permissions
// of whoever calls it.
//
// Its success means that each container was stopped and started again
// (StartedAt), still ran a while later, and is healthy where its image has a
// check. It does not promise that all workers were among the containers named.
//
// A restart keeps the environment that a container was made with, so a
// container that has the key there is refused.
package docker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/restart"
)

// Scheme is the row of the table of the ways to restart.
func Scheme() restart.Scheme { return restart.Scheme{Open: open, WorkersProved: true} }

type driver struct {
	names []string
	Engine
}

var (
	_ restart.Driver   = (*driver)(nil)
	_ restart.Checker  = (*driver)(nil)
	_ restart.Observer = (*driver)(nil)
	_ restart.Locator  = (*driver)(nil)
)

func open(place string, opt restart.Options) (restart.Driver, error) {
	names, err := Names(place, "container")
	if err != nil {
		return nil, fmt.Errorf("restart reference %q: %w; want docker:CONTAINER,CONTAINER…", "docker:"+place, err)
	}
	return &driver{names, Engine{opt}}, nil
}

// Names reads a list of containers or services.
func Names(list, kind string) ([]string, error) {
	all := strings.Split(list, ",")
	for i, name := range all {
		if err := CheckName(name); err != nil {
			return nil, err
		}
		if slices.Contains(all[:i], name) {
			return nil, fmt.Errorf("%s %s is named twice", kind, name)
		}
	}
	return all, nil
}

// CheckName refuses what cannot be the name of a container or a service.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("an empty name")
	case strings.HasPrefix(name, "-") || strings.ContainsAny(name, " \t\r\n\x00/?#"):
		return fmt.Errorf("%q is no name", name)
	}
	return nil
}

// String returns the reference.
func (d *driver) String() string { return "docker:" + strings.Join(d.names, ",") }

// containers looks at each by itself, so that one that is not there is named.
func (d *driver) containers(ctx context.Context) (all []*Container, err error) {
	for _, name := range d.names {
		c, err := d.Inspect(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, c[0])
	}
	return all, nil
}

// Restart restarts the containers one after the other, those that are stopped
// too, and then waits until all of them have come up.
func (d *driver) Restart(ctx context.Context) error {
	ctx, cancel := d.Within(ctx)
	defer cancel()
	var ids []string
	for _, name := range d.names {
		before, err := d.Inspect(ctx, name)
		if err != nil {
			return err
		}
		c := before[0]
		if _, err := d.Command(0, "docker", "restart", "-t", strconv.Itoa(c.StopTimeout()), "--", c.ID).Run(ctx); err != nil {
			return fmt.Errorf("container %s: %w", c.Called(), err)
		}
		after, err := d.Inspect(ctx, c.ID)
		if err != nil {
			return err
		}
		if err := after[0].Restarted(c); err != nil {
			return err
		}
		ids = append(ids, c.ID)
	}
	return d.Steady(ctx, ids)
}

// Check says whether the containers are there, run, and could take another key
// with a restart. Where all that is wrong is that one is stopped, the error is
// restart.ErrStopped: Restart would start it.
func (d *driver) Check(ctx context.Context) error {
	if err := d.Installed(); err != nil {
		return err
	}
	all, err := d.containers(ctx)
	if err != nil {
		return err
	}
	var stopped error
	for i, c := range all {
		if j := slices.IndexFunc(all[:i], func(o *Container) bool { return o.ID == c.ID }); j >= 0 {
			return fmt.Errorf("%s and %s are the same container", d.names[j], d.names[i])
		}
		if err := c.Runs(); errors.Is(err, restart.ErrStopped) {
			stopped = err
		} else if err != nil {
			return err
		}
		if name := c.KeyVariable(); name != "" {
			return c.fixed(name)
		}
	}
	return stopped
}

// fixed is the error of a container that has the key in a variable.
func (c *Container) fixed(name string) error {
	help := "recreate it without that variable, and with the key in a mounted blnk.json"
	if project := c.Config.Labels[LabelProject]; project != "" {
		help = "--restart " + hint.Quote("compose:?project="+url.QueryEscape(project))
	}
	return hint.Add(fmt.Errorf("container %s was made with %s (docker run -e or --env-file, or its image), which a restart cannot change", c.Called(), name), "%s", help)
}

// LabelProject is the label in which Compose notes the project of a container.
const LabelProject = "com.docker.compose.project"

// Processes are the containers as they run, and others that have to do with
// their restart.
func (d *driver) Processes(ctx context.Context) ([]restart.Process, error) {
	all, err := d.containers(ctx)
	if err != nil {
		return nil, err
	}
	var ps []restart.Process
	local := d.Local(ctx)
	for _, c := range all {
		p := c.Process("container "+c.Called(), local)
		p.Restarts = true
		ps = append(ps, p)
	}
	return append(ps, d.Beside(ctx, all, all, local)...), nil
}

// Servers returns the published addresses of the containers that run a server.
func (d *driver) Servers(ctx context.Context) ([]string, error) {
	all, err := d.containers(ctx)
	if err != nil {
		return nil, err
	}
	return d.Addresses(ctx, all)
}
