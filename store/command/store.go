package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A Store reads and writes with commands.
type Store struct {
	place
	seen secret.Key // what was read last, to be masked in what comes later
}

var (
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
	there, err := s.exists(ctx)
	if err != nil {
		return secret.Key{}, "", err
	}
	if !there {
		return secret.Key{}, "", fmt.Errorf("%s: %w", s, store.ErrNotFound)
	}
	printed, res, err := s.cmd(s.spec.Read, s.seen).Read(ctx)
	if err != nil {
		return secret.Key{}, "", s.failed("read", res, err)
	}
	key, why := keyOf(printed)
	switch {
	case why != "":
		return secret.Key{}, "", fmt.Errorf("%s: %w: what the read command prints is %s", s, store.ErrNotSafe, why)
	case key.IsZero():
		return secret.Key{}, "", fmt.Errorf("%s: %w: the read command prints nothing", s, store.ErrNotFound)
	}
	s.seen = key
	return key, store.VersionOf(key), nil
}

// exists asks the exists command. Without one, only Read can tell.
func (s *Store) exists(ctx context.Context) (bool, error) {
	if len(s.spec.Exists) == 0 {
		return true, nil
	}
	res, err := s.cmd(s.spec.Exists, s.seen).Run(ctx)
	var exit *run.ExitError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &exit) && exit.Err == nil && !res.TimedOut && res.Exit == 1:
		return false, nil
	}
	return false, s.failed("exists", res, err)
}

// Put reads again and compares, writes, and reads once more: a write command
// that ends well and has not written is an error.
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
