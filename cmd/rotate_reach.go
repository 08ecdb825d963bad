package cmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/store/dotenv"
	"github.com/blnkctl/blnkctl/supervise"
)

var (
	// errShadowed: what is written into a store would never reach the server.
	errShadowed = errors.New("the environment of the server shadows the store")
	// errUnreached: a process reads a file that is none of the stores.
	errUnreached = errors.New("a restart would not bring it the new key")
)

// reach looks whether the stores bring the key to each process that is to be
// restarted: by the driver's word for what it will see, else by what the process
// has that listens at the server's port now.
func (s *session) reach(ctx context.Context, seen environments, found *rotate.Findings) error {
	road := s.road(ctx)
	road.loose = !seen.all
	if road.file == nil && len(road.files)+len(road.variables) == 0 {
		return nil // what brings the key to the server is not known
	}
	for _, env := range seen.restarted() {
		caution, err := road.judge(env)
		if err != nil {
			return err
		}
		if caution != "" {
			found.Cautions = append(found.Cautions, caution)
		}
	}
	if !seen.all && !slices.ContainsFunc(seen.restarted(), func(e restart.Environment) bool { return e.Server }) {
		return s.reachListeners(road, found)
	}
	return nil
}

// reachListeners is reach for the processes behind the servers' ports.
func (s *session) reachListeners(road road, found *rotate.Findings) error {
	unknown := func(server, why string) {
		text := fmt.Sprintf("the environment of %s is not known (%s): a BLNK_SERVER_SECRET_KEY there wins over blnk.json", server, why)
		if !slices.Contains(found.Remarks, text) {
			found.Remarks = append(found.Remarks, text)
		}
	}
	for _, server := range s.probes() {
		if !server.Loopback() {
			unknown(server.String(), "it is not on this host")
			continue
		}
		processes, err := listener.Find(server.Port())
		if err != nil || len(processes) == 0 {
			unknown(server.String(), "no process here could be found behind its port")
			continue
		}
		for _, p := range processes {
			switch {
			case isRelay(p.Exe):
				unknown(server.String(), filepath.Base(p.Exe)+" stands before it")
			case p.Env == nil:
				unknown(server.String(), "it may not be read by this user")
			default:
				// What is in doubt here, the proof will say for certain.
				doubt, err := road.judge(environmentOf(p))
				if err != nil {
					return err
				}
				if doubt != "" {
					found.Remarks = append(found.Remarks, doubt)
				}
			}
		}
	}
	return nil
}

// environmentOf is what a process that listens was started with. Only one that
// is Blnk by its name, and has its key from no variable that exec gave it, is
// known to read the blnk.json where it runs.
func environmentOf(p listener.Process) restart.Environment {
	env := restart.Environment{Process: p.String(), Server: true, Vars: p.Env}
	if set, _ := supervise.Supplied(p.Env); set == "" && filepath.Base(p.Exe) == "blnk" && p.Dir != "" {
		env.Config = filepath.Join(p.Dir, blnk.FileName)
	}
	return env
}

// isRelay knows programs that listen in the place of a server.
func isRelay(exe string) bool {
	relays := []string{"docker-proxy", "rootlessport", "slirp4netns", "pasta", "nginx", "haproxy", "envoy", "traefik", "caddy", "ssh", "sshd", "socat", "kubectl"}
	return slices.Contains(relays, filepath.Base(exe))
}

// A road is what the stores of a rotation have to do with what a Blnk process
// reads.
type road struct {
	file      []byte           // the text of the first blnk.json; nil without one
	files     []string         // every blnk.json among them, by its path
	variables []restart.Source // what the env files among them set
	more      bool             // there are others, which reach a process in ways that are not known
	loose     bool             // a restart command may bring something by itself
	keys      []secret.Key     // what the stores hold
}

func (s *session) road(ctx context.Context) road {
	r := road{file: s.configFile(ctx), more: len(s.target.Copies) > 0, keys: s.keys.all()}
	for _, st := range s.target.Set {
		switch st := st.(type) {
		case *blnkjson.Store:
			r.files = append(r.files, st.Path())
		case *dotenv.Store:
			path, name, _ := strings.Cut(strings.TrimPrefix(st.String(), dotenv.Scheme+":"), "#")
			r.variables = append(r.variables, restart.Source{File: path, Name: name})
		default:
			r.more = true
		}
	}
	return r
}

// judge says whether the stores bring the key to a process: no error where they
// do, or may; and a caution where that is in doubt.
func (r road) judge(env restart.Environment) (caution string, err error) {
	if env.Execs {
		return "", nil
	}
	if name := shadowedBy(r.file, env.Vars); name != "" {
		from := env.Sources[name]
		if r.foreign(env, name) {
			return "", fail(exitFailed, foreign(env.Process, name), foreignHint(name))
		}
		if r.sets(env, name) || r.more && !from.Fixed && from.File == "" {
			return r.inDoubt(env, name), nil
		}
		by := shadowing(name, env.Process, from)
		return "", fail(exitFailed, fmt.Errorf("%w: %s", errShadowed, by), by.hint)
	}
	switch {
	case len(r.files) == 0 && r.more:
		return "", nil
	case len(r.files) == 0:
		return r.withoutFile(env)
	case !env.Server && !env.Workers || slices.ContainsFunc(r.files, func(path string) bool { return mayRead(env, path) }):
		return "", nil
	}
	text, hint := unread(env, r.files[0])
	if r.more || r.loose {
		return text + ": unless something else brings it the new key, a restart does not", nil
	}
	return "", fail(exitFailed, fmt.Errorf("%s: %w", text, errUnreached), hint)
}

// sets says whether the stores rotate a variable of a process, or may.
func (r road) sets(env restart.Environment, name string) bool {
	from := env.Sources[name]
	return !from.Fixed && slices.ContainsFunc(r.variables, func(v restart.Source) bool {
		if from.File == "" {
			return v.Name == name
		}
		return v.Name == from.Name && textfile.Same(v.File, from.File)
	})
}

// inDoubt is the caution about a process whose variable is rotated somewhere,
// and comes from a place that is not known. Of a server the proof will tell.
func (r road) inDoubt(env restart.Environment, name string) string {
	if env.Server || env.Sources[name].File != "" {
		return ""
	}
	if env.Renewed {
		return fmt.Sprintf("where %s gets %s from is not known: unless it is one of the stores, it does not get the new key, and everything is put back", env.Process, name)
	}
	return fmt.Sprintf("where %s gets %s from is not known: unless it is one of the stores, it goes on with the key that it has", env.Process, name)
}

// withoutFile judges a process without a variable of the key, where all stores
// are env files.
func (r road) withoutFile(env restart.Environment) (caution string, err error) {
	has, err := blnk.Resolve(env.ReadConfig(), nil)
	if env.Renewed && !r.loose && (env.Server || env.Workers) && (err != nil || has.SecretKey().IsZero()) {
		return "", fail(exitFailed, fmt.Errorf("%s is made anew without any key: %w", env.Process, errUnreached), foreignHint("BLNK_SERVER_SECRET_KEY"))
	}
	if err != nil || has.SecretKey().IsZero() || !env.Server && !env.Workers {
		return env.Process + " has no key in its environment, and no blnk.json is among the stores: unless something else brings it the new key, " +
			"it goes on without; where a blnk.json has its key, name that with another --store, too", nil
	}
	said := fmt.Sprintf("%s has its key from %s, which is none of the stores", env.Process, env.Config)
	if r.loose {
		return said + ": unless something else brings it the new key, a restart does not", nil
	}
	return "", fail(exitFailed, fmt.Errorf("%s: %w", said, errUnreached), "rotate that, too: --store "+quoted(blnkjson.Scheme+":"+env.Config))
}

// mayRead says whether a blnk.json is the one that the process reads, or may be.
func mayRead(env restart.Environment, path string) bool {
	switch {
	case env.Config != "":
		return textfile.Same(path, env.Config)
	case env.Isolated:
		return slices.ContainsFunc(env.Mounts, func(mount string) bool { return within(path, mount) })
	default:
		return true
	}
}

// unread says why a process does not read a blnk.json, and what to do.
func unread(env restart.Environment, path string) (text, hint string) {
	if env.Config == "" {
		return fmt.Sprintf("%s does not see %s: nothing that is mounted in it has that", env.Process, path),
			"mount " + path + " where it reads its blnk.json, and make it anew"
	}
	return fmt.Sprintf("%s reads %s, which is none of the stores", env.Process, env.Config),
		"rotate that, too: --store " + quoted(blnkjson.Scheme+":"+env.Config) + "; or let it read " + path
}

// within says whether a path is a file or folder, or lies below it: by its own
// name, or where the links on its way lead.
func within(path, top string) bool {
	here, err := filepath.EvalSymlinks(path)
	return below(path, top) || err == nil && below(here, top)
}

func below(path, top string) bool {
	for {
		if textfile.Same(path, top) {
			return true
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
}
