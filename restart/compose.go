package restart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// Compose restarts services of a Compose project:
//
//	compose:                     the project of the working directory
//	compose:FILE                 the project that FILE is one of the files of
//	compose:FILE#server,worker   these services of it, in this order
//	…?project=NAME               the project of that name, where several have
//	                             the same folder
//
// Without services it restarts those whose containers run Blnk, the server
// first. It runs "docker compose", or docker-compose for a project of Compose
// 1, with the files, the env file and the folder that the labels of the running
// containers tell.
//
// A service that has the master key in its environment is recreated: a
// restart would keep the environment. That is refused where it would change
// more than the key. Every other service is restarted. A service that was not
// named is left alone.
//
// Its success means that each container was started anew (StartedAt, and
// another container where it was recreated), still ran a while later, and is
// healthy where it has a check.
func Compose() Scheme { return Scheme{Open: openCompose, WorkersProved: true} }

// compose may not be used by several goroutines at once.
type compose struct {
	file     string // absolute; "" is none
	services []string
	project  string
	engine
	// seen are the services found first: one whose container has died must
	// not be forgotten on the way back.
	seen []string
	// checked is the project as Check found it: what the plan says of it is the
	// same, and Compose is slow to ask.
	checked *project
	// tool is the Compose of this run; the zero tool before it was looked for.
	tool tool
	// approved are services that Compose itself would leave alone: they run
	// what its files say.
	approved map[string]bool
	held     *os.File // the lock of a restart, nil without one
}

var (
	_ Driver    = (*compose)(nil)
	_ Checker   = (*compose)(nil)
	_ Environer = (*compose)(nil)
	_ Locator   = (*compose)(nil)
	_ Remarker  = (*compose)(nil)
)

// without adds to the error of a stopped service the reference of those that
// run, where no services were named.
func (d *compose) without(p *project, err error) error {
	stopped, ok := errors.AsType[*Fault](err)
	if !ok || len(d.services) > 0 {
		return err
	}
	var running []string
	for _, s := range p.services {
		if slices.ContainsFunc(s.containers, func(c *container) bool { return c.State.Running }) {
			running = append(running, s.name)
		}
	}
	if len(running) > 0 {
		stopped.Instead = d.naming(running...)
	}
	return stopped
}

// Restart restarts or recreates the services one after the other, and then
// waits until all of them have come up.
func (d *compose) Restart(ctx context.Context) error {
	if d.opt.Timeout > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeoutCause(ctx, d.opt.Timeout, fmt.Errorf("not done within %s", d.opt.Timeout))
		defer cancel()
	}
	held, err := d.opt.Exclusive(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	d.held, d.checked = held, nil
	p, err := d.present(ctx)
	if err != nil {
		return err
	}
	for _, s := range p.services {
		down := s.down()
		if err := d.clear(ctx, s); err != nil {
			return fmt.Errorf("service %s: %w", s.name, err)
		}
		if s.recreate && !d.approved[s.name] && !down {
			if err := d.sameButKey(ctx, p, s); err != nil {
				return err
			}
		}
	}
	var ids []string
	for _, s := range p.services {
		again := d.restartService
		if s.recreate {
			again = d.recreateService
		}
		now, err := again(ctx, p, s)
		if err != nil {
			return fmt.Errorf("service %s: %w", s.name, err)
		}
		for _, c := range now {
			ids = append(ids, c.ID)
		}
	}
	return d.steady(ctx, ids)
}

// present is the project with what its files say of it: as Check found it where
// that was called, else as it is now.
func (d *compose) present(ctx context.Context) (*project, error) {
	if d.checked != nil {
		return d.checked, nil
	}
	p, err := d.find(ctx)
	if err != nil {
		return nil, err
	}
	return p, d.configure(ctx, p)
}

// clear removes what a killed Compose left of a service: it stands in the way of
// those that come now.
func (d *compose) clear(ctx context.Context, s *service) error {
	for _, c := range s.halves {
		if _, err := d.cmd(queryTimeout, "docker", "container", "rm", "--", c.ID).Run(ctx); err != nil {
			return fmt.Errorf("remove container %s, which a Compose that was killed has left: %w", c.name(), err)
		}
	}
	s.halves = nil
	return nil
}

// restartService has Compose restart the containers of a service.
func (d *compose) restartService(ctx context.Context, p *project, s *service) ([]*container, error) {
	args := []string{"restart", "-t", strconv.Itoa(s.stopTimeout())}
	if p.tool.restartsOthers() {
		args = append(args, "--no-deps")
	}
	if err := d.change(ctx, p, append(args, s.name)...); err != nil {
		return nil, err
	}
	var now []*container
	for _, before := range s.containers {
		after, err := d.inspect(ctx, before.ID)
		if err != nil {
			return nil, err
		}
		if !after.State.StartedAt.After(before.State.StartedAt) {
			return nil, fmt.Errorf("container %s was not restarted: it runs since %s, as before", after.name(), after.State.StartedAt)
		}
		now = append(now, after)
	}
	return now, nil
}

// change runs a Compose command that changes containers, step by step: another
// one beside it would stumble over them.
func (d *compose) change(ctx context.Context, p *project, args ...string) error {
	cmd := d.cmd(0, p.command(args...)...)
	cmd.Held = d.held
	_, err := cmd.Run(ctx)
	return err
}

// recreateService has Compose make new containers of a service, as many as
// there are, from the image that is there.
func (d *compose) recreateService(ctx context.Context, p *project, s *service) ([]*container, error) {
	args := append([]string{"up", "-d", "--no-deps", "--force-recreate", "--no-build", "-t", strconv.Itoa(s.stopTimeout())}, s.scale()...)
	if p.tool.major > 1 {
		args = append(args, "--pull", "never")
	}
	if err := d.change(ctx, p, append(args, s.name)...); err != nil {
		return nil, err
	}
	now, err := d.containersOf(ctx, p.name, s.name)
	if err != nil {
		return nil, err
	}
	for _, c := range now {
		if slices.ContainsFunc(s.containers, func(old *container) bool { return old.ID == c.ID }) {
			return nil, fmt.Errorf("container %s was not made anew", c.name())
		}
	}
	if len(now) != len(s.containers) {
		return nil, fmt.Errorf("%d containers instead of %d were made anew", len(now), len(s.containers))
	}
	return now, nil
}

// Check says whether the project is there and runs, its files can be read, and
// recreating its services would change nothing but the key. Where all that is
// wrong is that one is stopped, the error is ErrStopped: Restart would start it.
func (d *compose) Check(ctx context.Context) error {
	if err := d.available(); err != nil {
		return err
	}
	d.checked = nil
	p, err := d.find(ctx)
	if err != nil {
		return err
	}
	var stopped error
	for _, s := range p.services {
		for _, c := range s.containers {
			if err := c.runningNow(); errors.Is(err, ErrStopped) {
				stopped = fmt.Errorf("service %s: %w", s.name, d.without(p, err))
			} else if err != nil {
				return fmt.Errorf("service %s: %w", s.name, err)
			}
		}
	}
	if err := p.runsBlnk(d.services); err != nil {
		return err
	}
	if err := d.configure(ctx, p); err != nil {
		return err
	}
	d.checked = p
	for _, s := range p.services {
		if !s.recreate {
			continue
		}
		if d.approved[s.name] = d.leftAlone(ctx, p, s); d.approved[s.name] {
			if err := d.sameImage(ctx, p, s); err != nil {
				return err
			}
			continue
		}
		if err := d.sameButKey(ctx, p, s); err != nil {
			return err
		}
	}
	return stopped
}
