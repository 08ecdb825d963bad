// Package compose restarts services of a Compose project:
//
//	compose:                     the project of the working directory
//	compose:FILE                 the project that FILE is one of the files of
//	compose:FILE#server,worker   these services of it, in this order
//	…?project=NAME               the project of that name, where several have
//	                             the same folder
//
// Without services it restarts those whose containers run Blnk, the server
// first. It runs Compose 2.20 or later, with the files, the env files and the
// folder that the labels of the running containers tell.
//
// A service that has the master key in its environment is recreated: a restart
// would keep the environment. What it will get then is asked of Compose, and so
// is whether that changes more than the key, which is refused. Every other
// service is restarted. A service that was not named is left alone.
//
// Its success means that each container was started anew (StartedAt, and another
// container where it was recreated), still ran a while later, and is healthy
// where it has a check. Whether it has the right key is for the caller to see
// (Processes).
package compose

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/restart/docker"
)

// Scheme is the row of the table of the ways to restart.
func Scheme() restart.Scheme { return restart.Scheme{Open: open, WorkersProved: true} }

// A driver may not be used by several goroutines at once.
type driver struct {
	file     string // absolute; "" is none
	services []string
	project  string
	docker.Engine
	// found are the services found first: one whose container has died must not
	// be forgotten when everything is put back.
	found   []string
	program []string // the Compose of this machine; nil before it was looked for
	// tellsEnvFiles: its "config --no-interpolate" leaves env files as they are, and
	// does not put what they set into the environment (since 2.25).
	tellsEnvFiles bool
	held          *os.File // the lock of a restart, nil without one
}

var (
	_ restart.Driver   = (*driver)(nil)
	_ restart.Checker  = (*driver)(nil)
	_ restart.Observer = (*driver)(nil)
	_ restart.Locator  = (*driver)(nil)
)

func open(place string, opt restart.Options) (restart.Driver, error) {
	d := &driver{Engine: engine(opt)}
	bad := func(err error) (restart.Driver, error) {
		return nil, fmt.Errorf("restart reference %q: %w; want compose:FILE#SERVICE,SERVICE…?project=NAME", "compose:"+place, err)
	}
	rest, query, asked := strings.Cut(place, "?")
	if asked {
		options, err := url.ParseQuery(query)
		if err != nil || len(options) != 1 || len(options["project"]) != 1 {
			return bad(errors.New("the only option is project"))
		}
		d.project = options.Get("project")
		if err := docker.CheckName(d.project); err != nil {
			return bad(err)
		}
	}
	file, services, named := strings.Cut(rest, "#")
	if named {
		var err error
		if d.services, err = docker.Names(services, "service"); err != nil {
			return bad(err)
		}
	}
	if file != "" {
		d.file = absolute(file, opt.Dir)
	}
	return d, nil
}

func absolute(file, dir string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(dir, file)
}

// engine is one whose Compose hears only of what the containers tell: variables
// of the caller's shell could name another project, or have what the person did
// not name removed.
func engine(opt restart.Options) docker.Engine {
	all := opt.Env
	if all == nil {
		all = os.Environ()
	}
	opt.Env = slices.DeleteFunc(slices.Clone(all), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES", "COMPOSE_DISABLE_ENV_FILE", "COMPOSE_REMOVE_ORPHANS"}, name)
	})
	opt.Env = append(opt.Env, "COMPOSE_REMOVE_ORPHANS=0")
	return docker.Engine{Options: opt}
}

// String returns the reference.
func (d *driver) String() string {
	ref := "compose:" + d.file
	if len(d.services) > 0 {
		ref += "#" + strings.Join(d.services, ",")
	}
	if d.project != "" {
		ref += "?project=" + url.QueryEscape(d.project)
	}
	return ref
}

// instead is a hint: the reference with other services.
func (d *driver) instead(services ...string) string {
	other := driver{file: d.file, project: d.project, services: services}
	return "--restart " + hint.Quote(other.String())
}

// Check says whether the project is there and runs, its files can be read, and
// recreating its services would change nothing but the key. Where all that is
// wrong is that one is stopped, the error is restart.ErrStopped: Restart would
// start it.
func (d *driver) Check(ctx context.Context) error {
	if err := d.Installed(); err != nil {
		return err
	}
	p, err := d.find(ctx)
	if err != nil {
		return err
	}
	var stopped error
	for _, s := range p.services {
		for _, c := range s.containers {
			if err := c.Runs(); errors.Is(err, restart.ErrStopped) {
				stopped = fmt.Errorf("service %s: %w", s.name, err)
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
	for _, s := range p.services {
		if !s.recreate {
			continue
		}
		if err := p.literal(s); err != nil {
			return err
		}
		if err := d.onlyTheKey(ctx, p, s); err != nil {
			return err
		}
	}
	return stopped
}

// Restart restarts or recreates the services one after the other, and then waits
// until all of them have come up.
func (d *driver) Restart(ctx context.Context) error {
	ctx, cancel := d.Within(ctx)
	defer cancel()
	held, err := d.Options.Exclusive(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	d.held = held
	p, err := d.find(ctx)
	if err != nil {
		return err
	}
	if err := d.configure(ctx, p); err != nil {
		return err
	}
	for _, s := range p.services {
		for _, c := range s.unfinished { // it stands in the way of the one that comes now
			if _, err := d.Command(docker.QueryTimeout, "docker", "container", "rm", "--", c.ID).Run(ctx); err != nil {
				return fmt.Errorf("service %s: remove container %s, which a Compose that was killed has left: %w", s.name, c.Called(), err)
			}
		}
	}
	var ids []string
	for _, s := range p.services {
		again := d.restartService
		if s.recreate {
			again = d.recreate
		}
		now, err := again(ctx, p, s)
		if err != nil {
			return fmt.Errorf("service %s: %w", s.name, err)
		}
		for _, c := range now {
			ids = append(ids, c.ID)
		}
	}
	return d.Steady(ctx, ids)
}

// change runs a Compose command that changes containers, step by step: another
// one beside it would stumble over them.
func (d *driver) change(ctx context.Context, p *project, args ...string) error {
	cmd := d.Command(0, d.call(p, args...)...)
	cmd.Held = d.held
	_, err := cmd.Run(ctx)
	return err
}

// restartService has Compose restart the containers of a service, and none that
// depends on it.
func (d *driver) restartService(ctx context.Context, p *project, s *service) ([]*docker.Container, error) {
	if err := d.change(ctx, p, "restart", "-t", strconv.Itoa(s.stopTimeout()), "--no-deps", s.name); err != nil {
		return nil, err
	}
	now, err := d.Inspect(ctx, s.ids()...)
	if err != nil {
		return nil, err
	}
	for i, c := range now {
		if err := c.Restarted(s.containers[i]); err != nil {
			return nil, err
		}
	}
	return now, nil
}

// recreate has Compose make new containers of a service, as many as there are,
// from the image that is there.
func (d *driver) recreate(ctx context.Context, p *project, s *service) ([]*docker.Container, error) {
	args := append([]string{"up", "-d", "--no-deps", "--force-recreate", "--no-build", "--pull", "never", "-t", strconv.Itoa(s.stopTimeout())}, s.scale()...)
	if err := d.change(ctx, p, append(args, s.name)...); err != nil {
		return nil, err
	}
	again, err := d.find(ctx)
	if err != nil {
		return nil, err
	}
	now := again.services[slices.IndexFunc(again.services, func(o *service) bool { return o.name == s.name })].containers
	if len(now) != len(s.containers) {
		return nil, fmt.Errorf("%d containers instead of %d were recreated", len(now), len(s.containers))
	}
	for _, c := range now {
		if slices.Contains(s.ids(), c.ID) {
			return nil, fmt.Errorf("container %s was not recreated", c.Called())
		}
	}
	return now, nil
}

// Processes are the services as they run, with what Compose will give those that
// are recreated; and other containers that have to do with their restart.
func (d *driver) Processes(ctx context.Context) (all []restart.Process, err error) {
	p, err := d.find(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.configure(ctx, p); err != nil {
		return nil, err
	}
	local := d.Local(ctx)
	for _, s := range p.services {
		for i, c := range s.containers {
			now := c.Process("service "+s.name, local)
			now.Restarts = true
			now.Aliases = []string{"container " + c.Called()}
			if i > 0 {
				now.Remarks = nil // those of the first one
			}
			if s.recreate {
				now.Next, now.EnvFiles = s.next, s.envFiles
				if i == 0 {
					now.Remarks = append(now.Remarks, fmt.Sprintf("service %s: its container is recreated, since a restart would keep its environment; files that it wrote outside of volumes are lost", s.name))
				}
			}
			all = append(all, now)
		}
	}
	for _, c := range p.others {
		r := c.Role()
		now := c.Process("service "+c.Config.Labels[labelService], local)
		now.Aliases = []string{"container " + c.Called()}
		now.Remarks = nil // of its restart
		switch argv := strings.Join(append([]string{c.Path}, c.Args...), " "); {
		case !r.Blnk() && (strings.Contains(argv, "blnk-init") || strings.Contains(argv, "blnk.json")):
			now.Env = nil
			now.Remarks = []string{now.Name + ` writes a blnk.json that lets everybody in where the file is missing, at each "up" that starts it too; this restart does not`}
		case !c.State.Running || !r.Blnk() && (!r.Other || c.KeyVariable() == ""):
			continue
		}
		all = append(all, now)
	}
	return append(all, d.Beside(ctx, p.containers(), append(p.containers(), p.others...), local)...), nil
}

// Servers returns the published addresses of the services that run a server: of
// those that are restarted, or else of the others.
func (d *driver) Servers(ctx context.Context) ([]string, error) {
	p, err := d.find(ctx)
	if err != nil {
		return nil, err
	}
	urls, err := d.Addresses(ctx, p.containers())
	if err != nil || len(urls) > 0 {
		return urls, err
	}
	return d.Addresses(ctx, p.others)
}
