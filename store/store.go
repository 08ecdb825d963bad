// Package store is the idea of a place that holds one key: a field of a
// configuration file, a variable of an env file, a secret of a secret manager.
//
// It stands under those who make stores (store/X, one package per place) and
// under those who use them (the engine, the commands). It knows no place
// itself: the table of schemes is made in cmd, where all floors meet.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/blnkctl/blnkctl/secret"
)

// Errors that a caller takes a decision on. Stores wrap them.
var (
	// ErrNotFound: the place holds no key.
	ErrNotFound = errors.New("no key there")
	// ErrConflict: the place does not hold what the caller saw there.
	ErrConflict = errors.New("changed by someone else")
	// ErrNotSafe: the place cannot be edited without guessing (not JSON, a
	// duplicate name, a directory, too large, ...). Nothing was changed.
	ErrNotSafe = errors.New("refused")
)

// A Version names the state in which a place was seen. It is opaque, compared
// only by the store that made it, and never shown. The zero Version means that
// there was no key.
type Version string

// VersionOf is the Version of a place that has no versions of its own: that of
// the key alone; "" for no key.
func VersionOf(key secret.Key) Version {
	if key.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(key.Reveal()))
	return Version(hex.EncodeToString(sum[:]))
}

// A Store is one place that holds one key.
//
// Get returns the key and the Version it was seen at, or ErrNotFound (wrapped)
// where there is none. An empty value is no key.
//
// Put writes next if the place still is as it was at the Version given, and
// returns the new Version; otherwise it returns ErrConflict (wrapped) and
// changes nothing. The zero Version creates, and only where there is no key.
// What was written is durable when Put returns nil. After any other error the
// place holds the old key or the new one, whole; Get tells which.
//
// A Version speaks of the key alone: a neighbour of it that somebody else
// changes in the meantime is no conflict, and survives the Put.
//
// String returns the canonical reference of the place, with absolute paths,
// fit to be opened again later: never the key.
//
// Methods may be called from one goroutine at a time.
type Store interface {
	Get(ctx context.Context) (secret.Key, Version, error)
	Put(ctx context.Context, next secret.Key, at Version) (Version, error)
	String() string
}

// A Checker can tell, without an effect, whether a Put would be allowed and
// has room: the preflight of a rotation and the whole of --dry-run.
type Checker interface {
	CheckPut(ctx context.Context) error
}

// A Locker has a folder or file whose kernel lock keeps other blnkctl
// processes away from the place, whatever state folder or user they have. The
// lock belongs to the kernel, so that a crash leaves nothing behind. Set.Lock
// takes it.
type Locker interface {
	LockPath() (string, error)
}

// A Repairer puts right what a crashed Put of an earlier process left: a file
// torn in the middle of a write in place, a temporary file. It is called with
// the lock held, before the first Get, and changes nothing where there is
// nothing to mend.
type Repairer interface {
	Repair(ctx context.Context) error
}

// An Identifier tells places apart whatever path led to them: stores of equal
// identity are the same place. It is an error text's business never to show
// it. A store without it is identified by String.
type Identifier interface {
	Identity() string
}

// A Swapper's Put is a real compare-and-swap among all writers, not only among
// blnkctl processes. The engine writes such stores first, so that of two hosts
// only one gets past the first write. Swaps says so with the mount or version
// at hand.
type Swapper interface {
	Swaps() bool
}

// Identity returns what tells the place of s from others.
func Identity(s Store) string {
	if i, ok := s.(Identifier); ok {
		return i.Identity()
	}
	return s.String()
}
