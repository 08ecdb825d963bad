package compose

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/restart/docker"
)

// More labels that Compose puts on containers.
const (
	labelDir     = "com.docker.compose.project.working_dir"
	labelFiles   = "com.docker.compose.project.config_files"
	labelEnvFile = "com.docker.compose.project.environment_file"
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
	config     struct { // what Compose makes of its files; it may hold keys
		Environment map[string]*string // nil for a variable that is not set
		Scale       *int
		Deploy      struct{ Replicas *int }
	}
	recreate bool
	next     map[string]string // the environment of a new container; it may hold keys
	written  string            // what stands in the files, with variables as such; it may hold keys
	envFiles []string          // those that Compose names; nil where it names none for certain
}

func (p *project) containers() (all []*docker.Container) {
	for _, s := range p.services {
		all = append(all, s.containers...)
	}
	return all
}

// stopTimeout is the longest of its containers; -1 is as long as it takes.
func (s *service) stopTimeout() string {
	longest := uint(0)
	for _, c := range s.containers {
		longest = max(longest, uint(c.StopTimeout())) // of -1, the largest there is
	}
	return strconv.Itoa(int(longest))
}

func label(c *docker.Container, name string) string { return c.Config.Labels[name] }

// paths are those in a label.
func paths(c *docker.Container, name string) (all []string) {
	for path := range strings.SplitSeq(label(c, name), ",") {
		if path != "" {
			all = append(all, absolute(path, label(c, labelDir)))
		}
	}
	return all
}

func absolute(file, dir string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(dir, file)
}

// means says whether the container belongs to the project that is meant.
func (d *driver) means(c *docker.Container) bool {
	switch {
	case d.project != "" && label(c, docker.LabelProject) != d.project:
		return false
	case d.file != "":
		return slices.ContainsFunc(paths(c, labelFiles), func(path string) bool { return textfile.Same(path, d.file) })
	}
	return d.project != "" || textfile.Same(label(c, labelDir), d.Options.Dir)
}

// find looks for the project and its services.
func (d *driver) find(ctx context.Context) (*project, error) {
	all, err := d.List(ctx, "-a", "--filter", "label="+docker.LabelProject, "--filter", "label="+docker.LabelOneoff+"=False")
	if err != nil {
		return nil, err
	}
	of, meant := map[string][]*docker.Container{}, map[string]bool{} // by project
	for _, c := range all {
		name := label(c, docker.LabelProject)
		of[name] = append(of[name], c) // also those that were made from other files
		if d.means(c) {
			meant[name] = true
		}
	}
	switch names := slices.Sorted(maps.Keys(meant)); len(names) {
	case 0:
		what := "that was made in " + d.Options.Dir
		if d.file != "" {
			what = "that was made of " + d.file
		}
		return nil, hint.Add(fmt.Errorf("no Compose project %s has containers", cmp.Or(d.project, what)), "docker compose ls --all shows those that there are; then --restart %s", hint.Quote(reference("NAME")))
	case 1:
		return d.assemble(names[0], of[names[0]])
	default:
		return nil, hint.Add(fmt.Errorf("several Compose projects are meant: %s", strings.Join(names, ", ")), "--restart %s", hint.Quote(reference(names[0])))
	}
}

// reference is that of a project, or of services of it.
func reference(project string, services ...string) string {
	return (&driver{project: project, services: services}).String()
}

// assemble sorts the containers of a project into services, and takes what their
// labels say of it. Where they were made from different files, Compose found no
// reason to recreate the older ones when a file came or went: the newest one has
// the files of today.
func (d *driver) assemble(name string, all []*docker.Container) (*project, error) {
	p := &project{name: name}
	if d.found = d.wanted(all); len(d.found) == 0 {
		return nil, hint.Add(fmt.Errorf("no service of project %s runs Blnk, as far as their commands tell", name), "--restart %s", hint.Quote(reference(name, "SERVICE", "SERVICE")))
	}
	beginning := regexp.MustCompile(`^[0-9a-f]{12}_(.+)$`) // the name of a new one until the one that it replaces is gone
	has, there, called := map[string]*service{}, map[string]bool{}, map[string]bool{}
	for _, wanted := range d.found {
		has[wanted] = &service{name: wanted}
		p.services = append(p.services, has[wanted])
	}
	for _, c := range all {
		there[label(c, docker.LabelService)], called[c.Called()] = true, true
	}
	for _, c := range all {
		s, of := has[label(c, docker.LabelService)], beginning.FindStringSubmatch(c.Called())
		switch {
		case s == nil:
			p.others = append(p.others, c)
		case of != nil && called[of[1]] && c.State.Status == "created":
			s.unfinished = append(s.unfinished, c)
		default:
			s.containers = append(s.containers, c)
		}
	}
	for _, s := range p.services {
		if len(s.containers) == 0 {
			return nil, hint.Add(fmt.Errorf("service %s of project %s has no container; these have: %s", s.name, name, strings.Join(slices.Sorted(maps.Keys(there)), ", ")),
				"where its name is right, start it: docker compose -p %s up -d --no-deps %s", name, s.name)
		}
	}
	newest := slices.MaxFunc(p.containers(), func(a, b *docker.Container) int { return a.Created.Compare(b.Created) })
	p.dir, p.files, p.envFiles = label(newest, labelDir), paths(newest, labelFiles), paths(newest, labelEnvFile)
	if v := label(newest, labelVersion); strings.HasPrefix(strings.TrimPrefix(v, "v"), "1.") || p.dir == "" || len(p.files) == 0 {
		return nil, hint.Add(fmt.Errorf("project %s was made by Compose %s: only Compose 2.20 and later can be restarted", p.name, v), "%s", compose1Help)
	}
	return p, nil
}

// wanted are the services to restart: those that were named, those that were
// found before, or all that run Blnk, servers first.
func (d *driver) wanted(all []*docker.Container) []string {
	if len(d.found) > 0 {
		return d.found
	}
	servers, workers := map[string]bool{}, map[string]bool{}
	for _, c := range all {
		switch name, r := label(c, docker.LabelService), c.Role(); {
		case r.Server:
			servers[name] = true
		case r.Workers:
			workers[name] = true
		}
	}
	maps.DeleteFunc(workers, func(name string, _ bool) bool { return servers[name] })
	return append(slices.Sorted(maps.Keys(servers)), slices.Sorted(maps.Keys(workers))...)
}
