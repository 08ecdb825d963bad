// Package restart makes a running Blnk read its configuration again. Blnk has
// no reload: its server and its workers read the key once, at their start.
//
// There is one package per driver. A driver says what it did, not what came of
// it: that the servers run the new key is for package probe to prove, and for
// the workers, which answer nothing, the driver's success is all there is.
package restart

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
)

// A Driver restarts the Blnk server and its workers.
//
// Restart returns when the restart was done or asked for, and nil only where
// nothing is known to have failed. When ctx ends, it stops what it can; how far it came is then unknown. It may be
// called again: after a failure, and once more when a rotation is undone.
//
// String returns the reference of the driver, with absolute paths where it
// holds paths, fit to be opened again later.
type Driver interface {
	Restart(ctx context.Context) error
	String() string
}

// A Checker can tell, without an effect, whether a restart could work: the
// preflight of a rotation.
type Checker interface {
	Check(ctx context.Context) error
}

// ErrStopped: a unit, service or container does not run; Restart would start it.
var ErrStopped = errors.New("does not run")

// A Locator knows where the restarted server can be asked: URLs of the
// addresses that it publishes on this host. None is no error.
type Locator interface {
	Servers(ctx context.Context) ([]string, error)
}

// Options is what a driver may need from its surroundings.
type Options struct {
	// Dir is where commands run and where relative places start. It must be
	// absolute.
	Dir string
	// Env is the environment of commands; nil is the caller's own. Package
	// internal/run removes the settings of Blnk from it.
	Env []string
	// Say tells the person something to do, a line without its end; nil tells
	// nobody.
	Say func(line string)
	// Show gets the last line of what a command of the restart prints, while it
	// runs; nil: nobody looks.
	Show func(line string)
	// Work names the command of a restart that is at work.
	Work Work
	// Mask returns the keys that must not show in a command's output, asked
	// anew at each restart: the next key is made after the driver was opened.
	// nil is none.
	Mask func() []secret.Key
}

// Command is a command of a restart; a limit of 0 leaves it to the context.
func (o Options) Command(limit time.Duration, args ...string) run.Cmd {
	cmd := run.Cmd{Args: args, Dir: o.Dir, Env: o.Env, Timeout: limit, Show: o.Show}
	if o.Mask != nil {
		cmd.Mask = o.Mask()
	}
	return cmd
}

// A Scheme is one way to restart. What the engine must know of it is data.
type Scheme struct {
	// Open makes the driver for the place behind "SCHEME:". It refuses a place
	// that it does not understand, and looks at nothing else yet.
	Open func(place string, opt Options) (Driver, error)
	// WorkersProved says that the driver's success stands for the workers too.
	// Where it is false, only the servers are known to have read the new key.
	WorkersProved bool
	// Polls is how long the servers may take to answer as they should, unless
	// the person says otherwise; 0 is the usual time.
	Polls time.Duration
	// Offers are references that would restart the Blnk that is seen to run here; nil
	// where nothing tells. What cannot be asked offers nothing.
	Offers func(ctx context.Context, opt Options) []string
}

// Offers are those of all schemes.
func (s Schemes) Offers(ctx context.Context, opt Options) (refs []string) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if offers := s[name].Offers; offers != nil {
			refs = append(refs, offers(ctx, opt)...)
		}
	}
	return refs
}

// A Group is what runs Blnk under one tool, by the names that a reference has.
type Group []member

type member struct {
	role   Role
	name   string
	config string
}

// Add adds one, where it runs Blnk. config is the blnk.json that it reads, "" where that
// is not known.
func (g *Group) Add(r Role, name, config string) {
	if r.Server || r.Workers {
		*g = append(*g, member{r, name, config})
	}
}

// Offers are its references: one, where one server runs; of several, one for each
// blnk.json that is known to be read. To which of them other workers belong is not known.
func (g Group) Offers(reference func(names ...string) string) (refs []string) {
	servers, of := 0, map[string]bool{}
	for _, m := range g {
		if m.role.Server {
			servers++
		}
	}
	for _, m := range g {
		if servers > 1 && (of[m.config] && m.config != "" || m.config == "" && !m.role.Server) {
			continue
		}
		var names, workers []string
		for _, o := range g {
			switch together := servers < 2 || o.config == m.config && m.config != "" || o.name == m.name; {
			case together && o.role.Server:
				names = append(names, o.name)
			case together:
				workers = append(workers, o.name)
			}
		}
		of[m.config], refs = true, append(refs, reference(append(names, workers...)...))
		if servers < 2 {
			break
		}
	}
	return refs
}

// Schemes is the table of the ways to restart, by scheme name.
type Schemes map[string]Scheme

// Find splits a reference, SCHEME:PLACE, and looks its scheme up. The place is
// everything behind the first colon, verbatim.
func (s Schemes) Find(text string) (scheme Scheme, place string, err error) {
	known := slices.Collect(maps.Keys(s))
	name, place, ok := strings.Cut(text, ":")
	if !ok {
		return Scheme{}, "", ref.Meant(ref.Malformed("restart reference", text), text, known)
	}
	if scheme, ok = s[name]; !ok {
		return Scheme{}, "", ref.Unknown("restart reference", text, name, known)
	}
	return scheme, place, nil
}
