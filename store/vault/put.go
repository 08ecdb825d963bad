package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// putTries is how often Put starts again: after an answer that was lost, and
// when another field of the secret changes under its hands.
const putTries = 4

// Put writes next if the key is still that of version at. Other fields stay as
// they are in the moment of the write, with KV version 1 but for what somebody
// else writes in that very moment.
//
// A write whose answer was lost is looked at before it is repeated. An error
// may still mean that the write was done: where Vault was sealed in the middle
// of it, say.
func (s *Store) Put(ctx context.Context, next secret.Key, at store.Version) (store.Version, error) {
	if next.IsZero() || !utf8.ValidString(next.Reveal()) {
		return "", fmt.Errorf("write %s: the new key is empty or not valid UTF-8", s.place)
	}
	s.conn.shows(next)
	var (
		last   error // of the write before,
		before entry // and what it was to replace
		lost   bool  // some write may have been done, or may still be on its way
	)
	for range putTries {
		now, err := s.read(ctx, 0)
		if err != nil {
			return "", err
		}
		if lost && now.key.Equal(next) {
			return now.version(), nil // it was done, and only its answer was lost
		}
		if last != nil && !isUnknown(last) && now.number == before.number {
			return "", last // nobody was faster: it was refused for something else
		}
		same, err := s.unchanged(ctx, now, at)
		if err != nil {
			return "", err
		}
		if !same {
			return "", fmt.Errorf("%s at %s: %w", now.mount.data(), s.conn.addr, store.ErrConflict)
		}
		number, err := s.write(ctx, now, next)
		if err == nil {
			now.number, now.key = number, next
			return now.version(), nil
		}
		last, before, lost = err, now, lost || isUnknown(err)
		if ctx.Err() != nil || !isUnknown(err) && !wasFaster(now, err) {
			break
		}
	}
	return "", last
}

func isUnknown(err error) bool {
	var u unknown
	return errors.As(err, &u)
}

// wasFaster says whether somebody else may have written in the meantime: Vault
// refuses a check-and-set as it refuses any wrong request. The next look tells.
func wasFaster(e entry, err error) bool {
	return e.mount.version == 2 && errors.Is(err, ErrRefused)
}

// unchanged says whether the key is still that of version at. With KV version
// 2 somebody may have changed another field since: then it is asked what at
// held.
func (s *Store) unchanged(ctx context.Context, now entry, at store.Version) (bool, error) {
	if now.version() == at {
		return true, nil
	}
	number, err := strconv.Atoi(string(at))
	if now.mount.version == 1 || err != nil || number < 1 || number > now.number || now.key.IsZero() {
		return false, nil
	}
	then, err := s.read(ctx, number)
	if errors.Is(err, store.ErrNotSafe) {
		return false, nil
	}
	return err == nil && then.key.Equal(now.key), err
}

// CheckPut asks Vault whether the token may read the secret and write it, and
// so whether Vault is there, unsealed and active. It cannot ask whether Vault's
// storage has room.
func (s *Store) CheckPut(ctx context.Context) error {
	now, err := s.read(ctx, 0)
	if err != nil {
		return err
	}
	write := "create"
	if now.exists {
		write = "update"
	}
	return s.may(ctx, now.mount.data(), write)
}

// CheckPurge asks whether the token may destroy versions.
func (s *Store) CheckPurge(ctx context.Context) error {
	m, err := s.findMount(ctx)
	if err != nil || m.version == 1 {
		return err
	}
	return s.may(ctx, m.destroy(), "update")
}

// may returns a DeniedError where the token lacks a capability.
func (s *Store) may(ctx context.Context, path, capability string) error {
	caps, err := s.capabilities(ctx, path)
	if err != nil || caps[path][capability] || caps[path]["root"] {
		return err
	}
	return fmt.Errorf("write %s at %s: %w", path, s.conn.addr, &DeniedError{Path: path, Capability: capability})
}

// capabilities asks what the token may do with each path. None is an empty set.
func (s *Store) capabilities(ctx context.Context, paths ...string) (map[string]map[string]bool, error) {
	r := request{
		act:   "ask for the rights on " + s.place,
		path:  "sys/capabilities-self",
		body:  map[string]any{"paths": paths},
		needs: "update",
	}
	a, err := s.conn.do(ctx, r)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, s.conn.because(r, ErrOdd)
	}
	granted := map[string]map[string]bool{}
	for _, path := range paths {
		granted[path] = map[string]bool{}
		list, _ := a.dig(path).([]any)
		for _, c := range list {
			if name, _ := c.(string); name != "" && name != "deny" {
				granted[path][name] = true
			}
		}
	}
	return granted, nil
}
