package docker

import (
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/restart"
)

// How long Blnk may take to stop: the server waits 30 s for open requests, a
// worker with a hot lane needs 95 s.
const (
	serverStop = 35
	workerStop = 100
	usualStop  = 10 // Docker's own, where nothing is said
)

// A Container is what "docker container inspect" says of one. Its environment
// may hold keys, so it must not be printed.
type Container struct {
	ID, Name, Path, Image string
	Created               time.Time
	Args                  []string
	RestartCount          int
	State                 struct {
		Status                      string
		Running, Paused, Restarting bool
		ExitCode, Pid               int
		StartedAt                   time.Time
		Health                      *struct{ Status string }
	}
	HostConfig struct {
		NetworkMode, PidMode string
		Init                 *bool
		PortBindings         map[string][]binding
	}
	Mounts []mount
	Config struct {
		Env         []string
		Image       string
		WorkingDir  string
		StopSignal  string
		StopTimeout *int
		Labels      map[string]string
	}
	NetworkSettings struct{ Ports map[string][]binding }
}

// A mount is something of the engine's host in a container; Source is "" for a
// file system of its own, as a tmpfs.
type mount struct{ Source, Destination string }

// seenHere says that the source can be found by this process. The engine may
// name a path of another machine: where blnkctl runs in a container itself, or
// the engine in a virtual one.
func (m mount) seenHere() bool {
	_, err := os.Stat(m.Source)
	return err == nil
}

// A binding is an address of this host behind which a container's port is.
type binding struct{ HostIP, HostPort string }

// Called is its name, as a person calls it.
func (c *Container) Called() string { return strings.TrimPrefix(c.Name, "/") }

// Env is the environment that the container was made with.
func (c *Container) Env() map[string]string { return Variables(c.Config.Env) }

// Variables reads NAME=VALUE.
func Variables(list []string) map[string]string {
	vars := make(map[string]string, len(list))
	for _, v := range list {
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

func (c *Container) logs() string { return hint.Command("docker", "logs", "--tail", "50", c.Called()) }

// start changes with each start.
func (c *Container) start() string { return c.ID + " " + c.State.StartedAt.String() }

// Restarted refuses a container that runs as it did.
func (c *Container) Restarted(before *Container) error {
	if !c.State.StartedAt.After(before.State.StartedAt) {
		return fmt.Errorf("container %s was not restarted: it runs since %s, as before", c.Called(), c.State.StartedAt)
	}
	return nil
}

// Runs refuses a container that a restart would not bring back to what it is
// doing. Where it is stopped, the error is restart.ErrStopped.
func (c *Container) Runs() error {
	name := c.Called()
	switch {
	case c.State.Paused:
		return hint.Add(fmt.Errorf("container %s is paused", name), "let it go on: %s", hint.Command("docker", "unpause", name))
	case c.State.Restarting:
		return hint.Add(fmt.Errorf("container %s ends and is started again and again (exit status %d)", name, c.State.ExitCode), "its log says why: %s; mend that, and run this again", c.logs())
	case c.State.Running && c.State.Health != nil && c.State.Health.Status == "unhealthy":
		return hint.Add(fmt.Errorf("container %s is unhealthy, and would count as failed after its restart", name), "its health check says why: %s", hint.Command("docker", "inspect", "--format", "{{json .State.Health.Log}}", name))
	case !c.State.Running:
		return hint.Add(fmt.Errorf("container %s %w (%s, exit status %d)", name, restart.ErrStopped, c.State.Status, c.State.ExitCode),
			"start it: %s; or have the restart start it, without a proof of the old key beforehand: --server-down", hint.Command("docker", "start", name))
	}
	return nil
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

// inProc says whether this host's /proc has the container's process 1 by its ID:
// in another PID namespace the number is somebody else's.
func (c *Container) inProc() bool {
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.State.Pid))
	return err == nil && strings.Contains(string(group), c.ID)
}

// shellKeepsSignals says that process 1 of the container is a shell that waits
// for Blnk. The kernel gives no process 1 a signal that it has no handler for,
// and the shell passes none on: only SIGKILL ends it. Many a shell has its last
// command take its place, and some (dash) do not.
func (c *Container) shellKeepsSignals() bool {
	if !restart.IsShell(path.Base(c.Path)) || c.HostConfig.PidMode == "host" {
		return false
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.State.Pid)); err == nil && c.inProc() && !restart.IsShell(strings.TrimSpace(string(name))) {
		return false
	}
	if c.HostConfig.Init != nil && *c.HostConfig.Init || strings.TrimPrefix(c.Config.StopSignal, "SIG") == "KILL" {
		return false
	}
	hands := regexp.MustCompile(`\bexec\s+\S*\bblnk\b|\btrap\b`) // its place over to Blnk
	return c.Role().Blnk() && !hands.MatchString(strings.Join(c.Args, " "))
}

// StopTimeout is how many seconds the container may take to stop: enough for a
// worker to finish, and no more than its own where it would not finish anyway.
func (c *Container) StopTimeout() int {
	own := usualStop
	if c.Config.StopTimeout != nil {
		own = *c.Config.StopTimeout
	}
	r := c.Role()
	switch {
	case own < 0 || c.shellKeepsSignals(): // -1: as long as it takes
		return own
	case r.Server && !r.Workers:
		return max(own, serverStop)
	default:
		return max(own, workerStop)
	}
}

// KeyVariables are the names under which the master key can stand in an
// environment.
func KeyVariables() []string {
	for _, s := range blnk.Settings() {
		if s.Name == blnk.SecretKey {
			return []string{s.Twin, s.Env}
		}
	}
	return nil
}

// KeyVariable names the variable of the key that the container was made with; ""
// where there is none, or where blnkctl is what runs in it and sets its own.
func (c *Container) KeyVariable() string {
	env := c.Env()
	for _, name := range KeyVariables() {
		if _, ok := env[name]; ok && !c.Role().ExecStore {
			return name
		}
	}
	return ""
}

// Process is what is known of the container, which people know by this name.
// local: the engine is on this host, so that its paths and processes can be told.
func (c *Container) Process(name string, local bool) restart.Process {
	r := c.Role()
	p := restart.Process{Name: name, Server: r.Server, Workers: r.Workers, ExecStore: r.ExecStore, Start: c.start(), Env: c.Env()}
	dir := c.Config.WorkingDir
	p.Scripted = r.Other
	if seen, ok := listener.Blnk(c.State.Pid); ok && local && c.inProc() && seen.Env != nil {
		p.PID, p.Env, p.Scripted = seen.PID, seen.Env, false // what a script has set is in it, too
		if at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", seen.PID)); err == nil {
			dir = at
		}
	}
	p.Remarks = c.remarks(name)
	if !local {
		return p
	}
	if m, file := c.config(dir); !p.Scripted && m.seenHere() && straight(m.Source, file) {
		p.Config = file
	}
	p.Isolated = true
	for _, m := range c.Mounts {
		if m.Source != "" {
			p.Isolated = p.Isolated && m.seenHere()
			p.Mounts = append(p.Mounts, m.Source)
		}
	}
	return p
}

// remarks is what the plan should say about a restart of the container.
func (c *Container) remarks(name string) (said []string) {
	if c.shellKeepsSignals() {
		said = append(said, fmt.Sprintf("%s: the shell before blnk is process 1 and does not hear SIGTERM, so its stop lasts "+
			"until the grace period of %d s ends and it is killed: \"exec blnk …\" in its command mends that", name, c.StopTimeout()))
	}
	if c.Role().Migrates {
		said = append(said, name+`: "blnk migrate up" runs again at its start`)
	}
	return said
}

// config is the mount in which a Blnk that starts in dir finds its blnk.json, and
// the file's path on the engine's host; no path where the file lies in the
// container itself.
func (c *Container) config(dir string) (nearest mount, file string) {
	place := path.Join("/", dir, blnk.FileName)
	for _, m := range c.Mounts {
		at := path.Clean(m.Destination)
		rest, below := strings.CutPrefix(place, strings.TrimSuffix(at, "/")+"/")
		if at != place && !below || len(at) <= len(nearest.Destination) {
			continue
		}
		nearest, file = m, ""
		if at == place {
			file = m.Source
		} else if m.Source != "" {
			file = filepath.Join(m.Source, rest)
		}
	}
	return nearest, file
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

// port is the one that the server in the container listens on.
func (c *Container) port() string {
	_, source := c.config(c.Config.WorkingDir)
	var file []byte // nil where there is none that this process can read
	if info, err := os.Stat(source); err == nil && info.Mode().IsRegular() && info.Size() <= textfile.MaxSize {
		file, _ = os.ReadFile(source)
	}
	e, err := blnk.Resolve(file, c.Env())
	if err != nil {
		return blnk.DefaultPort // it runs, so it was another file that it read
	}
	return e.Port()
}

// mayServe says that it may run a Blnk server where its command does not tell: a
// script, with a key or a blnk.json, which publishes the port of a server.
func (c *Container) mayServe() bool {
	r := c.Role()
	_, file := c.config(c.Config.WorkingDir)
	urls, err := c.servers()
	return r.Other && !r.Workers && c.HostConfig.NetworkMode != "host" && (c.KeyVariable() != "" || file != "") && err == nil && len(urls) > 0
}

// servers are the addresses on this host at which the server in the container
// can be asked.
func (c *Container) servers() (found []string, err error) {
	if r := c.Role(); r.Workers && !r.Server {
		return nil, nil
	}
	port := c.port()
	if c.HostConfig.NetworkMode == "host" {
		return []string{"http://127.0.0.1:" + port}, nil
	}
	if slices.ContainsFunc(c.HostConfig.PortBindings[port+"/tcp"], func(b binding) bool { return b.HostPort == "" || b.HostPort == "0" }) {
		return nil, fmt.Errorf("container %s gets another port of this host at each restart: publish port %s on a fixed one", c.Called(), port)
	}
	published := c.NetworkSettings.Ports
	if !c.State.Running { // it has none now, and those that it was made with when it runs again
		published = c.HostConfig.PortBindings
	}
	for _, b := range published[port+"/tcp"] {
		if strings.Contains(b.HostPort, "-") {
			continue // one of a range, not known before it runs
		}
		host := b.HostIP
		if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		found = append(found, "http://"+net.JoinHostPort(host, b.HostPort))
	}
	// One published on several addresses is one server: loopback will do.
	if i := slices.IndexFunc(found, func(u string) bool { return strings.HasPrefix(u, "http://127.") }); i >= 0 {
		return found[i : i+1], nil
	}
	return found, nil
}
