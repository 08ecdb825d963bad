package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
)

// errForeign: a process that is made anew gets a key that is in none of the stores.
var errForeign = errors.New("that is none of the stores")

// foreign says that a process would be made anew with a key that no store holds,
// from a place that is not known.
func (r road) foreign(env restart.Environment, name string) bool {
	value := secret.New(env.Vars[name])
	return env.Renewed && env.Sources[name] == restart.Source{} && !r.loose && !slices.ContainsFunc(r.keys, value.Equal)
}

func foreign(process, name string) error {
	return fmt.Errorf("%s is made anew with another key than the stores have: where Compose takes %s from for it (a default, or the shell that it was called from?), %w", process, name, errForeign)
}

func foreignHint(name string) string {
	return "have an env file set " + name + " (env_file:, .env or --env-file), bring that in with \"up -d\", and name it with --store 'dotenv:PATH'"
}

// took looks at what a driver has just made anew: whether it has the key that the
// stores have now. Of a server the proof would tell; of a worker nobody would. What
// cannot be seen is left to that.
func (s *session) took(ctx context.Context, key secret.Key) error {
	var envs []restart.Environment
	for _, d := range s.drivers {
		if e, ok := d.(restart.Environer); ok {
			its, err := e.Environments(ctx)
			if err != nil {
				return nil
			}
			envs = append(envs, its...)
		}
	}
	file := s.configFile(ctx)
	for _, env := range envs {
		name := shadowedBy(file, env.Vars)
		if env.Renewed && !env.Left && !env.Execs && name != "" && !secret.New(env.Vars[name]).Equal(key) {
			return foreign(env.Process, name)
		}
	}
	return nil
}
