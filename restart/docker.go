package restart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Docker restarts containers by name or ID: "docker:server,worker", in that
// order. It runs the docker command, with the context and the permissions of
// whoever calls it.
//
// Its success means that each container was stopped and started again
// (StartedAt), still ran a while later, and is healthy where its image has a
// check. It does not promise that all workers were among the containers named.
//
// A restart keeps the environment that a container was made with, so a
// container that has the key there is refused.
func Docker() Scheme { return Scheme{Open: openDocker, WorkersProved: true} }

type docker struct {
	names []string
	engine
}

var (
	_ Driver    = (*docker)(nil)
	_ Checker   = (*docker)(nil)
	_ Environer = (*docker)(nil)
	_ Locator   = (*docker)(nil)
	_ Remarker  = (*docker)(nil)
)

func openDocker(place string, opt Options) (Driver, error) {
	names := strings.Split(place, ",")
	for i, name := range names {
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("restart reference %q: %w; want docker:CONTAINER,CONTAINER…", "docker:"+place, err)
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("restart reference %q: container %s is named twice", "docker:"+place, name)
		}
	}
	return &docker{names, engine{opt}}, nil
}

// checkName refuses what cannot be the name of a container or a service.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("an empty name")
	case strings.HasPrefix(name, "-") || strings.ContainsAny(name, " \t\r\n\x00/?#"):
		return fmt.Errorf("%q is no name", name)
	}
	return nil
}

// String returns the reference.
func (d *docker) String() string { return "docker:" + strings.Join(d.names, ",") }

// Restart restarts the containers one after the other, and then waits until
// all of them have come up.
func (d *docker) Restart(ctx context.Context) error {
	if d.opt.Timeout > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeoutCause(ctx, d.opt.Timeout, fmt.Errorf("not done within %s", d.opt.Timeout))
		defer cancel()
	}
	var ids []string
	for _, name := range d.names {
		before, err := d.examine(ctx, name)
		if err != nil {
			return err
		}
		if err := d.restart(ctx, before); err != nil {
			return err
		}
		ids = append(ids, before.ID)
	}
	return d.steady(ctx, ids)
}

// restart restarts one container, also one that is stopped, and proves it.
func (d *docker) restart(ctx context.Context, before *container) error {
	args := []string{"docker", "restart", "-t", strconv.Itoa(before.stopTimeout()), "--", before.ID}
	if _, err := d.cmd(0, args...).Run(ctx); err != nil {
		return fmt.Errorf("container %s: %w", before.name(), err)
	}
	after, err := d.inspect(ctx, before.ID)
	if err != nil {
		return err
	}
	if !after.State.StartedAt.After(before.State.StartedAt) {
		return fmt.Errorf("container %s was not restarted: it runs since %s, as before", after.name(), after.State.StartedAt)
	}
	return nil
}

// Check says whether the containers are there, run, and could take another key
// with a restart. Where all that is wrong is that one is stopped, the error is
// ErrStopped: Restart would start it.
func (d *docker) Check(ctx context.Context) error {
	if err := d.available(); err != nil {
		return err
	}
	all, err := d.containers(ctx)
	if err != nil {
		return err
	}
	var stopped error
	for i, c := range all {
		if j := slices.IndexFunc(all[:i], func(o *container) bool { return o.ID == c.ID }); j >= 0 {
			return fmt.Errorf("%s and %s are the same container", d.names[j], d.names[i])
		}
		if err := c.runningNow(); errors.Is(err, ErrStopped) {
			stopped = err
		} else if err != nil {
			return err
		}
		if name := c.fixedKey(); name != "" {
			return c.fixed(name)
		}
	}
	return stopped
}

func (d *docker) containers(ctx context.Context) ([]*container, error) {
	var all []*container
	for _, name := range d.names {
		c, err := d.examine(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// Environments returns what the containers were made with: a restart changes
// none of it, and reads no env file.
func (d *docker) Environments(ctx context.Context) ([]Environment, error) {
	all, err := d.containers(ctx)
	if err != nil {
		return nil, err
	}
	here := d.local(ctx)
	var envs []Environment
	for _, c := range all {
		envs = append(envs, c.environment("container "+c.name(), here))
	}
	return append(envs, d.others(ctx, all, here)...), nil
}

// Servers returns the published addresses of the containers that run "blnk
// start".
func (d *docker) Servers(ctx context.Context) ([]string, error) {
	all, err := d.containers(ctx)
	if err != nil {
		return nil, err
	}
	return d.addresses(ctx, all)
}

// addresses are those of the containers that run a server; none where none does.
// One that cannot be asked from here is ErrUnpublished: whatever has its port on
// this host is another server.
func (e engine) addresses(ctx context.Context, all []*container) (urls []string, err error) {
	servers := slices.DeleteFunc(slices.Clone(all), func(c *container) bool { return !c.role().Server })
	if len(servers) == 0 {
		servers = slices.DeleteFunc(slices.Clone(all), func(c *container) bool { return !c.mayServe() })
	}
	for _, c := range servers {
		if !e.local(ctx) {
			return nil, fault(ErrUnpublished, nil, "container %s runs on another host, as far as Docker tells: its address is not known", c.name())
		}
		found, err := c.servers()
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fault(ErrUnpublished, nil, "container %s publishes no port of its server", c.name())
		}
		urls = append(urls, found...)
	}
	return urls, nil
}

// Remarks tells how the containers stop and start.
func (d *docker) Remarks(ctx context.Context) (said []Remark, err error) {
	all, err := d.containers(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		said = append(said, c.remarks("container "+c.name())...)
	}
	return append(said, d.followers(ctx, all)...), nil
}
