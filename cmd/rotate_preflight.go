package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/store/dotenv"
)

// errShadowed: what is written into a store would never reach the server.
var errShadowed = errors.New("the environment of the server shadows the store")

// preflight checks what the engine leaves to its caller: the restart, the
// records, and the road from the stores to the server.
func (s *session) preflight(ctx context.Context, current secret.Key) ([]string, error) {
	s.keys.add(current)
	stopped, err := s.checkDrivers(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range s.copies {
		if err := c.Check(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.target.Check(); err != nil {
		return nil, err
	}
	if err := audit.Open(s.state.Path(), s.app.env.Now).Check(); err != nil {
		return nil, err
	}
	remarks, err := s.driverRemarks(ctx)
	if err != nil {
		return nil, err
	}
	more, err := s.shadows(ctx)
	return slices.Concat(stopped, remarks, more), err
}

// checkDrivers asks the drivers whether they could work. What is stopped is no
// fault where the person said so: the restart starts it.
func (s *session) checkDrivers(ctx context.Context) (remarks []string, err error) {
	for _, d := range s.drivers {
		c, ok := d.(restart.Checker)
		if !ok {
			continue
		}
		err := c.Check(ctx)
		switch {
		case errors.Is(err, restart.ErrStopped) && s.options.serverDown:
			remarks = append(remarks, err.Error()+"; the restart starts it")
		case err != nil:
			s.keepOutput(err)
			return nil, fmt.Errorf("restart with %s: %w", d, err)
		}
	}
	return remarks, nil
}

// driverRemarks asks the drivers what they have to say in the plan.
func (s *session) driverRemarks(ctx context.Context) (remarks []string, err error) {
	for _, d := range s.drivers {
		if r, ok := d.(restart.Remarker); ok {
			said, err := r.Remarks(ctx)
			if err != nil {
				return nil, fmt.Errorf("restart with %s: %w", d, err)
			}
			remarks = append(remarks, said...)
		}
	}
	return remarks, nil
}

// shadows looks for a variable that would win over blnk.json in the environment
// that the restarted server will see: the driver's word for it, else that of
// the process that has the port now.
func (s *session) shadows(ctx context.Context) (remarks []string, err error) {
	file := s.configFile(ctx)
	if file == nil && len(s.variables()) == 0 {
		return nil, nil // what brings the key to the server is not known
	}
	known := false
	for _, d := range s.drivers {
		e, ok := d.(restart.Environer)
		if !ok {
			continue
		}
		envs, err := e.Environments(ctx)
		if err != nil {
			return nil, fmt.Errorf("environment behind %s: %w", d, err)
		}
		for _, env := range envs {
			if err := s.shadowed(file, env); err != nil {
				return nil, err
			}
			if s.unreached(env) {
				s.cautions = append(s.cautions, env.Process+" has no key in its environment, and no blnk.json is among the stores: "+
					"unless something else brings it the new key, it goes on without; where a blnk.json has its key, name that with another --store, too")
			}
			known = true
		}
	}
	if known {
		return s.cautions, nil
	}
	return s.shadowsOfListeners(file)
}

func (s *session) shadowsOfListeners(file []byte) (remarks []string, err error) {
	for _, server := range s.servers {
		if !server.Loopback() {
			remarks = append(remarks, unknownEnv(server.String(), "it is not on this host"))
			continue
		}
		processes, err := listener.Find(server.Port())
		if err != nil || len(processes) == 0 {
			remarks = append(remarks, unknownEnv(server.String(), "no process here could be found behind its port"))
			continue
		}
		for _, p := range processes {
			switch {
			case isRelay(p.Exe):
				remarks = append(remarks, unknownEnv(server.String(), filepath.Base(p.Exe)+" stands before it"))
			case p.Env == nil:
				remarks = append(remarks, unknownEnv(server.String(), "it may not be read by this user"))
			default:
				if err := s.shadowed(file, restart.Environment{Process: p.String(), Vars: p.Env}); err != nil {
					return nil, err
				}
			}
		}
	}
	return slices.Compact(remarks), nil
}

func unknownEnv(server, why string) string {
	return fmt.Sprintf("the environment of %s is not known (%s): a BLNK_SERVER_SECRET_KEY there wins over blnk.json", server, why)
}

// isRelay knows programs that listen in the place of a server.
func isRelay(exe string) bool {
	relays := []string{"docker-proxy", "rootlessport", "slirp4netns", "pasta", "nginx", "haproxy", "envoy", "traefik", "caddy", "ssh", "sshd", "socat", "kubectl"}
	return slices.Contains(relays, filepath.Base(exe))
}

// variables are those that the env files among the stores set.
func (s *session) variables() []string {
	var names []string
	for _, st := range s.rotation.Stores {
		if _, ok := st.(*dotenv.Store); ok {
			_, name, _ := strings.Cut(st.String(), "#")
			names = append(names, name)
		}
	}
	return names
}

// shadowed refuses an environment whose variable decides about the key, unless
// one of the stores is the env file that sets it.
func (s *session) shadowed(file []byte, env restart.Environment) error {
	name := shadowedBy(file, env.Vars)
	if name == "" || slices.Contains(s.variables(), name) && s.rotates(env.Files[name], name) {
		return nil
	}
	by := culprit{name, env.Process, env.Files[name]}
	return fail(exitFailed, fmt.Errorf("%w: %s", errShadowed, by), by.hint())
}

// unreached says whether no store is known to bring the key to a process: all of
// them are env files, and none sets a variable of it.
func (s *session) unreached(env restart.Environment) bool {
	alone, err := blnk.Resolve(nil, env.Vars)
	return len(s.variables()) == len(s.rotation.Stores) && err == nil && alone.Value(blnk.SecretKey).Text.IsZero()
}

// rotates says whether the env file that sets the variable, "" where it is not
// known, is one of the stores.
func (s *session) rotates(file, name string) bool {
	if file == "" {
		return true // the proof will tell
	}
	info, err := os.Stat(file)
	return err == nil && slices.ContainsFunc(s.rotation.Stores, func(st store.Store) bool {
		path, ok := strings.CutPrefix(strings.TrimSuffix(st.String(), "#"+name), dotenv.Scheme+":")
		its, err := os.Stat(path)
		return ok && err == nil && os.SameFile(info, its)
	})
}

// configFile is the text of the first blnk.json among the stores, or nil.
func (s *session) configFile(ctx context.Context) []byte {
	for _, st := range s.rotation.Stores {
		if b, ok := st.(*blnkjson.Store); ok {
			if file, err := b.Config(ctx); err == nil {
				return file
			}
		}
	}
	return nil
}
