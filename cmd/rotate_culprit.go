package cmd

import (
	"context"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
)

// A culprit is what makes a server's answers other than the stores would. It
// never holds a key.
type culprit struct{ said, hint string }

// String says it in a sentence.
func (c culprit) String() string { return c.said }

// shadowing is the culprit that a variable is.
func shadowing(variable, where string, source restart.Source) culprit {
	c := culprit{said: variable + " is set in the environment of " + where + ", and wins over blnk.json"}
	own := source.Fixed && source.Name != ""
	switch {
	case own:
		c.said += "; " + source.Name + " in the environment of this command sets it, before any env file"
	case source.Fixed:
		c.said += "; no env file that a restart reads sets it"
	}
	switch {
	case own:
		c.hint = "run this again without it: unset " + source.Name
	case !strings.HasSuffix(variable, "_SECRET_KEY"):
		c.hint = "take " + variable + " out of the server's environment, restart it, and run this again"
	case source.Fixed:
		c.hint = "let an env file set it, restart with that, and name it with --store 'dotenv:PATH'; or take it out, so that blnk.json counts"
	case source.File != "":
		c.hint = "rotate its env file too: --store " + quoted("dotenv:"+source.File+"#"+source.Name)
	default:
		c.hint = "if an env file sets it, rotate that too: --store 'dotenv:PATH#" + variable + "'; else take it out of the server's environment and restart"
	}
	return c
}

// event shows progress. When a proof fails it also looks at the servers as
// they are at that moment: the way back replaces them.
func (s *session) event(ctx context.Context, e rotate.Progress) {
	if e.Kind == rotate.Failed && e.Step == "test" {
		s.culprit, _ = s.findCulprit(ctx)
	}
	s.progress.event(e)
}

// findCulprit looks into the environment of the servers on this host, as far
// as it may be read, for a variable that decides about the key or about secure
// mode; and whether they read another blnk.json.
func (s *session) findCulprit(ctx context.Context) (culprit, bool) {
	road := s.road(ctx)
	if road.file == nil {
		return culprit{}, false
	}
	for _, server := range s.probes() {
		if !server.Loopback() {
			continue
		}
		processes, err := listener.Find(server.Port())
		if err != nil {
			continue // a guess less; the error stands
		}
		for _, p := range processes {
			if name := decidedBy(road.file, p.Env); name != "" && !isRelay(p.Exe) {
				return shadowing(name, p.String(), restart.Source{}), true
			}
			if env := environmentOf(p); !slices.ContainsFunc(road.files, func(path string) bool { return mayRead(env, path) }) {
				said, hint := unread(env, road.files[0])
				return culprit{said, hint}, true
			}
		}
	}
	return culprit{}, false
}

// decidedBy names the variable of env that switches secure mode off or decides
// about the master key; "" where there is none.
func decidedBy(file []byte, env map[string]string) string {
	e, err := blnk.Resolve(file, env)
	if err != nil {
		return "" // no server started with these two together
	}
	if v := e.Value(blnk.Secure); v.Shadowed() && !e.Secure() {
		return v.Source
	}
	return shadowedBy(file, env)
}
