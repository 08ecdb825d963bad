package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
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
func (s *session) reach(ctx context.Context, found *rotate.Findings) error {
	road := s.road(ctx)
	if road.file == nil && len(road.files)+len(road.variables) == 0 {
		return nil // what brings the key to the server is not known
	}
	envs, all, err := s.environments(ctx)
	if err != nil {
		return err
	}
	for _, env := range envs {
		caution, err := road.judge(env)
		if err != nil {
			return err
		}
		if caution != "" {
			found.Cautions = append(found.Cautions, caution)
		}
	}
	if all && len(envs) > 0 && len(found.Cautions) == 0 {
		workless(envs, found)
	}
	if !all && !slices.ContainsFunc(envs, func(e restart.Environment) bool { return e.Server }) {
		return s.reachListeners(road, found)
	}
	return nil
}

// environments are those that the drivers know; all of them do, or not.
func (s *session) environments(ctx context.Context) (envs []restart.Environment, all bool, err error) {
	all = true
	for _, d := range s.drivers {
		e, ok := d.(restart.Environer)
		if !ok {
			all = false
			continue
		}
		its, err := e.Environments(ctx)
		if err != nil {
			return nil, false, fmt.Errorf("environment behind '%s': %w", d, err)
		}
		envs = append(envs, its...)
	}
	return envs, all, nil
}

// workless says that none of the processes is seen to be Blnk's workers. Where
// the command of one does not tell what it is, that is no more than a remark.
func workless(envs []restart.Environment, found *rotate.Findings) {
	const text = `nothing that --restart names runs "blnk workers": they read the key at their start and sign webhooks with it, so restart them, too`
	workers := func(e restart.Environment) bool { return e.Workers }
	unclear := func(e restart.Environment) bool { return !e.Workers && !e.Server }
	switch {
	case slices.ContainsFunc(envs, workers):
	case slices.ContainsFunc(envs, unclear):
		found.Remarks = append(found.Remarks, text)
	default:
		found.Cautions = append(found.Cautions, text)
	}
}

// reachListeners is reach for the processes behind the servers' ports.
func (s *session) reachListeners(road road, found *rotate.Findings) error {
	unknown := func(server, why string) {
		text := fmt.Sprintf("the environment of %s is not known (%s): a BLNK_SERVER_SECRET_KEY there wins over blnk.json", server, why)
		if !slices.Contains(found.Remarks, text) {
			found.Remarks = append(found.Remarks, text)
		}
	}
	for _, server := range s.servers {
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
				if _, err := road.judge(environmentOf(p)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// environmentOf is what a process that listens was started with. Only one that
// is Blnk by its name is known to look for blnk.json where it runs.
func environmentOf(p listener.Process) restart.Environment {
	env := restart.Environment{Process: p.String(), Vars: p.Env}
	set, _ := supervise.Supplied(p.Env)
	env.Execs = set != ""
	if filepath.Base(p.Exe) == "blnk" && p.Dir != "" {
		env.Server, env.Config = true, filepath.Join(p.Dir, blnk.FileName)
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
}

func (s *session) road(ctx context.Context) road {
	r := road{file: s.configFile(ctx), more: len(s.copies) > 0}
	for _, st := range s.rotation.Stores {
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
	if name := shadowedBy(r.file, env.Vars); name != "" {
		if r.sets(env, name) {
			return "", nil
		}
		by := culprit{variable: name, where: env.Process}
		by.source, by.known = env.Sources[name]
		return "", fail(exitFailed, fmt.Errorf("%w: %s", errShadowed, by), by.hint())
	}
	if env.Execs || len(r.files) == 0 && r.more {
		return "", nil
	}
	if len(r.files) == 0 {
		return r.withoutFile(env)
	}
	if !env.Server && !env.Workers || slices.ContainsFunc(r.files, func(path string) bool { return mayRead(env, path) }) {
		return "", nil
	}
	text, hint := unread(env, r.files[0])
	if r.more {
		return text + ": unless another store does", nil
	}
	return "", fail(exitFailed, fmt.Errorf("%s: %w", text, errUnreached), hint)
}

// sets says whether the stores rotate a variable of a process.
func (r road) sets(env restart.Environment, name string) bool {
	from, known := env.Sources[name]
	return slices.ContainsFunc(r.variables, func(v restart.Source) bool {
		if !known {
			return v.Name == name // the proof will tell
		}
		return v.Name == from.Name && sameFile(v.File, from.File)
	})
}

// withoutFile judges a process without a variable of the key, where all stores
// are env files.
func (r road) withoutFile(env restart.Environment) (caution string, err error) {
	text, err := os.ReadFile(env.Config)
	if has, bad := blnk.Resolve(text, nil); err == nil && bad == nil && !has.SecretKey().IsZero() && (env.Server || env.Workers) {
		return "", fail(exitFailed, fmt.Errorf("%s has its key from %s, which is none of the stores: %w", env.Process, env.Config, errUnreached),
			"rotate that, too: --store "+quoted(blnkjson.Scheme+":"+env.Config))
	}
	return env.Process + " has no key in its environment, and no blnk.json is among the stores: unless something else brings it the new key, " +
		"it goes on without; where a blnk.json has its key, name that with another --store, too", nil
}

// mayRead says whether a blnk.json is the one that the process reads, or may be.
func mayRead(env restart.Environment, path string) bool {
	switch {
	case env.Config != "":
		return sameFile(path, env.Config)
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

// sameFile says whether two paths are one file, also where one of them is gone.
func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// within says whether a path is a file or folder, or lies below it, whatever
// links led there.
func within(path, top string) bool {
	for {
		if sameFile(path, top) {
			return true
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
}
