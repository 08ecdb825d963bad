package compose

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/restart/docker"
)

// The labels that Compose puts on containers.
const (
	labelDir     = "com.docker.compose.project.working_dir"
	labelFiles   = "com.docker.compose.project.config_files"
	labelEnvFile = "com.docker.compose.project.environment_file"
	labelService = "com.docker.compose.service"
	labelOneoff  = "com.docker.compose.oneoff"
	labelVersion = "com.docker.compose.version"
)

// A project is a Compose project as its containers tell of it.
type project struct {
	name, dir string
	files     []string // absolute, in the order given
	envFiles  []string // absolute; none is DIR/.env
	services  []*service
	others    []*docker.Container // those of other services
}

// A service is one that is to be restarted.
type service struct {
	name       string
	containers []*docker.Container
	// unfinished are what a Compose that was killed while it recreated them left
	// beside them.
	unfinished []*docker.Container
	config     config
	recreate   bool
	next       map[string]string // the environment of a new container; it may hold keys
	envFiles   []string          // those that Compose names; nil where it names none for certain
}

func (p *project) containers() (all []*docker.Container) {
	for _, s := range p.services {
		all = append(all, s.containers...)
	}
	return all
}

func (s *service) ids() (ids []string) {
	for _, c := range s.containers {
		ids = append(ids, c.ID)
	}
	return ids
}

// stopTimeout is the longest of its containers.
func (s *service) stopTimeout() int {
	longest := 0
	for _, c := range s.containers {
		t := c.StopTimeout()
		if t < 0 {
			return t
		}
		longest = max(longest, t)
	}
	return longest
}

// A row is what docker ps tells of a container of a project.
type row struct{ id, project, dir, files string }

// rows lists the containers of all projects, those that are stopped too.
func (d *driver) rows(ctx context.Context) (all []row, err error) {
	label := func(name string) string { return `{{"\t"}}{{.Label "` + name + `"}}` }
	text, err := d.Ask(ctx, "docker", "ps", "-a", "--no-trunc", "--filter", "label="+docker.LabelProject, "--filter", "label="+labelOneoff+"=False",
		"--format", "{{.ID}}"+label(docker.LabelProject)+label(labelDir)+label(labelFiles))
	if err != nil {
		if silent := d.Answers(ctx); silent != nil {
			return nil, silent
		}
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for line := range strings.Lines(text) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 4 {
			all = append(all, row{f[0], f[1], f[2], f[3]})
		}
	}
	return all, nil
}

// matches says whether the container belongs to the project that is meant.
func (d *driver) matches(r row) bool {
	if d.project != "" && r.project != d.project {
		return false
	}
	if d.file != "" {
		return slices.ContainsFunc(paths(r.files, r.dir), func(path string) bool { return textfile.Same(path, d.file) })
	}
	return d.project != "" || textfile.Same(r.dir, d.Options.Dir)
}

// paths splits a label that holds paths.
func paths(list, dir string) (all []string) {
	for _, path := range strings.Split(list, ",") {
		if path != "" {
			all = append(all, absolute(path, dir))
		}
	}
	return all
}

// find looks for the project and its services.
func (d *driver) find(ctx context.Context) (*project, error) {
	rows, err := d.rows(ctx)
	if err != nil {
		return nil, err
	}
	known, ids := map[string]string{}, map[string][]string{} // folder and containers of each project
	var names []string
	for _, r := range rows {
		known[r.project] = r.dir
		ids[r.project] = append(ids[r.project], r.id) // also those that were made from other files
		if d.matches(r) && !slices.Contains(names, r.project) {
			names = append(names, r.project)
		}
	}
	if len(names) == 0 {
		return nil, d.noProject(known)
	}
	if slices.Sort(names); len(names) > 1 {
		return nil, hint.Add(fmt.Errorf("several Compose projects are meant: %s", strings.Join(names, ", ")), "--restart %s", reference(names[0]))
	}
	all, err := d.Inspect(ctx, ids[names[0]]...)
	if err != nil {
		return nil, err
	}
	return d.assemble(names[0], all)
}

// noProject says that there is none, and which others there are.
func (d *driver) noProject(known map[string]string) error {
	which := "that was made in " + d.Options.Dir
	if d.file != "" {
		which = "that was made of " + d.file
	} else if d.project != "" {
		which = d.project
	}
	const most = 5
	name, others := "NAME", []string(nil)
	for _, project := range slices.Sorted(maps.Keys(known)) {
		if others = append(others, project+" in "+known[project]); len(known) == 1 {
			name = project
		}
	}
	if len(others) == 0 {
		return fmt.Errorf("no Compose project %s has containers", which)
	}
	if n := len(others) - most; n > 0 {
		others = append(others[:most], fmt.Sprintf("and %d more", n))
	}
	return hint.Add(fmt.Errorf("no Compose project %s has containers; there are: %s", which, strings.Join(others, ", ")), "--restart %s", reference(name))
}

// reference is that of a project, for a hint.
func reference(project string) string {
	return hint.Quote("compose:?project=" + url.QueryEscape(project))
}

// assemble sorts the containers of a project into services.
func (d *driver) assemble(name string, all []*docker.Container) (*project, error) {
	p := &project{name: name}
	if d.found = d.wanted(all); len(d.found) == 0 {
		return nil, hint.Add(fmt.Errorf("no service of project %s runs Blnk, as far as their commands tell", name), "%s", d.instead("SERVICE", "SERVICE"))
	}
	for _, wanted := range d.found {
		p.services = append(p.services, &service{name: wanted})
	}
	for _, c := range all {
		if i := slices.Index(d.found, c.Config.Labels[labelService]); i >= 0 {
			p.services[i].containers = append(p.services[i].containers, c)
		} else {
			p.others = append(p.others, c)
		}
	}
	for _, s := range p.services {
		s.setUnfinishedAside()
		if len(s.containers) == 0 {
			return nil, fmt.Errorf("service %s of project %s has no container; these have: %s", s.name, name, strings.Join(servicesOf(all), ", "))
		}
	}
	return p, p.readLabels()
}

// setUnfinishedAside tells containers from what recreating them left: Compose
// makes the new one under the name of the old one with an ID before it, until
// the old one is gone.
func (s *service) setUnfinishedAside() {
	names := map[string]bool{}
	for _, c := range s.containers {
		names[c.Called()] = true
	}
	s.containers = slices.DeleteFunc(s.containers, func(c *docker.Container) bool {
		id, name, _ := strings.Cut(c.Called(), "_")
		unfinished := names[name] && c.State.Status == "created" && len(id) == 12 && strings.Trim(id, "0123456789abcdef") == ""
		if unfinished {
			s.unfinished = append(s.unfinished, c)
		}
		return unfinished
	})
}

// servicesOf are the names of the services that the containers belong to.
func servicesOf(all []*docker.Container) []string {
	names := map[string]bool{}
	for _, c := range all {
		names[c.Config.Labels[labelService]] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// wanted are the services to restart: those that were named, those that were
// found before, or all that run Blnk, servers first.
func (d *driver) wanted(all []*docker.Container) []string {
	if len(d.services) > 0 {
		return d.services
	}
	if len(d.found) > 0 {
		return d.found
	}
	servers, workers := map[string]bool{}, map[string]bool{}
	for _, c := range all {
		switch name, r := c.Config.Labels[labelService], c.Role(); {
		case r.Server:
			servers[name] = true
		case r.Workers:
			workers[name] = true
		}
	}
	maps.DeleteFunc(workers, func(name string, _ bool) bool { return servers[name] })
	return append(slices.Sorted(maps.Keys(servers)), slices.Sorted(maps.Keys(workers))...)
}

// readLabels takes what the labels of the containers say of the project. Where
// they were made from different files, Compose found no reason to recreate the
// older ones when a file came or went: the newest one has the files of today.
func (p *project) readLabels() error {
	newest := slices.MaxFunc(p.containers(), func(a, b *docker.Container) int { return a.Created.Compare(b.Created) })
	l := newest.Config.Labels
	p.dir = l[labelDir]
	p.files, p.envFiles = paths(l[labelFiles], p.dir), paths(l[labelEnvFile], p.dir)
	if v := l[labelVersion]; strings.HasPrefix(strings.TrimPrefix(v, "v"), "1.") || p.dir == "" || len(p.files) == 0 {
		return hint.Add(fmt.Errorf("project %s was made by Compose %s: only Compose 2.20 and later can be restarted", p.name, v), "%s", compose1Help)
	}
	return nil
}

// runsBlnk refuses services that were named where none of them runs Blnk and
// others of the project do. One whose command does not tell may be Blnk all the
// same where it is of the same image.
func (p *project) runsBlnk(named []string) error {
	others := slices.DeleteFunc(slices.Clone(p.others), func(c *docker.Container) bool { return !c.Role().Blnk() })
	if len(others) == 0 || slices.ContainsFunc(p.containers(), func(c *docker.Container) bool {
		return c.Role().Blnk() || slices.ContainsFunc(others, func(o *docker.Container) bool { return o.Image == c.Image && c.Role().Other })
	}) {
		return nil
	}
	return hint.Add(fmt.Errorf("nothing that was named (%s) runs Blnk, and these services do: %s", strings.Join(named, ", "), strings.Join(servicesOf(others), ", ")),
		"--restart %s", reference(p.name))
}
