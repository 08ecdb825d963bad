package restart

import (
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
)

// A role is what a container runs of Blnk.
type role struct{ server, workers, migrates bool }

// runsBlnk says that it is a server or workers.
func (r role) runsBlnk() bool { return r.server || r.workers }

// How long Blnk may take to stop: the server waits 30 s for open requests, a
// worker with a hot lane needs 95 s.
const (
	serverStop = 35
	workerStop = 100
	usualStop  = 10 // Docker's own, where nothing is said
)

// roleOf reads a command line, also one that a shell reads.
func roleOf(argv []string) role {
	apart := strings.NewReplacer(";", " ; ", "&", " ; ", "|", " ; ", "\n", " ; ", "(", " ; ", ")", " ; ", `"`, " ", "'", " ")
	var r role
	inside := false // behind the word blnk, before its command
	for _, word := range strings.Fields(apart.Replace(strings.Join(argv, " "))) {
		switch {
		case path.Base(word) == "blnk":
			inside = true
		case word == ";":
			inside = false
		case !inside:
		case word == "start":
			r.server, inside = true, false
		case word == "workers":
			r.workers, inside = true, false
		case word == "migrate":
			r.migrates, inside = true, false
		}
	}
	return r
}

func (c container) argv() []string { return append([]string{c.Path}, c.Args...) }
func (c container) role() role     { return roleOf(c.argv()) }

// deafShell says that process 1 of the container is a shell that waits for
// Blnk. The kernel gives no process 1 a signal that it has no handler for, and
// the shell passes none on: only SIGKILL ends it.
func (c container) deafShell() bool {
	if !isShell(path.Base(c.Path)) || c.first != "" && !isShell(c.first) || c.HostConfig.PidMode == "host" {
		return false
	}
	if c.HostConfig.Init != nil && *c.HostConfig.Init || strings.TrimPrefix(c.Config.StopSignal, "SIG") == "KILL" {
		return false
	}
	hands := regexp.MustCompile(`\bexec\s+\S*\bblnk\b|\btrap\b`) // its place over to Blnk
	return c.role().runsBlnk() && !hands.MatchString(strings.Join(c.Args, " "))
}

func isShell(program string) bool {
	return slices.Contains([]string{"sh", "ash", "dash", "bash", "busybox"}, program)
}

// stopTimeout is how many seconds the container may take to stop: enough for a
// worker to finish, and no more than its own where it would not finish anyway.
func (c container) stopTimeout() int {
	own := usualStop
	if c.Config.StopTimeout != nil {
		own = *c.Config.StopTimeout
	}
	r := c.role()
	switch {
	case c.deafShell() || own < 0: // -1: as long as it takes
		return own
	case r.server && !r.workers:
		return max(own, serverStop)
	default:
		return max(own, workerStop)
	}
}

// remarks is what the plan should say about a restart of the container.
func (c container) remarks() (said []string) {
	if c.deafShell() {
		said = append(said, fmt.Sprintf("%s: the shell before blnk is process 1 and does not hear SIGTERM, so its stop lasts "+
			"until the grace period of %d s ends and it is killed: \"exec blnk …\" in its command mends that", c.name(), c.stopTimeout()))
	}
	if c.role().migrates {
		said = append(said, c.name()+": \"blnk migrate up\" runs again at its start")
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

// runsBlnkctl says that the container's program is "blnkctl exec", which sets
// the key of its child itself.
func (c container) runsBlnkctl() bool {
	return slices.ContainsFunc(c.argv(), func(word string) bool { return path.Base(word) == "blnkctl" })
}

// fixedKey names the variable of the key that the container was made with; ""
// where there is none, or where blnkctl is what runs in it and sets its own.
func (c container) fixedKey() string {
	if c.runsBlnkctl() {
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

// port is the one that the server in the container listens on.
func (c container) port() string {
	e, err := blnk.Resolve(c.configFile(), c.env())
	if err != nil {
		return blnk.DefaultPort // it runs, so it was another file that it read
	}
	return e.Port()
}

// configFile is the blnk.json that is mounted where the server looks for it;
// nil where there is none that this process can read.
func (c container) configFile() []byte {
	const most = 10 << 20
	want := path.Join("/", c.Config.WorkingDir, blnk.FileName)
	for _, m := range c.Mounts {
		source := m.Source
		switch m.Destination {
		case want:
		case path.Dir(want):
			source = filepath.Join(source, blnk.FileName)
		default:
			continue
		}
		if info, err := os.Stat(source); err != nil || !info.Mode().IsRegular() {
			return nil
		}
		f, err := os.Open(source)
		if err != nil {
			return nil
		}
		text, err := io.ReadAll(io.LimitReader(f, most))
		_ = f.Close()
		if err != nil {
			return nil
		}
		return text
	}
	return nil
}

// servers are the addresses on this host at which the server in the container
// can be asked.
func (c container) servers() ([]string, error) {
	if !c.role().server || !c.State.Running {
		return nil, nil
	}
	port := c.port()
	if c.HostConfig.NetworkMode == "host" {
		return []string{"http://127.0.0.1:" + port}, nil
	}
	if slices.ContainsFunc(c.HostConfig.PortBindings[port+"/tcp"], func(b binding) bool { return b.HostPort == "" || b.HostPort == "0" }) {
		return nil, fmt.Errorf("container %s gets another port of this host at each restart: publish port %s on a fixed one", c.name(), port)
	}
	var urls []string
	for _, b := range c.NetworkSettings.Ports[port+"/tcp"] {
		host := b.HostIP
		if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		if url := "http://" + net.JoinHostPort(host, b.HostPort); !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
	}
	// One published on several addresses is one server: loopback will do.
	if i := slices.IndexFunc(urls, func(u string) bool { return strings.HasPrefix(u, "http://127.") }); i >= 0 {
		return urls[i : i+1], nil
	}
	return urls, nil
}
