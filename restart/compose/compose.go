// Package compose restarts services of a Compose project:
//
//	compose:                     the project of the working directory
//	compose:FILE                 the project that FILE is one of the files of
//	compose:FILE#server,worker   these services of it, in this order
//	…?project=NAME               the project of that name, where several have
//	                             the same folder
//
// Without services it restarts those whose containers run Blnk, the server
// first; others are left alone. It runs Compose 2.20 or later, with the files, the
// env files and the folder that the labels of the running containers tell.
//
// A service that has a key of the rotation in what its containers are made with,
// by whatever name, is recreated, since a restart would keep that; what it will
// get then, and whether that changes more than the key, is asked of Compose. Its
// success promises what package docker's does.
package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/restart/docker"
)

// Scheme is the row of the table of the ways to restart.
func Scheme() restart.Scheme { return restart.Scheme{Open: open, WorkersProved: true, Offers: offers} }

// A driver may not be used by several goroutines at once.
type driver struct {
	file     string // absolute; "" is none
	services []string
	project  string
	docker.Engine
	found   []string // services found first: none must be forgotten when everything is put back
	program []string // the Compose of this machine; nil before it was looked for
	// tellsEnvFiles: its "config --no-interpolate" does, and not what they set (since
	// 2.25).
	tellsEnvFiles bool
}

var (
	_ restart.Driver   = (*driver)(nil)
	_ restart.Checker  = (*driver)(nil)
	_ restart.Observer = (*driver)(nil)
	_ restart.Locator  = (*driver)(nil)
)

// offers are one for each project that runs.
func offers(ctx context.Context, opt restart.Options) (refs []string) {
	groups := map[string]*restart.Group{}
	all, _ := engine(opt).List(ctx)
	for _, c := range all {
		l := c.Config.Labels
		if l[docker.LabelProject] == "" || l[docker.LabelOneoff] != "False" {
			continue
		}
		if groups[l[docker.LabelProject]] == nil {
			groups[l[docker.LabelProject]] = &restart.Group{}
		}
		groups[l[docker.LabelProject]].Add(c.Role(), l[docker.LabelService], "")
	}
	for _, project := range slices.Sorted(maps.Keys(groups)) {
		refs = append(refs, groups[project].Offers(func(names ...string) string {
			return "compose:#" + strings.Join(names, ",") + "?project=" + url.QueryEscape(project)
		})...)
	}
	return refs
}

func open(place string, opt restart.Options) (restart.Driver, error) {
	d := &driver{Engine: engine(opt)}
	bad := func(err error) (restart.Driver, error) {
		return nil, fmt.Errorf("restart reference %q: %w; want compose:FILE#SERVICE,SERVICE…?project=NAME", "compose:"+place, err)
	}
	r, err := ref.Parse("compose:" + place)
	if err != nil {
		return nil, err
	}
	if len(r.Options) > 0 {
		if len(r.Options) != 1 || len(r.Options["project"]) != 1 {
			return bad(errors.New("the only option is project"))
		}
		d.project = r.Options.Get("project")
		if _, err = docker.Names(d.project, "project"); err != nil {
			return bad(err)
		}
	}
	if r.Field != "" {
		if d.services, err = docker.Names(r.Field, "service"); err != nil {
			return bad(err)
		}
		d.found = d.services
	}
	if r.Place != "" {
		d.file = absolute(r.Place, opt.Dir)
	}
	return d, nil
}

// engine is one whose Compose hears only of what the containers tell: variables
// of the caller's shell could name another project, or have what the person did
// not name removed.
func engine(opt restart.Options) docker.Engine {
	if opt.Env == nil {
		opt.Env = os.Environ()
	}
	opt.Env = slices.DeleteFunc(slices.Clone(opt.Env), func(v string) bool { return strings.HasPrefix(v, "COMPOSE_") })
	opt.Env = append(opt.Env, "COMPOSE_REMOVE_ORPHANS=0")
	return docker.Engine{Options: opt}
}

// String returns the reference.
func (d *driver) String() string {
	r := ref.Ref{Scheme: "compose", Place: d.file, Field: strings.Join(d.services, ",")}
	if d.project != "" {
		r.Options = url.Values{"project": {d.project}}
	}
	return r.String()
}

// Check says whether the project is there and runs, its files can be read, and
// recreating its services would change nothing but the key.
func (d *driver) Check(ctx context.Context) (stopped error) {
	p, err := d.configured(ctx)
	if err != nil {
		return err
	}
	for _, s := range p.services {
		if err := docker.Check(s.containers); err != nil {
			stopped = fmt.Errorf("service %s: %w", s.name, err)
		}
		if stopped != nil && !errors.Is(stopped, restart.ErrStopped) {
			return stopped
		}
		if err := d.onlyTheKey(ctx, p, s); err != nil {
			return err
		}
	}
	return stopped
}

// Restart restarts or recreates the services one after the other, none that
// depends on them, from the images that are there; and then waits until all of
// their containers, as many as there were, have come up.
func (d *driver) Restart(ctx context.Context) error {
	p, err := d.configured(ctx)
	if err != nil {
		return err
	}
	for _, s := range p.services {
		for _, c := range s.unfinished { // it stands in the way of the one that comes now
			if _, err := d.Options.Command(docker.QueryTimeout, "docker", "container", "rm", "--", c.ID).Run(ctx); err != nil {
				return fmt.Errorf("service %s: remove container %s, which a Compose that was killed has left: %w", s.name, c.Called(), err)
			}
		}
	}
	for _, s := range p.services {
		args := []string{"restart"}
		if s.recreate {
			args = append([]string{"up", "-d", "--force-recreate", "--no-build", "--pull", "never"}, s.scale()...)
		}
		cmd := d.Options.Command(0, d.call(p, append(args, "--no-deps", "-t", s.stopTimeout(), s.name)...)...)
		if _, err := d.Options.Work.Run(ctx, d.String(), cmd); err != nil { // another Compose would stumble over what this one does
			return fmt.Errorf("service %s: %w", s.name, err)
		}
	}
	now, err := d.find(ctx)
	if err != nil {
		return err
	}
	for i, s := range now.services {
		if was := len(p.services[i].containers); len(s.containers) != was {
			return fmt.Errorf("service %s: it has %d containers now, and had %d", s.name, len(s.containers), was)
		}
	}
	return d.Steady(ctx, now.containers())
}

// Processes are the services as they run, with what Compose will give those that
// are recreated; and all other containers that run.
func (d *driver) Processes(ctx context.Context) (all []restart.Process, err error) {
	p, err := d.configured(ctx)
	if err != nil {
		return nil, err
	}
	local := d.Local(ctx)
	for _, s := range p.services {
		for i, c := range s.containers {
			now := c.Process("service "+s.name, d.String(), local)
			now.Restarts = true
			if s.recreate {
				now.Next, now.EnvFiles = s.next, s.envFiles
				now.Fixed = func(name string) error { return d.fixed(p, s, name) }
			}
			if i == 0 { // said once
				now.Remarks = c.Remarks(now.Name)
				if s.recreate {
					now.Remarks = append(now.Remarks, now.Name+": its container is recreated, since a restart would keep what it was made with; files that it wrote outside of volumes are lost")
				}
			}
			all = append(all, now)
		}
	}
	for _, c := range p.others {
		if argv := strings.Join(c.Args, " "); !c.Role().Blnk() && (strings.Contains(argv, "blnk-init") || strings.Contains(argv, "blnk.json")) {
			all[0].Remarks = append(all[0].Remarks, "service "+label(c, docker.LabelService)+" "+restart.WritesOpen+`, at each "up" that starts it too; this restart does not`)
		}
	}
	return append(all, d.Beside(ctx, p.containers(), p.name, local)...), nil
}

// Servers returns the published addresses of the services that run a server: of
// those that are restarted, or else of the others.
func (d *driver) Servers(ctx context.Context) ([]string, error) {
	p, err := d.find(ctx)
	if err != nil {
		return nil, err
	}
	urls, err := d.Addresses(ctx, p.containers())
	if err == nil && len(urls) == 0 {
		urls, err = d.Addresses(ctx, p.others)
	}
	return urls, err
}
