package restart

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Environments returns what each service will see: what its containers were
// made with, or what Compose makes of its files and env files where it will be
// recreated.
func (d *compose) Environments(ctx context.Context) ([]Environment, error) {
	p, err := d.present(ctx)
	if err != nil {
		return nil, err
	}
	here := d.local(ctx)
	var envs []Environment
	known := slices.Clone(p.others)
	var files map[string]serviceConfig
	if slices.ContainsFunc(p.services, func(s *service) bool { return s.recreate }) {
		files = d.uninterpolated(ctx, p) // once for all: Compose is slow to ask
	}
	for _, s := range p.services {
		env := s.containers[0].environment("service "+s.name, here)
		for _, c := range s.containers {
			env.Aliases = append(env.Aliases, "container "+c.name())
		}
		known = append(known, s.containers...)
		if s.recreate {
			if err := d.renew(ctx, p, s, files, &env); err != nil {
				return nil, err
			}
		}
		envs = append(envs, env)
	}
	for _, c := range p.others {
		// A script may be what starts Blnk there.
		if r := c.role(); c.State.Running && !r.Blnk() && r.Other && c.fixedKey() != "" {
			env := c.environment("service "+c.Config.Labels[labelService], here)
			env.Left = true
			envs = append(envs, env)
		}
	}
	return append(envs, d.others(ctx, known, here)...), nil
}

// renew puts the variables of the key into an environment as they will be in a
// new container: those of the image, and over them those of Compose's files.
func (d *compose) renew(ctx context.Context, p *project, s *service, files map[string]serviceConfig, env *Environment) error {
	img, _, err := d.imageOf(ctx, s)
	if err != nil {
		return err
	}
	env.Renewed = true
	built, set := variables(img.Config.Env), s.config.vars()
	for _, name := range keyVariables() {
		delete(env.Vars, name)
		if value, ok := built[name]; ok {
			env.Vars[name] = value
		}
	}
	maps.Copy(env.Vars, set)
	env.Sources = d.sources(p, s, files)
	for _, name := range keyVariables() {
		if _, ok := set[name]; !ok {
			env.Sources[name] = Source{Fixed: true} // the image's, if anybody's
		}
	}
	return nil
}

// Servers returns the published addresses of the services that run "blnk
// start": of those that are restarted, or else of the others.
func (d *compose) Servers(ctx context.Context) ([]string, error) {
	p, err := d.find(ctx)
	if err != nil {
		return nil, err
	}
	urls, err := d.addresses(ctx, p.containers())
	if err != nil || len(urls) > 0 {
		return urls, err
	}
	return d.addresses(ctx, p.others)
}

// Remarks tells how the services stop and start, and what else of the project
// has to do with their key.
func (d *compose) Remarks(ctx context.Context) (said []Remark, err error) {
	p, err := d.present(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range p.services {
		said = append(said, s.containers[0].remarks("service "+s.name)...)
		if s.recreate {
			said = append(said, note("service %s: its container is made anew, since a restart would keep its environment; files that it wrote outside of volumes are lost", s.name))
		}
	}
	for _, c := range p.others {
		said = append(said, c.otherRemarks(c.Config.Labels[labelService])...)
	}
	return append(said, d.followers(ctx, p.containers())...), nil
}

// otherRemarks is what to know of a service that is not restarted.
func (c *container) otherRemarks(service string) []Remark {
	r := c.role()
	switch {
	case c.writesConfig():
		return []Remark{note("service %s writes a blnk.json that lets everybody in where the file is missing, at each \"up\" that starts it too; this restart does not", service)}
	case c.State.Running && r.Blnk():
		return []Remark{{
			Text: fmt.Sprintf("service %s runs Blnk, is not named, and goes on with the key that it has", service), Caution: true,
			About: []string{"service " + service, "container " + c.name()}, Workers: r.Workers,
		}}
	}
	return nil
}
