package restart

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The labels that Compose, 1 and 2, puts on containers.
const (
	labelProject = "com.docker.compose.project"
	labelDir     = "com.docker.compose.project.working_dir"
	labelFiles   = "com.docker.compose.project.config_files"
	labelEnvFile = "com.docker.compose.project.environment_file"
	labelService = "com.docker.compose.service"
	labelOneoff  = "com.docker.compose.oneoff"
	labelHash    = "com.docker.compose.config-hash"
	labelVersion = "com.docker.compose.version"
)

// A project is a Compose project as its containers tell of it.
type project struct {
	name, dir string
	files     []string // absolute, in the order given
	envFiles  []string // absolute; none is DIR/.env
	version   string   // of the Compose that made the containers
	services  []*service
	others    []*container // those of other services
	tool      tool
}

// containers are those of the services that are restarted.
func (p *project) containers() (all []*container) {
	for _, s := range p.services {
		all = append(all, s.containers...)
	}
	return all
}

// A service is one that is to be restarted, with its containers.
type service struct {
	name       string
	containers []*container
	// halves are what a Compose that was killed in the middle of recreating them
	// left beside them.
	halves   []*container
	config   serviceConfig
	recreate bool
}

// stopTimeout is the longest of its containers.
func (s *service) stopTimeout() int {
	longest := 0
	for _, c := range s.containers {
		t := c.stopTimeout()
		if t < 0 {
			return t
		}
		longest = max(longest, t)
	}
	return longest
}

// absolutes splits a label that holds paths.
func absolutes(list, dir string) (paths []string) {
	for _, path := range strings.Split(list, ",") {
		if path != "" {
			paths = append(paths, absolute(path, dir))
		}
	}
	return paths
}

// absolute takes a path that Compose 1 may have noted as it was typed: it
// starts where Compose was called, which is the folder of the project or one
// above it.
func absolute(path, dir string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, path)); err == nil {
			return filepath.Join(at, path)
		}
		if at == filepath.Dir(at) {
			return filepath.Join(dir, path)
		}
	}
}

// assemble sorts the containers of a project into services.
func (d *compose) assemble(name string, all []*container) (*project, error) {
	p := &project{name: name}
	wanted := d.wanted(all)
	if len(wanted) == 0 {
		return nil, &Fault{Kind: ErrNoBlnk, Text: fmt.Sprintf("no service of project %s runs Blnk, as far as their commands tell", name), Instead: d.naming("SERVICE", "SERVICE")}
	}
	for _, want := range wanted {
		p.services = append(p.services, &service{name: want})
	}
	for _, c := range all {
		i := slices.Index(wanted, c.Config.Labels[labelService])
		if i < 0 {
			p.others = append(p.others, c)
			continue
		}
		p.services[i].containers = append(p.services[i].containers, c)
	}
	for _, s := range p.services {
		s.setHalvesAside()
		if len(s.containers) == 0 {
			return nil, fault(ErrAbsent, nil, "service %s of project %s has no container; these have: %s", s.name, name, strings.Join(servicesOf(all), ", "))
		}
	}
	d.seen = wanted
	return p, p.learn()
}

// setHalvesAside tells containers from what recreating them left: Compose 2 makes
// the new one under the name of the old one with an ID before it, until the old
// one is gone; Compose 1 renames the old one so, when it has stopped, until the
// new one runs.
func (s *service) setHalvesAside() {
	names := map[string]bool{}
	for _, c := range s.containers {
		names[c.name()] = true
	}
	s.containers = slices.DeleteFunc(s.containers, func(c *container) bool {
		id, name, _ := strings.Cut(c.name(), "_")
		half := names[name] && !c.State.Running && len(id) == len(short(c.ID)) && strings.Trim(id, "0123456789abcdef") == "" &&
			(c.State.Status == "created" || id == short(c.ID))
		if half {
			s.halves = append(s.halves, c)
		}
		return half
	})
}

// halfNames are what a person calls the halves.
func (s *service) halfNames() (names []string) {
	for _, c := range s.halves {
		names = append(names, c.name())
	}
	return names
}

// servicesOf are the names of the services that the containers belong to.
func servicesOf(all []*container) []string {
	names := map[string]bool{}
	for _, c := range all {
		names[c.Config.Labels[labelService]] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// runsBlnk refuses services that were named where none of them runs Blnk and
// others of the project do. One whose command does not tell may be Blnk all the
// same where it is of the same image.
func (p *project) runsBlnk(named []string) error {
	runs := func(c *container) bool { return c.role().Blnk() }
	others := slices.DeleteFunc(slices.Clone(p.others), func(c *container) bool { return !runs(c) })
	if len(others) == 0 {
		return nil // their commands do not tell
	}
	for _, s := range p.services {
		if slices.ContainsFunc(s.containers, func(c *container) bool {
			return runs(c) || slices.ContainsFunc(others, func(o *container) bool { return o.Image == c.Image && c.role().Other })
		}) {
			return nil
		}
	}
	names := servicesOf(others)
	text := fmt.Sprintf("nothing that was named (%s) runs Blnk, and these services do: %s", strings.Join(named, ", "), strings.Join(names, ", "))
	return &Fault{Kind: ErrNoBlnk, Text: text, Instead: "compose:?project=" + url.QueryEscape(p.name)}
}

// wanted are the services to restart: those that were named, those that were
// found before, or all that run Blnk, servers first.
func (d *compose) wanted(all []*container) []string {
	if len(d.services) > 0 {
		return d.services
	}
	if len(d.seen) > 0 {
		return d.seen
	}
	var servers, others []string
	for _, c := range all {
		name, r := c.Config.Labels[labelService], c.role()
		switch {
		case !r.Blnk() || slices.Contains(servers, name) || slices.Contains(others, name):
		case r.Server:
			servers = append(servers, name)
		default:
			others = append(others, name)
		}
	}
	slices.Sort(servers)
	slices.Sort(others)
	return append(servers, others...)
}

// learn takes what the labels of the containers say of the project. Where they
// were made from different files, Compose found no reason to make the older ones
// anew when a file came or went: the newest one has the files of today. That
// nothing but the key changes is looked at for each of them.
func (p *project) learn() error {
	var newest *container
	dirs := map[string]bool{}
	for _, s := range p.services {
		for _, c := range s.containers {
			dirs[c.Config.Labels[labelDir]] = true
			if newest == nil || c.Created.After(newest.Created) {
				newest = c
			}
		}
	}
	l := newest.Config.Labels
	p.dir, p.version = l[labelDir], l[labelVersion]
	p.files, p.envFiles = absolutes(l[labelFiles], p.dir), absolutes(l[labelEnvFile], p.dir)
	switch {
	case p.dir == "" || len(p.files) == 0:
		return fmt.Errorf("container %s does not say of which files it was made: it was made by a Compose before 1.25", newest.name())
	case len(dirs) > 1:
		return fmt.Errorf("the services of project %s were made in different folders: %s", p.name, strings.Join(slices.Sorted(maps.Keys(dirs)), ", "))
	}
	return nil
}

// containersOf are the containers of one service now.
func (d *compose) containersOf(ctx context.Context, project, service string) ([]*container, error) {
	rows, err := d.rows(ctx, labelProject+"="+project, labelService+"="+service)
	if err != nil {
		return nil, err
	}
	var all []*container
	for _, r := range rows {
		c, err := d.examine(ctx, r.id)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// writesConfig recognizes the service of the stock compose file that makes
// blnk.json where there is none.
func (c *container) writesConfig() bool {
	text := strings.Join(c.argv(), " ")
	return !c.role().Blnk() && (strings.Contains(text, "blnk-init") || strings.Contains(text, "blnk.json"))
}
