package restart

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
)

// How long Blnk may take to stop: the server waits 30 s for open requests, a
// worker with a hot lane needs 95 s.
const (
	serverStop = 35
	workerStop = 100
	usualStop  = 10 // Docker's own, where nothing is said
)

func (c *container) argv() []string { return append([]string{c.Path}, c.Args...) }
func (c *container) role() Role     { return RoleOf(c.argv()...) }

// deafShell says that process 1 of the container is a shell that waits for
// Blnk. The kernel gives no process 1 a signal that it has no handler for, and
// the shell passes none on: only SIGKILL ends it.
func (c *container) deafShell() bool {
	if !IsShell(path.Base(c.Path)) || c.first != "" && !IsShell(c.first) || c.HostConfig.PidMode == "host" {
		return false
	}
	if c.HostConfig.Init != nil && *c.HostConfig.Init || strings.TrimPrefix(c.Config.StopSignal, "SIG") == "KILL" {
		return false
	}
	hands := regexp.MustCompile(`\bexec\s+\S*\bblnk\b|\btrap\b`) // its place over to Blnk
	return c.role().Blnk() && !hands.MatchString(strings.Join(c.Args, " "))
}

// stopTimeout is how many seconds the container may take to stop: enough for a
// worker to finish, and no more than its own where it would not finish anyway.
func (c *container) stopTimeout() int {
	own := usualStop
	if c.Config.StopTimeout != nil {
		own = *c.Config.StopTimeout
	}
	r := c.role()
	switch {
	case c.deafShell() || own < 0: // -1: as long as it takes
		return own
	case r.Server && !r.Workers:
		return max(own, serverStop)
	default:
		return max(own, workerStop)
	}
}

// remarks is what the plan should say about a restart of the container, which
// people know by this name.
func (c *container) remarks(name string) (said []Remark) {
	if c.deafShell() {
		said = append(said, note("%s: the shell before blnk is process 1 and does not hear SIGTERM, so its stop lasts "+
			"until the grace period of %d s ends and it is killed: \"exec blnk …\" in its command mends that", name, c.stopTimeout()))
	}
	if c.role().Migrates {
		said = append(said, note("%s: \"blnk migrate up\" runs again at its start", name))
	}
	if r := c.role(); r.Other && r.Workers {
		if _, seen := c.environNow(); !seen {
			said = append(said, note("%s: its command does other things before \"blnk workers\"; whether they give it a key cannot be seen", name))
		}
	}
	return said
}

// keyVariables are the names under which the master key can stand in an
// environment.
func keyVariables() []string {
	for _, s := range blnk.Settings() {
		if s.Name == blnk.SecretKey {
			return []string{s.Twin, s.Env}
		}
	}
	return nil
}

// fixedKey names the variable of the key that the container was made with; ""
// where there is none, or where blnkctl is what runs in it and sets its own.
func (c *container) fixedKey() string {
	if c.role().ExecStore {
		return ""
	}
	env := c.env()
	for _, name := range keyVariables() {
		if _, ok := env[name]; ok {
			return name
		}
	}
	return ""
}

// addNow adds the variables of the key that only the Blnk which runs has: where
// they come from is not known.
func (env *Environment) addNow(c *container) {
	now, _ := c.environNow()
	for _, name := range keyVariables() {
		if value, ok := now[name]; ok && value != env.Vars[name] {
			env.Vars[name] = value
			delete(env.Sources, name)
		}
	}
}

// fixed is the error of a container that has the key in a variable.
func (c *container) fixed(name string) error {
	f := &Fault{Kind: ErrFixed, Text: fmt.Sprintf("container %s was made with %s (docker run -e or --env-file, or its image), which a restart cannot change", c.name(), name)}
	if project := c.Config.Labels[labelProject]; project != "" {
		f.Instead = "compose:?project=" + url.QueryEscape(project)
	}
	return f
}

// mayServe says that it may run a Blnk server where its command does not tell: a
// script, with a key or a blnk.json, which publishes the port of a server.
func (c *container) mayServe() bool {
	r := c.role()
	_, file := c.config()
	urls, err := c.servers()
	return r.Other && !r.Workers && c.HostConfig.NetworkMode != "host" && (c.fixedKey() != "" || file != "") && err == nil && len(urls) > 0
}

// port is the one that the server in the container listens on.
func (c *container) port() string {
	e, err := blnk.Resolve(c.configFile(), c.env())
	if err != nil {
		return blnk.DefaultPort // it runs, so it was another file that it read
	}
	return e.Port()
}

// config is the mount in which a Blnk that starts in the container's folder finds
// its blnk.json, and the file's path on the engine's host; no path where the file
// lies in the container itself.
func (c *container) config() (nearest mount, file string) {
	place := path.Join("/", c.Config.WorkingDir, blnk.FileName)
	for _, m := range c.Mounts {
		at := path.Clean(m.Destination)
		rest, below := strings.CutPrefix(place, strings.TrimSuffix(at, "/")+"/")
		if at != place && !below || len(at) <= len(nearest.Destination) {
			continue
		}
		nearest, file = m, ""
		if m.Source != "" {
			file = filepath.Join(m.Source, rest)
		}
		if at == place {
			file = m.Source
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

// configFile is the text of the blnk.json that is mounted where the server
// looks for it; nil where there is none that this process can read.
func (c *container) configFile() []byte {
	_, source := c.config()
	return readConfig(source)
}

// environment is what the process in the container sees. here: the engine is
// on this host, so that its paths can be told.
func (c *container) environment(process string, here bool) Environment {
	r := c.role()
	env := Environment{Process: process, Server: r.Server, Workers: r.Workers, Execs: r.ExecStore, Vars: c.env(), Sources: map[string]Source{}}
	for _, name := range keyVariables() {
		if _, ok := env.Vars[name]; ok {
			env.Sources[name] = Source{Fixed: true}
		}
	}
	if !here {
		return env
	}
	if r.Other && r.Blnk() {
		env.addNow(c)
	}
	if m, file := c.config(); m.seenHere() && straight(m.Source, file) && !r.Other {
		env.Config = file
	}
	env.Isolated = true
	for _, m := range c.Mounts {
		if m.Source != "" {
			env.Isolated = env.Isolated && m.seenHere()
			env.Mounts = append(env.Mounts, m.Source)
		}
	}
	return env
}

// servers are the addresses on this host at which the server in the container
// can be asked.
func (c *container) servers() ([]string, error) {
	if r := c.role(); r.Workers && !r.Server {
		return nil, nil
	}
	port := c.port()
	if c.HostConfig.NetworkMode == "host" {
		return []string{"http://127.0.0.1:" + port}, nil
	}
	if slices.ContainsFunc(c.HostConfig.PortBindings[port+"/tcp"], func(b binding) bool { return b.HostPort == "" || b.HostPort == "0" }) {
		return nil, fmt.Errorf("container %s gets another port of this host at each restart: publish port %s on a fixed one", c.name(), port)
	}
	published := c.NetworkSettings.Ports
	if !c.State.Running { // it has none now, and those that it was made with when it runs again
		published = c.HostConfig.PortBindings
	}
	var found []string
	for _, b := range published[port+"/tcp"] {
		if strings.Contains(b.HostPort, "-") {
			continue // one of a range, not known before it runs
		}
		host := b.HostIP
		if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		if at := "http://" + net.JoinHostPort(host, b.HostPort); !slices.Contains(found, at) {
			found = append(found, at)
		}
	}
	// One published on several addresses is one server: loopback will do.
	if i := slices.IndexFunc(found, func(u string) bool { return strings.HasPrefix(u, "http://127.") }); i >= 0 {
		return found[i : i+1], nil
	}
	return found, nil
}
