// Package command is a store behind commands of the user's: whatever secret
// manager has a command line can hold the key.
//
// The key goes to a command on its stdin and comes from it on its stdout; it
// is in no argument, no variable and no file. A Store reads and writes; a Copy
// has no command to read with, and is written only.
//
// It does not promise that nobody writes between the comparison and the write
// of a Put: a command line has no compare-and-swap. Nor does it know what a
// command does with the key: one that puts it on another one's argument list
// shows it to everybody on the host.
package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// Scheme is what references to this store start with.
const Scheme = "command"

// DefaultTimeout is what a command has to end. A secret manager answers in
// seconds; a command that asks a person who is not there never does.
const DefaultTimeout = time.Minute

// ErrWriteOnly: the name is that of a write-only copy, not of a store.
var ErrWriteOnly = errors.New("no read command: this is a write-only copy")

// A Spec is the commands of one name, each a program with its arguments. No
// shell reads them.
type Spec struct {
	// Read prints the key on stdout. One line end behind it is no part of it.
	// Nothing printed and exit status 0 is no key. Without Read, the place is
	// a write-only copy.
	Read []string
	// Write takes the key on stdin, without a line end.
	Write []string
	// Exists ends with exit status 0 where there is a key and 1 where there is
	// none; any other is a failure. It is optional: without it, a Read that
	// fails where there is no key cannot be told from any other failure.
	Exists []string

	// Dir is where the commands run, absolute; "" is the caller's own.
	Dir string
	// Env is their environment, as NAME=VALUE; nil is the caller's own.
	// Variables named BLNK_* are left out.
	Env []string
	// Timeout ends a command; 0 is DefaultTimeout.
	Timeout time.Duration
}

// Specs are all that a configuration knows, by name.
type Specs map[string]Spec

// A WriteOnlyError is ErrWriteOnly, and the copy.
type WriteOnlyError struct{ Copy *Copy }

// Error names the copy.
func (e *WriteOnlyError) Error() string { return ErrWriteOnly.Error() }

// Unwrap returns ErrWriteOnly.
func (e *WriteOnlyError) Unwrap() error { return ErrWriteOnly }

// Open opens command:NAME as a store.Scheme. One without a read command is a
// *WriteOnlyError.
func (s Specs) Open(ref store.Ref, _ store.Options) (store.Store, error) {
	p, err := s.place(ref)
	if err != nil {
		return nil, err
	}
	if len(p.spec.Read) > 0 {
		return &Store{place: p}, nil
	}
	return nil, &WriteOnlyError{&Copy{p}}
}

// Named is the scheme of what blnkctl.yaml has commands for.
func Named(file func() (config.File, error)) store.Scheme {
	return func(ref store.Ref, opt store.Options) (store.Store, error) {
		f, err := file()
		if err != nil {
			return nil, err
		}
		specs := Specs{}
		for name, c := range f.Commands {
			if len(c.Read)+len(c.Write) > 0 { // else it restarts something
				specs[name] = Spec{Read: c.Read, Write: c.Write, Exists: c.Exists, Dir: f.Dir, Env: opt.Env}
			}
		}
		return specs.Open(ref, opt)
	}
}

func (s Specs) place(ref store.Ref) (place, error) {
	spec, ok := s[ref.Place]
	if err := ref.NoOptions(); err != nil {
		return place{}, err
	}
	switch {
	case ref.Field != "":
		return place{}, errors.New("want command:NAME and nothing behind it")
	case !ok:
		return place{}, errors.New("no such command in the configuration")
	case len(spec.Write) == 0:
		return place{}, errors.New("no write command")
	}
	for act, args := range map[string][]string{"read": spec.Read, "write": spec.Write, "exists": spec.Exists} {
		if len(args) > 0 && args[0] == "" || slices.ContainsFunc(args, func(a string) bool { return strings.ContainsRune(a, 0) }) {
			return place{}, fmt.Errorf("the %s command has no program, or a NUL character", act)
		}
	}
	return place{ref.Place, spec}, nil
}

// A place is a name and its commands.
type place struct {
	name string
	spec Spec
}

// String is the reference.
func (p place) String() string { return Scheme + ":" + p.name }

// cmd is one of the commands, ready to run. The keys must not show in what it
// prints.
func (p place) cmd(args []string, keys ...secret.Key) run.Cmd {
	return run.Cmd{Args: args, Dir: p.spec.Dir, Env: p.spec.Env, Timeout: cmp.Or(p.spec.Timeout, DefaultTimeout), Mask: keys}
}

// write hands next to the write command.
func (p place) write(ctx context.Context, next, now secret.Key) error {
	if read, err := keygen.Parse(next.Reveal()); err != nil || !read.Equal(next) {
		return fmt.Errorf("%s: %w: the new key would not come back as it is: it is empty, or what no key has stands in it or around it", p, store.ErrNotSafe)
	}
	cmd := p.cmd(p.spec.Write, now)
	cmd.Input = next
	res, err := cmd.Run(ctx)
	if err != nil {
		return p.failed("write", res, err)
	}
	if res.Unread {
		// It went well for the command, so nobody else would notice.
		return fmt.Errorf("%s: write: %s ended well, but did not read the key from its stdin", p, p.spec.Write[0])
	}
	return nil
}

// failed names the place, the act, and what the command said at its end. It
// wraps no *run.ExitError, whose output is masked for known keys only.
func (p place) failed(act string, res run.Result, err error) error {
	if exit, ok := errors.AsType[*run.ExitError](err); ok {
		err = errors.New(exit.Error())
		if exit.Err != nil {
			err = fmt.Errorf("run %s: %w", exit.Name, exit.Err)
		}
	}
	err = fmt.Errorf("%s: %s: %w", p, act, err)
	if said := run.Last(withoutKeys(res.Output), 3, 500); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// exists asks the exists command; seen must not show in what it prints.
func (p place) exists(ctx context.Context, seen secret.Key) (bool, error) {
	res, err := p.cmd(p.spec.Exists, seen).Run(ctx)
	exit, ended := errors.AsType[*run.ExitError](err)
	switch {
	case err == nil:
		return true, nil
	case ended && exit.Err == nil && !res.TimedOut && res.Exit == 1:
		return false, nil
	}
	return false, p.failed("exists", res, err)
}

// check says whether the programs can be found and run.
func (p place) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, args := range [][]string{p.spec.Read, p.spec.Write, p.spec.Exists} {
		if len(args) > 0 {
			if err := p.cmd(args).Check(); err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
		}
	}
	return nil
}

// A Copy is a place that takes the key and never gives it back: the secrets of
// a CI system, say. It is never the source of truth, cannot be compared, and
// what it holds is what was written last, by whomever.
type Copy struct{ place }

// Write hands the key to the write command. An error says that the place may
// hold the key or not.
func (c *Copy) Write(ctx context.Context, key secret.Key) error {
	return c.write(ctx, key, secret.Key{})
}

// Check says, without an effect, whether the program of the write command can
// be found.
func (c *Copy) Check(ctx context.Context) error { return c.check(ctx) }

// Holds asks the exists command; without one nobody knows.
func (c *Copy) Holds(ctx context.Context) (there, known bool, err error) {
	if len(c.spec.Exists) == 0 {
		return false, false, nil
	}
	there, err = c.exists(ctx, secret.Key{})
	return there, err == nil, err
}

// A Store reads and writes with commands.
type Store struct {
	place
	seen secret.Key // what was read last, to be masked in what comes later
}

var (
	_ store.Copy     = (*Copy)(nil)
	_ store.Holder   = (*Copy)(nil)
	_ store.Store    = (*Store)(nil)
	_ store.Checker  = (*Store)(nil)
	_ store.Remarker = (*Store)(nil)
	_ store.Scheme   = Specs(nil).Open
)

// Get runs the exists command, if there is one, and the read command.
func (s *Store) Get(ctx context.Context) (secret.Key, store.Version, error) {
	if err := ctx.Err(); err != nil {
		return secret.Key{}, "", fmt.Errorf("%s: %w", s, err)
	}
	there := true // without an exists command, only Read can tell
	if len(s.spec.Exists) > 0 {
		var err error
		if there, err = s.exists(ctx, s.seen); err != nil {
			return secret.Key{}, "", err
		}
	}
	if !there {
		return secret.Key{}, "", fmt.Errorf("%s: %w", s, store.ErrNotFound)
	}
	printed, res, err := s.cmd(s.spec.Read, s.seen).Read(ctx)
	if err != nil {
		return secret.Key{}, "", s.failed("read", res, err)
	}
	key, err := keygen.Parse(printed.Reveal())
	switch {
	case strings.Trim(printed.Reveal(), "\r\n") == "":
		return secret.Key{}, "", fmt.Errorf("%s: %w: the read command prints nothing", s, store.ErrNotFound)
	case err != nil: // it printed something else
		return secret.Key{}, "", fmt.Errorf("%s: %w: what the read command prints is no key: %w", s, store.ErrNotSafe, err)
	}
	s.seen = key
	return key, store.VersionOf(key), nil
}

// Put reads again and compares, writes, and reads once more: a write command
// that ends well and has not written is an error. A manager with several servers may
// print the old key for a moment: that is given four seconds.
func (s *Store) Put(ctx context.Context, next secret.Key, at store.Version) (store.Version, error) {
	now, seen, err := s.Get(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	if seen != at {
		return "", fmt.Errorf("%s: %w", s, store.ErrConflict)
	}
	if err := s.write(ctx, next, now); err != nil {
		return "", err
	}
	s.seen = next
	back, version, err := s.Get(ctx)
	for wait := time.Second / 8; err == nil && version == at && !back.Equal(next) && wait < 4*time.Second; wait *= 2 {
		time.Sleep(wait)
		back, version, err = s.Get(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("read back: %w", err)
	}
	if !back.Equal(next) {
		return "", fmt.Errorf("%s: the write command ended well, but the read command prints another key", s)
	}
	return version, nil
}

// CheckPut says whether the programs can be found. Whether they would be let
// in, only running them would tell.
func (s *Store) CheckPut(ctx context.Context) error { return s.check(ctx) }

// Remarks says what commands cannot promise.
func (s *Store) Remarks(context.Context) ([]string, error) {
	return []string{s.String() + " has no compare-and-swap: it is compared right before it is written, but somebody else's write in between would be lost"}, nil
}
