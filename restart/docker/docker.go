// Package docker restarts containers by name or ID: "docker:server,worker", in
// that order. It runs the docker command, with the context and the permissions
// of whoever calls it. A restart keeps the environment that a container was made
// with, so that one that has the key there keeps the old one.
//
// Its success means that each container was told to stop and start again, still
// ran a while later, and is healthy where it has a check. What it runs with then
// is for the caller to see (Processes).
package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/restart"
)

// Scheme is the row of the table of the ways to restart.
func Scheme() restart.Scheme { return restart.Scheme{Open: open, WorkersProved: true, Offers: offers} }

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

// offers leave out containers of Compose, which can do more for them.
func offers(ctx context.Context, opt restart.Options) []string {
	var g restart.Group
	all, _ := Engine{opt}.List(ctx)
	local := Engine{opt}.Local(ctx)
	for _, c := range all {
		if c.Config.Labels[LabelProject] == "" {
			g.Add(c.Role(), c.Called(), c.Process("", "", local).Config)
		}
	}
	return g.Offers(func(names ...string) string { return (&driver{names: names}).String() })
}

// Names reads a list of containers or services.
func Names(list, kind string) ([]string, error) {
	all := strings.Split(list, ",")
	for i, name := range all {
		switch {
		case name == "":
			return nil, errors.New("an empty name")
		case strings.HasPrefix(name, "-") || strings.ContainsAny(name, " \t\r\n\x00/?#"):
			return nil, fmt.Errorf("%q is no name", name)
		case slices.Contains(all[:i], name):
			return nil, fmt.Errorf("%s %s is named twice", kind, name)
		}
	}
	return all, nil
}

// String returns the reference.
func (d *driver) String() string { return "docker:" + strings.Join(d.names, ",") }

// containers looks at each by itself, so that one that is not there is named.
func (d *driver) containers(ctx context.Context) (all []*Container, err error) {
	for i, name := range d.names {
		c, err := d.inspect(ctx, name)
		if err != nil {
			return nil, err
		}
		if j := slices.IndexFunc(all, func(o *Container) bool { return o.ID == c[0].ID }); j >= 0 {
			return nil, fmt.Errorf("%s and %s are the same container", d.names[j], d.names[i])
		}
		all = append(all, c[0])
	}
	return all, nil
}

// Restart restarts the containers one after the other, those that are stopped
// too, and then waits until all of them have come up.
func (d *driver) Restart(ctx context.Context) error {
	all, err := d.containers(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		cmd := d.Options.Command(0, "docker", "restart", "-t", strconv.Itoa(c.StopTimeout()), "--", c.ID)
		if _, err := d.Options.Work.Run(ctx, d.String(), cmd); err != nil {
			return fmt.Errorf("container %s: %w", c.Called(), err)
		}
	}
	return d.Steady(ctx, all)
}

// Check says whether the containers are there and run. Where all that is wrong is
// that one is stopped, the error is restart.ErrStopped: Restart would start it.
func (d *driver) Check(ctx context.Context) error {
	all, err := d.containers(ctx)
	if err != nil {
		return err
	}
	return Check(all)
}

// The labels that Compose puts on containers.
const (
	LabelProject = "com.docker.compose.project"
	LabelService = "com.docker.compose.service"
	LabelOneoff  = "com.docker.compose.oneoff" // one of "compose run"
)

// Processes are the containers as they run, and others of the engine.
func (d *driver) Processes(ctx context.Context) ([]restart.Process, error) {
	all, err := d.containers(ctx)
	if err != nil {
		return nil, err
	}
	var ps []restart.Process
	local := d.Local(ctx)
	for _, c := range all {
		p := c.Process("container "+c.Called(), d.String(), local)
		p.Restarts, p.Fixed, p.Remarks = true, c.fixed, c.Remarks(p.Name)
		ps = append(ps, p)
	}
	return append(ps, d.Beside(ctx, all, "", local)...), nil
}

// Servers returns the published addresses of the containers that run a server.
func (d *driver) Servers(ctx context.Context) ([]string, error) {
	all, err := d.containers(ctx)
	if err != nil {
		return nil, err
	}
	return d.Addresses(ctx, all)
}
