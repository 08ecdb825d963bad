// Package restart makes a running Blnk read its configuration again. Blnk has
// no reload: its server and its workers read the key once, at their start.
//
// There is one file per driver. A driver says what it did, not what came of
// it: that the servers run the new key is for package probe to prove, and for
// the workers, which answer nothing, the driver's success is all there is.
package restart

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/secret"
)

// A Driver restarts the Blnk server and its workers.
//
// Restart returns when the restart was done or asked for, within
// Options.Timeout, and nil only where nothing is known to have failed. When
// ctx ends, it stops what it can; how far it came is then unknown. It may be
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

// An Environer knows the environments that the restarted processes will see,
// the server's and the workers', as they will be after a restart by this
// driver; and those of others, as they are.
type Environer interface {
	Environments(ctx context.Context) ([]Environment, error)
}

// An Environment is what one process will see. Its variables may hold keys, so
// it must not be printed.
type Environment struct {
	// Process names the unit, container or service, for people.
	Process string
	// Aliases are other names of it: those of a service's containers.
	Aliases []string
	// Left says that it is not restarted: it is a Blnk that the driver sees beside
	// those which it restarts.
	Left bool
	// Server and Workers say what of Blnk its command line runs; neither, where
	// it does not tell.
	Server, Workers bool
	// Execs says that "blnkctl exec" runs it, and gives it its key at each start.
	Execs bool
	// Vars are the variables of the process.
	Vars map[string]string
	// Renewed says that Vars are those that a restart gives it, from what is
	// written by now, whatever it has until then.
	Renewed bool
	// Sources says where variables are set, those of the master key at least.
	Sources map[string]Source
	// Config is the blnk.json that the process reads: an absolute path on this
	// host, where there may be no such file. "" where that is not known.
	Config string
	// Isolated says that of this host's files the process sees none but those of
	// Mounts, files and folders.
	Isolated bool
	Mounts   []string
}

// ReadConfig returns the text of Config as it is now; nil where that is not
// known, or cannot be read. It may hold keys.
func (e Environment) ReadConfig() []byte { return readConfig(e.Config) }

// readConfig reads a blnk.json that is not one of the stores. What is no file of
// a likely size is none: a device would never end.
func readConfig(path string) []byte {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > textfile.MaxSize {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return text
}

// A Source is where a variable is set: in a file, fixed, or not known.
type Source struct {
	// File is an env file, by its absolute path, which the restart reads.
	File string
	// Name is what the variable is called there.
	Name string
	// Fixed says that nothing which a restart reads anew sets it. With a Name, the
	// caller's own environment does.
	Fixed bool
}

// A Locator knows where the restarted server can be asked: URLs of the
// addresses that it publishes on this host. None is no error.
type Locator interface {
	Servers(ctx context.Context) ([]string, error)
}

// A Remarker has something to say in the plan: how long a stop will last, what
// else a restart sets off.
type Remarker interface {
	Remarks(ctx context.Context) ([]Remark, error)
}

// A Remark is something that a person should know before a restart.
type Remark struct {
	// Text is a sentence without its end.
	Text string
	// About are names that a process which the restart misses has as
	// Environment.Process, by this driver or another one: where that restarts it,
	// there is nothing to say.
	About []string
	// Workers says that it tells of workers which the restart misses.
	Workers bool
	// Caution says that it is about something that the restart misses, which
	// matters where nobody reads a plan, too.
	Caution bool
}

func note(format string, args ...any) Remark { return Remark{Text: fmt.Sprintf(format, args...)} }

// Options is what a driver may need from its surroundings.
type Options struct {
	// Dir is where commands run and where relative places start. It must be
	// absolute.
	Dir string
	// Env is the environment of commands; nil is the caller's own. Package
	// internal/run removes the settings of Blnk from it.
	Env []string
	// Timeout bounds one restart; 0 is no limit.
	Timeout time.Duration
	// Say tells the person something to do, a line without its end; nil tells
	// nobody.
	Say func(line string)
	// Lock is a file that a restart locks, where it runs commands that must not
	// work side by side. They hold the lock along: one that outlives a killed
	// blnkctl keeps the next restart waiting. "" locks nothing.
	Lock string
	// Mask returns the keys that must not show in a command's output, asked
	// anew at each restart: the next key is made after the driver was opened.
	// nil is none.
	Mask func() []secret.Key
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
}

// Schemes is the table of the ways to restart, by scheme name.
type Schemes map[string]Scheme

// Find splits a reference, SCHEME:PLACE, and looks its scheme up. The place is
// everything behind the first colon, verbatim.
func (s Schemes) Find(ref string) (scheme Scheme, place string, err error) {
	name, place, ok := strings.Cut(ref, ":")
	if !ok {
		return Scheme{}, "", fmt.Errorf("restart reference %q: want SCHEME:PLACE", ref)
	}
	scheme, ok = s[name]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(s)), ", ")
		return Scheme{}, "", fmt.Errorf("restart reference %q: unknown scheme %q (known: %s)", ref, name, known)
	}
	return scheme, place, nil
}
