package cmd

import (
	"context"
	"errors"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/target"
)

// preflight checks what the engine leaves to its caller: the restart, the
// records, and the road from the stores to the server.
func (s *session) preflight(ctx context.Context, current secret.Key) (found rotate.Findings, err error) {
	s.keys.add(current)
	if found.Remarks, err = s.checkDrivers(ctx); err != nil {
		return found, err
	}
	for _, c := range s.target.Copies {
		if err := c.Check(ctx); err != nil {
			return found, err
		}
	}
	if err := s.folder.Check(); err != nil {
		return found, err
	}
	if err := audit.Open(s.state.Path(), s.app.env.Now).Check(); err != nil {
		return found, err
	}
	seen, err := reach.Observe(ctx, s.drivers, s.addresses())
	if err != nil {
		return found, err
	}
	more, err := s.stores(ctx).Before(seen, current)
	found.Remarks, found.Cautions = append(found.Remarks, more.Remarks...), more.Cautions
	return found, err
}

// observe looks at the processes before a restart, and returns the look afterwards:
// it fails where one has another key than the stores, or runs since before. What
// cannot be seen is left to the proof.
func (s *session) observe(ctx context.Context) func(context.Context, secret.Key) error {
	before, _ := reach.Observe(ctx, s.drivers, nil)
	return func(ctx context.Context, key secret.Key) error {
		after, err := reach.Observe(ctx, s.drivers, nil)
		if err != nil {
			return nil
		}
		return s.stores(ctx).After(before, after, key)
	}
}

// event shows progress. When a proof fails it also looks at the servers as
// they are at that moment: the way back replaces them.
func (s *session) event(ctx context.Context, e rotate.Progress) {
	if e.Kind == rotate.Failed && e.Step == "test" {
		s.cause = s.stores(ctx).Why(s.addresses(), s.keys.all())
	}
	s.progress.event(e)
}

// stores are the target's as a process may read them.
func (s *session) stores(ctx context.Context) reach.Stores {
	return reach.Of(ctx, s.target.Set, len(s.target.Copies) > 0)
}

// addresses are those of the servers.
func (s *session) addresses() (all []reach.Server) {
	for _, server := range s.probes() {
		a := reach.Server{URL: server.String()}
		if server.Loopback() {
			a.Port = server.Port()
		}
		all = append(all, a)
	}
	return all
}

// checkDrivers asks the drivers whether they could work. What is stopped is no
// fault where the person said so: the restart starts it.
func (s *session) checkDrivers(ctx context.Context) (remarks []string, err error) {
	err = s.target.CheckDrivers(ctx, func(err error) bool {
		stopped := errors.Is(err, restart.ErrStopped) && s.options.serverDown
		if stopped {
			remarks = append(remarks, err.Error()+"; the restart starts it")
		}
		return stopped
	})
	return remarks, err
}

// configFile is the text of the first blnk.json among the stores, or nil.
func (s *session) configFile(ctx context.Context) []byte {
	text, _ := target.Config(ctx, s.target.Set)
	return text
}
