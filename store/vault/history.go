package vault

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// Created says since when Vault has held the key that it holds now: the oldest
// version from which on nothing but other fields changed. Where Vault no longer
// has that one, it is the oldest that it still has, so that the key is at least
// as old. With KV version 1, which keeps no time, it is the zero Time.
func (s *Store) Created(ctx context.Context) (time.Time, error) {
	now, err := s.read(ctx, 0)
	if err != nil {
		return time.Time{}, err
	}
	if now.key.IsZero() {
		return time.Time{}, s.missing(now)
	}
	since := now.created
	err = s.back(ctx, now, func(e entry) bool {
		if !e.key.Equal(now.key) {
			return false
		}
		since = e.created
		return true
	})
	return since, err
}

// back visits the versions before e, the youngest first, until visit returns
// false or Vault has no older one.
func (s *Store) back(ctx context.Context, e entry, visit func(entry) bool) error {
	for n := e.number - 1; n > 0; n-- {
		old, err := s.read(ctx, n)
		if err != nil && !errors.Is(err, store.ErrNotSafe) { // a field that is no string is no key of ours
			return err
		}
		if old.number == 0 || !visit(old) {
			return nil
		}
	}
	return nil
}

// Purge destroys every version of the secret that holds the dead key, with all
// its other fields, for good; KV version 1 keeps none. The current version it
// never destroys: where that one holds the dead key, nothing is destroyed, and
// the error is store.ErrConflict.
//
// A version that was deleted, but not destroyed, cannot be read, and can be
// brought back. Purge leaves it alone, since it may hold nothing but what
// somebody else still wants, and names it in an error.
func (s *Store) Purge(ctx context.Context, dead secret.Key) error {
	now, err := s.read(ctx, 0)
	if err != nil {
		return err
	}
	if now.key.Equal(dead) {
		return fmt.Errorf("destroy old versions of %s at %s: %w: the current one holds that key", s.place, s.conn.addr, store.ErrConflict)
	}
	var doomed, hidden []string
	err = s.back(ctx, now, func(e entry) bool {
		number := strconv.Itoa(e.number)
		switch {
		case e.gone && !e.dead:
			hidden = append(hidden, number)
		case e.key.Equal(dead) && !dead.IsZero():
			doomed = append(doomed, number)
		}
		return true
	})
	if err != nil {
		return err
	}
	if now.gone && !now.dead {
		hidden = append(hidden, strconv.Itoa(now.number))
	}
	if err := s.destroy(ctx, now.mount, doomed); err != nil {
		return err
	}
	if len(hidden) > 0 {
		return fmt.Errorf("destroy old versions of %s at %s: %w (%s): they can be brought back, and may hold the dead key",
			s.place, s.conn.addr, ErrHidden, strings.Join(hidden, ", "))
	}
	return nil
}

// ErrHidden: Purge could not look into some versions. Its error names them.
var ErrHidden = errors.New("versions that are deleted, but not destroyed, are left")

func (s *Store) destroy(ctx context.Context, m mount, versions []string) error {
	if len(versions) == 0 {
		return nil
	}
	r := request{
		act:   fmt.Sprintf("destroy the versions %s of %s", strings.Join(versions, ", "), s.place),
		path:  m.destroy(),
		body:  map[string]any{"versions": versions},
		needs: "update",
	}
	_, err := s.conn.do(ctx, r)
	if isUnknown(err) {
		// To destroy what is destroyed already does no harm.
		_, err = s.conn.do(ctx, r)
	}
	return err
}
