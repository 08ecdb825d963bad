// Package config reads blnkctl.yaml: what belongs to a place and not to one
// run, so that a bare `blnkctl rotate` works where the file stands.
//
// The file holds no key, but it names commands that are run, often by root. So
// one that somebody else owns or may write is refused, and so is a link to it
// that somebody else owns.
//
// It does not promise that what the file names exists or makes sense; who opens
// it says so.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ownfile"
	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/secret"
)

// Name is what the file is called; SystemFile is where it is looked for last.
const (
	Name       = "blnkctl.yaml"
	SystemFile = "/etc/blnkctl/" + Name
)

// Errors that a caller takes a decision on. All but ErrTarget mean that the file is not used.
var (
	ErrUnsafe  = errors.New("the configuration file is not safe")
	ErrInvalid = errors.New("the configuration file is not valid")
	ErrUnread  = errors.New("read the configuration file")
	ErrTarget  = errors.New("which target is meant is not clear") // not of the file
)

// A File is what blnkctl.yaml says. The zero File is that there is none.
type File struct {
	Path, Dir string             // absolute; relative paths in it start in Dir
	Target                       // the one without a name
	Targets   map[string]Target  // those with one
	StateDir  string             // absolute, or ""
	Commands  map[string]Command // what command:NAME stands for
	Owners    []string           // of scoped keys that doctor looks at
	Baseline  []Exception        // findings of doctor to live with
	Syslog    bool               // audit records go there, too
}

// A Target is what one target works on: references and URLs, as on the command line,
// and what holds for its rotations. What a named one leaves unsaid of Policy and
// Notify is that of the file.
type Target struct {
	Name                     string // "": the file's own
	Stores, Restart, Servers []string
	Policy                   policy.Policy
	Notify                   []Notice
}

// AllStores are the stores of each target; those of the file itself are at "".
func (f File) AllStores() map[string][]string {
	all := map[string][]string{"": f.Stores}
	for name, t := range f.Targets {
		all[name] = t.Stores
	}
	return all
}

// Names are the targets that have one, sorted.
func (f File) Names() []string { return slices.Sorted(maps.Keys(f.Targets)) }

// Called is the file with its targets, as a line for people.
func (f File) Called() string {
	return screen.CleanLine(strings.Join(append([]string{f.Path}, f.Names()...), ", "))
}

// Every is every target, that of the file itself first, where it has one.
func (f File) Every() (all []Target) {
	if len(f.Stores) > 0 {
		all = append(all, f.Target)
	}
	for _, name := range f.Names() {
		all = append(all, f.Targets[name])
	}
	return all
}

// Select returns the targets that a command means, one or with all every one: the named
// one; with no name that of the file itself, or its only one. It is an ErrTarget where that
// is not decided.
func (f File) Select(name string, all bool) ([]Target, error) {
	names, every := f.Names(), f.Every()
	t, ok := f.Targets[name]
	switch {
	case all && name != "":
		return nil, hint.Add(hint.As(ErrTarget, "--all is every target, and %s is one", name), "leave one of them away")
	case all && len(every) == 0:
		return nil, hint.Add(hint.As(ErrTarget, "--all: there is no target in a %s", Name), "targets: of %s names them", Name)
	case all:
		return every, nil
	case ok:
		return []Target{t}, nil
	case name == "" && len(f.Stores) == 0 && len(every) == 1:
		return every, nil
	case name == "" && (len(f.Stores) > 0 || len(every) == 0):
		return []Target{f.Target}, nil
	case name == "":
		return nil, hint.Add(hint.As(ErrTarget, "%s has %s, and none of them is named", f.Path, strings.Join(names, ", ")), "name one")
	case len(names) == 0:
		return nil, hint.Add(hint.As(ErrTarget, "there is no target%s", secret.Shown(name)), "targets: of %s names them; a store is given with --store", Name)
	}
	help := "it has " + strings.Join(names, ", ")
	if meant := hint.Nearest(name, names); meant != "" {
		help = "did you mean " + meant + "?"
	}
	return nil, hint.Add(hint.As(ErrTarget, "%s has no target%s", f.Path, secret.Shown(name)), "%s", help)
}

// An Exception is a finding of doctor that somebody decided to live with, until the
// end of a day (UTC): then it is back.
type Exception struct {
	ID, Place, Reason string
	Until             time.Time
}

// A Command is a program with its arguments for each thing that it can do: Read,
// Write and Exists serve a store, Run a restart.
type Command struct{ Read, Write, Exists, Run []string }

// Parts are what the command can do, each with its words.
func (c Command) Parts() []string {
	parts := []string{}
	for what, args := range map[string][]string{"read": c.Read, "write": c.Write, "exists": c.Exists, "run": c.Run} {
		if len(args) > 0 {
			parts = append(parts, what+": "+strings.Join(args, " "))
		}
	}
	slices.Sort(parts)
	return parts
}

// Setting is what the file says of a flag of the command line, for one of its targets:
// none, one value, or a list.
func (f File) Setting(t Target, flag string) []string {
	switch {
	case flag == "state-dir" && f.StateDir != "":
		return []string{f.StateDir}
	case flag == "splay" && t.Policy.Splay > 0:
		return []string{t.Policy.Splay.String()}
	}
	return map[string][]string{"store": t.Stores, "restart": t.Restart, "server": t.Servers, "owner": f.Owners}[flag]
}

// Command returns a command of the file.
func (f File) Command(name string) (Command, error) {
	c, ok := f.Commands[name]
	switch {
	case f.Path == "":
		return c, errors.New("there is no " + Name)
	case !ok:
		return c, fmt.Errorf("%s has no command %q", f.Path, name)
	}
	return c, nil
}

// Find loads the file that counts: explicit where it is not "", else the one in
// the working directory, else SystemFile; the zero File where there is none.
func Find(explicit string, getwd func() (string, error)) (File, error) {
	dir := ""
	if !filepath.IsAbs(explicit) {
		var err error
		if dir, err = getwd(); err != nil {
			return File{}, err
		}
	}
	if explicit != "" {
		return Load(filepath.Join(dir, explicit))
	}
	for _, path := range []string{filepath.Join(dir, Name), SystemFile} {
		switch _, err := os.Lstat(path); {
		case err == nil:
			return Load(path)
		case !errors.Is(err, fs.ErrNotExist):
			return File{}, fmt.Errorf("look for the configuration file: %w", err)
		}
	}
	return File{}, nil
}

// Load reads the file at path, which must be absolute.
func Load(path string) (File, error) { return Check(path, nil) }

// Check is Load, and asks check of each reference of a store or a restart and of each
// server, by the flag that it could stand behind. An error has the line of the first that
// is not good.
func Check(path string, check func(flag, ref string) error) (File, error) {
	data, err := read(path)
	switch {
	case errors.Is(err, ownfile.ErrForeign):
		err = fmt.Errorf("%w: %w", ErrUnsafe, err)
	case errors.Is(err, ownfile.ErrShape):
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	case err != nil && !errors.Is(err, ErrUnsafe):
		err = fmt.Errorf("%w: %w", ErrUnread, err)
	}
	if errors.Is(err, ErrUnsafe) {
		err = hint.Add(err, "make it yours and private: chown and `%s`", hint.Command("chmod", "600", path))
	}
	if err != nil {
		return File{}, err
	}
	file, err := parse(data, check)
	if err == nil {
		err = ref.CheckValue(file.StateDir)
	}
	if err != nil {
		return File{}, hint.Add(fmt.Errorf("%w: %s: %w", ErrInvalid, path, err), "%s", cmp.Or(hint.Of(err), "mend that line; what may stand there: blnkctl config schema"))
	}
	file.Path, file.Dir = path, filepath.Dir(path)
	if file.StateDir != "" && !filepath.IsAbs(file.StateDir) {
		file.StateDir = filepath.Join(file.Dir, file.StateDir)
	}
	return file, nil
}

// read refuses a file that another user could have made say anything.
func read(path string) ([]byte, error) {
	const most = 1 << 20 // far more than any such file needs
	real, err := ownfile.Resolve(path)
	if err != nil {
		return nil, err
	}
	f, info, err := ownfile.Open(real, most)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const others = 0o022
	if info.Mode().Perm()&others != 0 {
		return nil, fmt.Errorf("%w: others may write %s (mode %04o)", ErrUnsafe, path, info.Mode().Perm())
	}
	return io.ReadAll(io.LimitReader(f, most))
}
