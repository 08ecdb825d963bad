package docker

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/restart"
)

const (
	longestStop = 100 // seconds: a worker with a hot lane needs 95
	usualStop   = 10  // Docker's own, where nothing is said
)

// A Container is what "docker container inspect" says of one. It may hold keys,
// so it must not be printed.
type Container struct {
	ID, Name, Path string
	Created        time.Time
	Args           []string
	RestartCount   int
	State          struct {
		Status                      string
		Running, Paused, Restarting bool
		ExitCode, Pid               int
		StartedAt                   time.Time
		Health                      *struct{ Status string }
	}
	HostConfig struct {
		NetworkMode, PidMode string
		PortBindings         map[string][]binding
	}
	Mounts []mount
	Config struct {
		Env         []string
		Image       string // by the name that it was made from
		WorkingDir  string
		User        string
		StopTimeout *int
		Labels      map[string]string
		Healthcheck struct{ Test []string }
	}
	NetworkSettings struct{ Ports map[string][]binding }

	All string `json:"-"` // as it was told
}

// A mount is something of the engine's host in a container; Source is "" for a
// file system of its own, as a tmpfs.
type mount struct{ Source, Destination string }

// A binding is an address of this host behind which a container's port is.
type binding struct{ HostIP, HostPort string }

// Called is its name, as a person calls it.
func (c *Container) Called() string { return strings.TrimPrefix(c.Name, "/") }

// Env is the environment that the container was made with.
func (c *Container) Env() map[string]string {
	vars := map[string]string{}
	for _, v := range c.Config.Env {
		if name, value, ok := strings.Cut(v, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

// Role is what its command runs of Blnk.
func (c *Container) Role() restart.Role {
	return restart.RoleOf(append([]string{c.Path}, c.Args...)...)
}

// process is its Blnk, or else its process 1, where this host's /proc has it by
// the container's ID: in another PID namespace the number is somebody else's.
func (c *Container) process() (p listener.Process, isBlnk, ok bool) {
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.State.Pid))
	if err != nil || !strings.Contains(string(group), c.ID) {
		return p, false, false
	}
	if p, isBlnk = listener.Blnk(c.State.Pid); isBlnk {
		return p, true, true
	}
	p, ok = listener.Look(c.State.Pid)
	return p, false, ok
}

// start changes with each start.
func (c *Container) start() string { return c.ID + " " + c.State.StartedAt.String() }

func (c *Container) logs() string { return hint.Command("docker", "logs", "--tail", "50", c.Called()) }

// Check refuses containers that a restart would not bring back to what they are
// doing. Where all that is wrong is that one is stopped, the error is
// restart.ErrStopped.
func Check(all []*Container) (stopped error) {
	for _, c := range all {
		name := c.Called()
		switch {
		case c.State.Paused:
			return hint.Add(fmt.Errorf("container %s is paused", name), "let it go on: %s", hint.Command("docker", "unpause", name))
		case c.State.Restarting:
			return hint.Add(fmt.Errorf("container %s ends and is started again and again (exit status %d)", name, c.State.ExitCode), "its log says why: %s; mend that, and run this again", c.logs())
		case c.State.Running && c.State.Health != nil && c.State.Health.Status == "unhealthy":
			return hint.Add(fmt.Errorf("container %s is unhealthy, and would count as failed after its restart", name), "its health check says why: %s", hint.Command("docker", "inspect", "--format", "{{json .State.Health.Log}}", name))
		case !c.State.Running:
			stopped = hint.Add(fmt.Errorf("container %s %w (%s, exit status %d)", name, restart.ErrStopped, c.State.Status, c.State.ExitCode),
				"start it: %s; or have the restart start it, without a proof of the old key beforehand: --server-down", hint.Command("docker", "start", name))
		}
	}
	return stopped
}

// up says whether a container that was started has come up, when it has run for
// a time; or why it will not.
func (c *Container) up(running time.Duration) (up bool, fault string) {
	switch h := c.State.Health; {
	case c.RestartCount > mostStarts:
		return false, fmt.Sprintf("does not come up: it was started %d times", c.RestartCount+1)
	case c.State.Restarting:
		return false, ""
	case !c.State.Running:
		return false, fmt.Sprintf("ended right after its start, with exit status %d", c.State.ExitCode)
	case h == nil || h.Status == "none":
		return running >= steadyFor, ""
	case h.Status == "unhealthy":
		return false, "is unhealthy after its start"
	default:
		return h.Status == "healthy", ""
	}
}

// deaf says that process 1 of the container does not hear SIGTERM: the kernel
// gives it no signal that it neither handles nor waits for. So it is with many
// a shell that waits for Blnk, and passes nothing on.
func (c *Container) deaf() bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.State.Pid))
	if _, _, here := c.process(); err != nil || !here || c.HostConfig.PidMode != "" {
		return false
	}
	for line := range strings.Lines(string(status)) {
		name, mask, _ := strings.Cut(line, ":")
		signals, _ := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
		if (name == "SigCgt" || name == "SigBlk") && signals>>(syscall.SIGTERM-1)&1 == 1 {
			return false
		}
	}
	return true
}

// StopTimeout is how many seconds the container may take to stop, -1 for as long
// as it takes: enough for a worker to finish, and no more than its own where it
// would not finish anyway.
func (c *Container) StopTimeout() int {
	own := usualStop
	if c.Config.StopTimeout != nil {
		own = *c.Config.StopTimeout
	}
	if own < 0 || c.deaf() {
		return own
	}
	return max(own, longestStop)
}

// Process is what is known of the container, which people know by this name, and
// which that reference restarts. local: the engine is on this host, so that its
// paths and processes can be told.
func (c *Container) Process(name, reference string, local bool) restart.Process {
	r := c.Role()
	p := restart.Process{
		Name: name, Aliases: []string{"container " + c.Called()}, Reference: reference, Server: r.Server, Workers: r.Workers,
		ExecStore: r.ExecStore, Scripted: r.Other, Start: c.start(), Env: c.Env(),
		Texts: map[string]string{
			"its command":      strings.Join(append([]string{c.Path}, c.Args...), " "),
			"its health check": strings.Join(c.Config.Healthcheck.Test, " "),
		},
	}
	for label, value := range c.Config.Labels {
		p.Texts["its label "+label] = value
	}
	if !local {
		return p
	}
	dir := c.Config.WorkingDir
	if seen, isBlnk, ok := c.process(); isBlnk { // what a script has done is seen, too
		r := restart.RoleOf(seen.Args...)
		p.Server, p.Workers = p.Server || r.Server, p.Workers || r.Workers
		if seen.Env != nil {
			p.PID, p.Env, p.Scripted = seen.PID, seen.Env, false
		}
		if at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", seen.PID)); err == nil {
			dir = at
		}
	} else if ok {
		p.Scripted = r.Blnk() && r.Other // no Blnk runs there now
	}
	if top, file := c.config(dir); !p.Scripted && straight(top, file) {
		p.Config = file
	}
	if p.Isolated = true; !c.State.Running {
		p.User = cmp.Or(c.Config.User, "0")
	}
	for _, m := range c.Mounts {
		if m.Source != "" {
			// The engine may name a path of another machine: where blnkctl runs in a
			// container itself, or the engine in a virtual one.
			_, unseen := os.Stat(m.Source)
			p.Isolated, p.Mounts = p.Isolated && unseen == nil, append(p.Mounts, m.Source)
		}
	}
	return p
}

// Remarks are what the plan should say about a restart of the container.
func (c *Container) Remarks(name string) (said []string) {
	if c.Role().Blnk() && c.deaf() {
		said = append(said, fmt.Sprintf("%s: the shell before blnk is process 1 and does not hear SIGTERM, so its stop lasts "+
			"until the grace period of %d s ends and it is killed: \"exec blnk …\" in its command mends that", name, c.StopTimeout()))
	}
	if c.Role().Migrates {
		said = append(said, name+`: "blnk migrate up" runs again at its start`)
	}
	return said
}

// config is the blnk.json of a Blnk that starts in dir, by its path on the
// engine's host, and the source of the nearest mount that it lies in; no path where
// it lies in the container itself.
func (c *Container) config(dir string) (top, file string) {
	place := path.Join("/", dir, blnk.FileName)
	least := len(place) + 1
	for _, m := range c.Mounts {
		rest, err := filepath.Rel(m.Destination, place)
		if err != nil || strings.HasPrefix(rest, "..") || len(rest) >= least {
			continue
		}
		if top, file, least = m.Source, m.Source, len(rest); file != "" && rest != "." {
			file = filepath.Join(file, rest)
		}
	}
	return top, file
}

// straight says that no link below a mount leads to another place, which in the
// container may be another one than here. Of what is not there, or may not be
// looked at, that is not known.
func straight(top, file string) bool {
	here, err := filepath.EvalSymlinks(file)
	if err != nil {
		return false
	}
	start, err := filepath.EvalSymlinks(top)
	return err == nil && here == start+strings.TrimPrefix(file, top)
}

// server is the address on this host at which the server in the container can be
// asked. One published on several addresses is one server: loopback will do.
func (c *Container) server() (address string, err error) {
	_, source := c.config(c.Config.WorkingDir)
	port := blnk.DefaultPort
	if e, err := blnk.Resolve((&restart.Process{Config: source}).ReadConfig(), c.Env()); err == nil { // else it read another file
		port = e.Port()
	}
	if c.HostConfig.NetworkMode == "host" {
		return "http://127.0.0.1:" + port, nil
	}
	if slices.ContainsFunc(c.HostConfig.PortBindings[port+"/tcp"], func(b binding) bool { return b.HostPort == "" || b.HostPort == "0" }) {
		return "", fmt.Errorf("container %s gets another port of this host at each restart: publish port %s on a fixed one", c.Called(), port)
	}
	published := c.NetworkSettings.Ports
	if !c.State.Running { // it has none now, and those that it was made with when it runs again
		published = c.HostConfig.PortBindings
	}
	for _, b := range published[port+"/tcp"] {
		host := b.HostIP
		if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		if address == "" || strings.HasPrefix(host, "127.") {
			address = "http://" + net.JoinHostPort(host, b.HostPort)
		}
	}
	if address == "" {
		return "", fmt.Errorf("container %s publishes no port of its server", c.Called())
	}
	return address, nil
}

// fixed is the error of a variable that the container was made with.
func (c *Container) fixed(name string) error {
	if _, ok := c.Env()[name]; !ok {
		return nil
	}
	help := "recreate it without that variable, and with the key in a mounted blnk.json"
	if project := c.Config.Labels[LabelProject]; project != "" {
		help = "--restart " + hint.Quote("compose:?project="+url.QueryEscape(project))
	}
	return hint.Add(fmt.Errorf("container %s was made with %s (docker run -e or --env-file, or its image), which a restart cannot change", c.Called(), name), "%s", help)
}
