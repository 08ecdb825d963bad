package cmd

import (
	"context"
	"fmt"
	"slices"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
)

// environments are what the processes will see that are to be restarted, as far
// as the drivers know.
type environments struct {
	list []restart.Environment
	all  bool // every driver has told of its own
}

// restarted are those of the processes that are to be restarted.
func (e environments) restarted() []restart.Environment {
	return slices.DeleteFunc(slices.Clone(e.list), func(env restart.Environment) bool { return env.Left })
}

// restarts says whether one of the restarted processes has one of the names.
func (e environments) restarts(names ...string) bool {
	return slices.ContainsFunc(e.restarted(), func(env restart.Environment) bool {
		return slices.ContainsFunc(names, func(n string) bool { return n == env.Process || slices.Contains(env.Aliases, n) })
	})
}

// left tells of processes that run with the key and are not restarted. Where a
// restart command may do that by itself, it is no more than a remark.
func (e environments) left(current secret.Key, found *rotate.Findings) {
	list := &found.Remarks
	if e.all {
		list = &found.Cautions
	}
	for _, env := range e.list {
		text := env.Process + " runs Blnk with the same key, is not named, and goes on with it"
		if !env.Server && !env.Workers {
			text = env.Process + " has the same key, is not named, and goes on with it"
		}
		// Two drivers may see the same one.
		if env.Left && !e.restarts(env.Process) && !slices.Contains(*list, text) && runsWith(env, current) {
			*list = append(*list, text)
		}
	}
}

// runsWith says whether a process has the key, as far as that can be read.
func runsWith(env restart.Environment, key secret.Key) bool {
	has, err := blnk.Resolve(env.ReadConfig(), env.Vars) // without a file, its variables may have it
	return err == nil && !key.IsZero() && has.SecretKey().Equal(key)
}

func (s *session) environments(ctx context.Context) (environments, error) {
	seen := environments{all: true}
	for _, d := range s.drivers {
		e, ok := d.(restart.Environer)
		if !ok {
			seen.all = false
			continue
		}
		its, err := e.Environments(ctx)
		if err != nil {
			return seen, fmt.Errorf("environment behind '%s': %w", d, err)
		}
		seen.list = append(seen.list, its...)
	}
	return seen, nil
}

// workless says that none of the processes is seen to be Blnk's workers. Where
// the command of one does not tell what it is, that is no more than a remark.
func (e environments) workless(found *rotate.Findings) {
	const text = `nothing that --restart names runs "blnk workers": they read the key at their start and sign webhooks with it, so restart them, too`
	workers := func(e restart.Environment) bool { return e.Workers }
	unclear := func(e restart.Environment) bool { return !e.Workers && !e.Server }
	again := e.restarted()
	switch {
	case !e.all || len(again) == 0 || slices.ContainsFunc(again, workers):
	case slices.ContainsFunc(again, unclear):
		found.Remarks = append(found.Remarks, text)
	default:
		found.Cautions = append(found.Cautions, text)
	}
}
