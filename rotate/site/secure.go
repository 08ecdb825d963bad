package site

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// Secure is what is wanted besides a key where secure mode is brought in place.
type Secure struct {
	// Dir is where a blnk.json is looked for, if none is among the stores, and ConfigDir
	// where a blnkctl.yaml is made of what was given; "" where there is one.
	Dir, ConfigDir string
	// Choose asks a person what restarts the server, of offers or another reference; ""
	// is nothing. nil where nobody can be asked.
	Choose func(ctx context.Context, question string, offers []string) (string, error)
	// Offers are references of what could be restarted here.
	Offers func(ctx context.Context, opt restart.Options) []string
}

// secure finds what has to be set besides the key. Where a rotation is open, its
// journal knows.
func (s *Site) secure(ctx context.Context, spec target.Spec, set store.Set) (target.Spec, error) {
	in := &s.opt.Intent
	s.keys.Add(in.Given)
	if s.Open != nil {
		in.KeyOnly, in.Standing = false, false
		return spec, nil
	}
	token, err := keygen.ForUse(keygen.MetricsToken, "", 0)
	if err != nil {
		return spec, err
	}
	s.keys.Add(token)
	values, right, err := reach.Settings(ctx, set, s.opt.Secure.Dir, token, func(ref string) (store.Store, error) {
		one, _, err := s.opt.Store(ref, spec)
		return one, err
	})
	if err != nil && !(in.KeyOnly && errors.Is(err, reach.ErrNowhere)) {
		return spec, err
	}
	spec.Settings = slices.Sorted(maps.Keys(values))
	if in.KeyOnly {
		return spec, nil // they are for the port that stands there
	}
	in.Values = values
	keys, err := set.Keys(ctx)
	differs := func(k secret.Key) bool { return keygen.SecretKey.Weakness(k) != "" || !k.Equal(keys[0]) }
	done := right && in.Given.IsZero() && !slices.ContainsFunc(keys, differs)
	if err != nil || done || len(spec.Restart) > 0 || s.opt.Secure.Choose == nil || s.opt.DryRun {
		return spec, nil // what cannot be read is said later
	}
	spec.Restart, err = s.chooseRestart(ctx, spec, set)
	s.opt.Spec.Restart = spec.Restart // as if it had been given
	return spec, err
}

// chooseRestart asks a person what restarts the server.
func (s *Site) chooseRestart(ctx context.Context, spec target.Spec, set store.Set) ([]string, error) {
	question := "What restarts the server and its workers? (What is found here; or type one, as sh:COMMAND)"
	if running := reach.Running(set); running != "" {
		question = "Running here: " + running + "\n" + question
	}
	opt := restart.Options{Dir: spec.Dir}
	offers := slices.DeleteFunc(s.opt.Secure.Offers(ctx, opt), func(ref string) bool {
		d, err := s.opt.Driver(ref, opt)
		return err == nil && reach.Foreign(ctx, set, d.Restarter)
	})
	answer, err := s.opt.Secure.Choose(ctx, question, offers)
	if answer == "" || err != nil {
		return nil, err
	}
	return []string{answer}, nil
}

// findAround finds what is to be done to the files around the key.
func (s *Site) findAround(ctx context.Context) {
	var paths []string
	for _, one := range s.Places() {
		if file, ok := one.(interface{ Path() string }); ok {
			paths = append(paths, file.Path())
		}
	}
	s.around = exposure.Edits(ctx, paths, s.look.Readers)
	s.around.Notes = append(s.around.Notes, reach.Resets(s.Dir)...)
	var err error
	if s.around.Last, err = s.newConfig(); err != nil {
		s.around.Notes, s.around.Failed = append(s.around.Notes, fmt.Sprintf("%s: not made: %v", config.Name, err)), true
	}
}

// newConfig is a blnkctl.yaml of what was given; nil where there is one.
func (s *Site) newConfig() (*exposure.Edit, error) {
	if s.opt.Secure.ConfigDir == "" {
		return nil, nil
	}
	said := config.Target{Stores: s.opt.Spec.Stores, Restart: s.opt.Spec.Restart, Servers: s.opt.Spec.Servers}
	if len(said.Servers) == 0 && s.Published { // the port in blnk.json may be another one
		said.Servers = s.Spec.Servers
	}
	if len(said.Restart) == 0 {
		said.Restart = s.Spec.Restart // of the journal
	}
	return exposure.File(filepath.Join(s.opt.Secure.ConfigDir, config.Name), config.Text(said), "made, with what was given here")
}

// mendAround makes the edits, the last one too where it is time. What cannot be made is a
// warning, and in the end exit status 8: it is no reason to leave a server open.
func (s *Site) mendAround(last bool) {
	s.around.Apply(last, func(e exposure.Edit, err error) {
		if err != nil {
			s.opt.Warn("%s: not done: %v", e, err)
		} else {
			s.opt.Say("  %s", e)
		}
	})
}

// complete does around the key what is still missing where a run ended well.
func (s *Site) complete(ctx context.Context, r *rotate.Report) {
	switch {
	case r.Outcome == rotate.InPlace, r.Outcome == rotate.Resumed: // it was not done in this run, or not to its end
		s.findAround(ctx)
	case r.Outcome != rotate.Secured && r.Outcome != rotate.Written:
		return
	}
	r.Warnings = append(r.Warnings, s.around.Notes...)
	s.mendAround(true)
	r.Incomplete = r.Incomplete || s.around.Failed
}
