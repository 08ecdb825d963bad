package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/blnkctl/blnkctl/audit"
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
	seen, err := s.environments(ctx)
	if err != nil {
		return found, err
	}
	if err := s.driverRemarks(ctx, seen, &found); err != nil {
		return found, err
	}
	seen.left(current, &found)
	return found, s.reach(ctx, seen, &found)
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

// driverRemarks asks the drivers what they have to say in the plan. What one of
// them misses, another one may restart.
func (s *session) driverRemarks(ctx context.Context, seen environments, found *rotate.Findings) error {
	missed := false
	for _, d := range s.drivers {
		r, ok := d.(restart.Remarker)
		if !ok {
			continue
		}
		said, err := r.Remarks(ctx)
		if err != nil {
			return fmt.Errorf("restart with '%s': %w", d, err)
		}
		for _, remark := range said {
			switch {
			case seen.restarts(remark.About...):
			case remark.Caution:
				found.Cautions = append(found.Cautions, remark.Text)
				missed = missed || remark.Workers
			default:
				found.Remarks = append(found.Remarks, remark.Text)
			}
		}
	}
	if !missed {
		seen.workless(found)
	}
	return nil
}

// configFile is the text of the first blnk.json among the stores, or nil.
func (s *session) configFile(ctx context.Context) []byte {
	text, _ := target.Config(ctx, s.target.Set)
	return text
}
