package restart

import (
	"context"
	"errors"
	"fmt"
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
	others    []container // those of other services
	tool      tool
}

// A service is one that is to be restarted, with its containers.
type service struct {
	name       string
	containers []container
	config     serviceConfig
	recreate   bool
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

// A row is what docker ps tells of a container of a project.
type row struct{ id, project, dir, files string }

// rows lists the containers of all projects, those that are stopped too.
func (e engine) rows(ctx context.Context, filters ...string) ([]row, error) {
	label := func(name string) string { return `{{"\t"}}{{.Label "` + name + `"}}` }
	args := []string{"docker", "ps", "-a", "--no-trunc", "--filter", "label=" + labelProject, "--filter", "label=" + labelOneoff + "=False"}
	for _, f := range filters {
		args = append(args, "--filter", "label="+f)
	}
	text, err := e.read(ctx, append(args, "--format", "{{.ID}}"+label(labelProject)+label(labelDir)+label(labelFiles))...)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var all []row
	for line := range strings.Lines(text) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 4 {
			all = append(all, row{f[0], f[1], f[2], f[3]})
		}
	}
	return all, nil
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

// matches says whether the container belongs to the project that is meant.
func (d *compose) matches(r row) bool {
	if d.project != "" && r.project != d.project {
		return false
	}
	if d.file != "" {
		return slices.ContainsFunc(absolutes(r.files, r.dir), func(path string) bool { return samePath(path, d.file) })
	}
	return d.project != "" || samePath(r.dir, d.opt.Dir)
}

func samePath(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, err := filepath.EvalSymlinks(a)
	if err != nil {
		return false
	}
	y, err := filepath.EvalSymlinks(b)
	return err == nil && x == y
}

// find looks for the project and its services.
func (d *compose) find(ctx context.Context) (*project, error) {
	rows, err := d.rows(ctx)
	if err != nil {
		return nil, err
	}
	var names, known, ids []string
	for _, r := range rows {
		if k := r.project + " in " + r.dir; !slices.Contains(known, k) {
			known = append(known, k)
		}
		if !d.matches(r) {
			continue
		}
		if !slices.Contains(names, r.project) {
			names = append(names, r.project)
		}
		ids = append(ids, r.id)
	}
	slices.Sort(known)
	switch {
	case len(names) == 0 && len(known) == 0:
		return nil, errors.New("no Compose project has containers here")
	case len(names) == 0:
		return nil, fmt.Errorf("no such Compose project has containers here; there are: %s", strings.Join(known, ", "))
	case len(names) > 1:
		slices.Sort(names)
		return nil, fmt.Errorf("several Compose projects are meant: %s; name one with ?project=NAME", strings.Join(names, ", "))
	}
	var all []container
	for _, id := range ids {
		c, err := d.examine(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return d.assemble(names[0], all)
}

// assemble sorts the containers of a project into services.
func (d *compose) assemble(name string, all []container) (*project, error) {
	p := &project{name: name}
	wanted := d.wanted(all)
	if len(wanted) == 0 {
		return nil, fmt.Errorf("no service of project %s runs Blnk: name the services, as compose:FILE#server,worker", name)
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
		if len(s.containers) == 0 {
			return nil, fmt.Errorf("service %s of project %s has no container", s.name, name)
		}
		for _, c := range s.containers {
			if err := p.learn(c); err != nil {
				return nil, err
			}
		}
	}
	d.seen = wanted
	return p, nil
}

// wanted are the services to restart: those that were named, those that were
// found before, or all that run Blnk, servers first.
func (d *compose) wanted(all []container) []string {
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
		case !r.runsBlnk() || slices.Contains(servers, name) || slices.Contains(others, name):
		case r.server:
			servers = append(servers, name)
		default:
			others = append(others, name)
		}
	}
	slices.Sort(servers)
	slices.Sort(others)
	return append(servers, others...)
}

// learn takes what a container's labels say of the project, which must be the
// same for all.
func (p *project) learn(c container) error {
	l := c.Config.Labels
	files, envFiles := absolutes(l[labelFiles], l[labelDir]), absolutes(l[labelEnvFile], l[labelDir])
	if p.dir == "" {
		p.dir, p.files, p.envFiles, p.version = l[labelDir], files, envFiles, l[labelVersion]
		if p.dir == "" || len(p.files) == 0 {
			return fmt.Errorf("container %s does not say of which files it was made: it was made by a Compose before 1.25", c.name())
		}
		return nil
	}
	if p.dir != l[labelDir] || !slices.Equal(p.files, files) || !slices.Equal(p.envFiles, envFiles) {
		return fmt.Errorf("the services of project %s were made from different files: run Compose's up with all of them once", p.name)
	}
	return nil
}

// containersOf are the containers of one service now.
func (d *compose) containersOf(ctx context.Context, project, service string) ([]container, error) {
	rows, err := d.rows(ctx, labelProject+"="+project, labelService+"="+service)
	if err != nil {
		return nil, err
	}
	var all []container
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
func (c container) writesConfig() bool {
	text := strings.Join(c.argv(), " ")
	return !c.role().runsBlnk() && (strings.Contains(text, "blnk-init") || strings.Contains(text, "blnk.json"))
}
