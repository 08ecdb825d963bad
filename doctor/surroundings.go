package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/restart/docker"
)

// A Container is one that belongs to this Blnk, or a service of the compose file that
// has none yet. Env and Command may hold keys.
type Container struct {
	Place   string   // "service postgres", "container pg"
	Names   []string // by which other containers reach it
	Image   string   // as it was named
	Version string   // that the image says of itself, as org.opencontainers.image.version
	Role    restart.Role
	PID     int // of its Blnk on this host; 0 where that is not seen
	Env     map[string]string
	Command []string
	Ports   []Published
}

// A Published port is one of this host, behind which one of a container is.
type Published struct {
	On        string // the address of this host; "" is all of them
	Port      string
	Container string // its port there
}

// Open says that other machines may reach it.
func (p Published) Open() bool {
	at, err := netip.ParseAddr(p.On)
	return err != nil || !at.IsLoopback()
}

func (p Published) String() string {
	p.On = cmp.Or(p.On, "0.0.0.0")
	return strings.TrimSuffix(net.JoinHostPort(p.On, p.Port), ":") // it may be a free one
}

// Containers are those that run this Blnk, and the other services of their projects. The
// error says why Docker, or Compose, cannot be asked.
func (f *Facts) Containers(ctx context.Context) ([]Container, error) {
	return f.containers.get(func() (all []Container, err error) {
		listed, err := f.Docked(ctx)
		if errors.Is(err, ErrNothing) {
			if err = nil; exposure.UsualComposeFile(f.Dir) != "" {
				err = errors.New("docker cannot be run, and " + exposure.UsualComposeFile(f.Dir) + " is here")
			}
			return nil, err
		}
		project := func(c *docker.Container) string { return c.Config.Labels[docker.LabelProject] }
		projects := map[string]bool{}
		for _, c := range listed {
			projects[project(c)] = projects[project(c)] || f.isOurs(ctx, c)
		}
		local := f.engine().Local(ctx)
		for _, c := range listed {
			if project(c) != "" && projects[project(c)] || c.State.Running && f.isOurs(ctx, c) { // of a project, one that is stopped comes again
				all = append(all, containerOf(c, local))
			}
		}
		more, failed := f.services(ctx)
		for _, s := range more {
			if !slices.ContainsFunc(all, func(c Container) bool { return c.Place == s.Place }) {
				all = append(all, s)
			}
		}
		return all, errors.Join(err, failed)
	})
}

func (f *Facts) engine() docker.Engine {
	return docker.Engine{Options: restart.Options{Dir: f.Dir, Env: f.Env}}
}

// isOurs: it was made of the project here, has one of the files that this is about, or
// is what was named, or found.
func (f *Facts) isOurs(ctx context.Context, c *docker.Container) bool {
	const labelDir = "com.docker.compose.project.working_dir"
	if dir := c.Config.Labels[labelDir]; dir != "" && textfile.Same(dir, f.Dir) {
		return true
	}
	if !c.Role().Blnk() {
		return false
	}
	for _, m := range c.Mounts {
		if slices.ContainsFunc(f.configPaths(ctx), func(path string) bool { return m.Source != "" && textfile.Same(m.Source, path) }) {
			return true
		}
	}
	v, _ := f.View(ctx)
	return slices.ContainsFunc(v.Processes, func(p restart.Process) bool {
		return p.Restarts && slices.Contains(p.Aliases, "container "+c.Called())
	})
}

func containerOf(c *docker.Container, local bool) Container {
	p := c.Process("", "", local)
	const labelService, labelVersion = "com.docker.compose.service", "org.opencontainers.image.version"
	one := Container{
		Place: "container " + c.Called(), Names: []string{c.Called()}, Image: c.Config.Image, Version: c.Config.Labels[labelVersion],
		Role: restart.Role{Server: p.Server, Workers: p.Workers}, PID: p.PID, Env: c.Env(), Command: append([]string{c.Path}, c.Args...),
	}
	if service := c.Config.Labels[labelService]; service != "" {
		one.Place, one.Names = "service "+service, append(one.Names, service)
	}
	published := c.NetworkSettings.Ports
	if !c.State.Running { // it has none now, and these when it runs again
		published = c.HostConfig.PortBindings
	}
	for port, bindings := range published {
		for _, b := range bindings {
			one.Ports = append(one.Ports, Published{b.HostIP, b.HostPort, strings.TrimSuffix(port, "/tcp")})
		}
	}
	return one
}

// services are those of a compose file here that runs Blnk, as Compose itself reads it.
func (f *Facts) services(ctx context.Context) (all []Container, err error) {
	if exposure.UsualComposeFile(f.Dir) == "" {
		return nil, nil
	}
	engine := f.engine() // root's git and registries go nowhere that the writer of a file here names
	engine.Options.Env = append(slices.Clip(f.Env), "COMPOSE_EXPERIMENTAL_GIT_REMOTE=0", "COMPOSE_EXPERIMENTAL_OCI_REMOTE=0")
	text, err := engine.Ask(ctx, "docker", "compose", "config", "--format", "json")
	if err != nil { // its words may quote values
		return nil, fmt.Errorf("%s cannot be read: docker compose config says why", exposure.UsualComposeFile(f.Dir))
	}
	var config struct {
		Services map[string]struct {
			Image         string
			ContainerName string `json:"container_name"`
			Command       []string
			Entrypoint    []string
			Environment   map[string]*string
			Ports         []struct {
				HostIP    string `json:"host_ip"`
				Published string
				Target    int
			}
		}
	}
	if json.Unmarshal([]byte(strings.ReplaceAll(text, "$$", "$")), &config) != nil {
		return nil, errors.New("the answer of docker compose config is not understood")
	}
	isBlnk := false
	for name, s := range config.Services {
		one := Container{Place: "service " + name, Names: []string{name, s.ContainerName}, Image: s.Image, Command: slices.Concat(s.Entrypoint, s.Command), Env: map[string]string{}}
		one.Role = restart.RoleOf(one.Command...)
		for variable, value := range s.Environment {
			if value != nil {
				one.Env[variable] = *value
			}
		}
		for _, p := range s.Ports {
			one.Ports = append(one.Ports, Published{p.HostIP, p.Published, fmt.Sprint(p.Target)})
		}
		isBlnk = isBlnk || one.Role.Blnk()
		all = append(all, one)
	}
	if !isBlnk {
		return nil, nil
	}
	slices.SortStableFunc(all, func(a, b Container) int { return strings.Compare(a.Place, b.Place) })
	return all, nil
}

// errNames: a name without a dot may be that of a container.
var errNames = errors.New("cannot tell whether it is a container of this host")

// isHere says that a host is certainly this one: loopback, a socket, one of its addresses.
func isHere(host string) bool {
	at, err := netip.ParseAddr(host)
	if err != nil {
		return host == "" || strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || strings.EqualFold(host, "localhost") || host == "host.docker.internal"
	}
	own, _ := net.InterfaceAddrs() // none: only loopback is known
	return at.IsLoopback() || at.IsUnspecified() || slices.ContainsFunc(own, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().Unmap() == at.Unmap()
	})
}

// elsewhere says whether a host that a process names is another machine; nil is one that
// is not seen. A container of the same project is none: its network is one of this host's.
func (f *Facts) elsewhere(ctx context.Context, host string, p *restart.Process) (bool, error) {
	if isHere(host) {
		return false, nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true, nil
	}
	if slices.Contains([]string{"postgres", "redis", "typesense"}, host) {
		return false, nil // the services of the stock files, for Compose and Kubernetes, in a network of their own
	}
	if strings.Contains(host, ".") {
		return true, nil
	}
	all, err := f.Containers(ctx)
	switch {
	case slices.ContainsFunc(all, func(c Container) bool { return slices.Contains(c.Names, host) }):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s: %w: %w", host, errNames, err)
	case p == nil:
		return false, fmt.Errorf("%s: %w: no process that would ask it is seen", host, errNames)
	}
	return !p.Isolated, nil // of a container, the name is one of a network that was not asked about
}
