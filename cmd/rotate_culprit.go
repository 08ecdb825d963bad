package cmd

import (
	"context"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
)

// A culprit is the variable that makes a server's answers other than its
// blnk.json would. It never holds the variable's value.
type culprit struct {
	variable, where string
	source          restart.Source // where it is set, if that is
	known           bool
}

// String says it in a sentence.
func (c culprit) String() string {
	text := c.variable + " is set in the environment of " + c.where + ", and wins over blnk.json"
	if c.known && c.source.File == "" {
		text += "; no env file sets it, so a restart keeps it as it is"
	}
	return text
}

func (c culprit) hint() string {
	if !strings.HasSuffix(c.variable, "_SECRET_KEY") {
		return "take " + c.variable + " out of the server's environment, restart it, and run this again"
	}
	switch {
	case c.known && c.source.File == "":
		return "let an env file set it, restart with that, and name it with --store 'dotenv:PATH'; or take it out, so that blnk.json counts"
	case c.known:
		return "rotate its env file too: --store " + quoted("dotenv:"+c.source.File+"#"+c.source.Name)
	}
	return "if an env file sets it, rotate that too: --store 'dotenv:PATH#" + c.variable + "'; else take it out of the server's environment and restart"
}

// event shows progress. When a proof fails it also looks at the servers as
// they are at that moment: the way back replaces them.
func (s *session) event(ctx context.Context, e rotate.Event) {
	if e.Kind == rotate.Failed && e.Step == "test" {
		s.culprit, _ = s.findCulprit(ctx)
	}
	s.progress.event(e)
}

// findCulprit looks into the environment of the servers on this host, as far
// as it may be read, for a variable that decides about the key or about secure
// mode.
func (s *session) findCulprit(ctx context.Context) (culprit, bool) {
	file := s.configFile(ctx)
	if file == nil {
		return culprit{}, false
	}
	for _, server := range s.servers {
		if !server.Loopback() {
			continue
		}
		processes, err := listener.Find(server.Port())
		if err != nil {
			continue // a guess less; the error stands
		}
		for _, p := range processes {
			if name := decidedBy(file, p.Env); name != "" && !isRelay(p.Exe) {
				return culprit{variable: name, where: p.String()}, true
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
