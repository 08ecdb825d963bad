package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/flock"
)

const (
	targetsName = "targets"
	lockName    = "lock"
	restartName = "restart"
	journalName = "journal"
	factsName   = "facts"
)

// A Target is the part of the state that belongs to one target: what a
// rotation replaces a key of, named after its first store.
//
// Its methods may be called by several processes; who changes something holds
// the lock.
type Target struct {
	dir  *Dir
	path string
}

// Target returns the target that ref names: a canonical reference with
// absolute paths, so that one target is always the same folder. Nothing is
// made yet.
func (d *Dir) Target(ref string) *Target {
	sum := sha256.Sum256([]byte(ref))
	name := slug(ref) + "-" + hex.EncodeToString(sum[:4])
	return &Target{dir: d, path: filepath.Join(d.path, targetsName, name)}
}

// slug is the part of a folder's name that a person recognizes. It keeps the
// end of ref, which says more than its beginning.
func slug(ref string) string {
	const longest = 60
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		default:
			return '-'
		}
	}, ref)
	clean = clean[max(0, len(clean)-longest):]
	return strings.Trim(clean, "-.")
}

// Path is the absolute path of the target's folder, which may not exist.
func (t *Target) Path() string { return t.path }

// RestartLock is the path of a file for flock.Share: the commands that restart
// the target hold it, whoever started them. It need not exist.
func (t *Target) RestartLock() string { return t.file(restartName) }

func (t *Target) file(name string) string { return filepath.Join(t.path, name) }

// make makes the folders down to the target's.
func (t *Target) make() error {
	if err := t.dir.Make(); err != nil {
		return err
	}
	if err := makeDir(t.path); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	return nil
}

// Check says whether the journal could be written, as Dir.Check does, for the
// target's own folder.
func (t *Target) Check() error { return checkWritable(t.path) }

// Lock keeps other blnkctl processes away from the target until unlock is
// called or the process ends. It waits at most wait; a lock that somebody else
// holds is a *flock.HeldError. A half written journal that a crash left is
// removed: there are keys in it, and whoever has the lock next may have no
// journal to write.
func (t *Target) Lock(ctx context.Context, wait time.Duration) (unlock func(), err error) {
	if err := t.make(); err != nil {
		return nil, err
	}
	if unlock, err = t.lock(ctx, wait); err != nil {
		return nil, err
	}
	if err := atomicfile.Discard(t.file(journalName)); err != nil {
		unlock()
		return nil, fmt.Errorf("lock target: %w", err)
	}
	return unlock, nil
}

func (t *Target) lock(ctx context.Context, wait time.Duration) (func(), error) {
	unlock, err := flock.Lock(ctx, t.file(lockName), wait)
	if err != nil {
		return nil, fmt.Errorf("lock target: %w", err)
	}
	return unlock, nil
}

// LockExisting is Lock for who may change nothing: where the target has never
// been locked there is nobody to keep away, and nothing is made.
func (t *Target) LockExisting(ctx context.Context, wait time.Duration) (unlock func(), err error) {
	switch _, err := os.Lstat(t.file(lockName)); {
	case errors.Is(err, fs.ErrNotExist):
		return func() {}, nil
	case err != nil:
		return nil, fmt.Errorf("lock target: %w", err)
	}
	return t.lock(ctx, wait)
}

// LoadJournal returns what SaveJournal saved, nil where there is no journal,
// ErrDamaged or ErrOtherVersion (wrapped) where there is one that cannot be
// read as it was written.
func (t *Target) LoadJournal() ([]byte, error) {
	body, err := load(t.file(journalName), journalName)
	if err != nil {
		return nil, fmt.Errorf("load journal: %w", err)
	}
	return body, nil
}

// SaveJournal replaces the journal. When it returns nil the journal is on the
// disk; after an error there is the one that stood there before, or none, or,
// where only the folder could not be synced, the new one.
func (t *Target) SaveJournal(body []byte) error {
	if err := t.save(journalName, body); err != nil {
		return fmt.Errorf("save journal: %w", err)
	}
	return nil
}

// ForgetJournal removes the journal, and what a crash while saving one may
// have left beside it. It is no error where there is none. The removal is
// durable when it returns nil.
func (t *Target) ForgetJournal() error {
	path := t.file(journalName)
	// The stale copy first: as long as the journal stands, a crash in between
	// is followed by another ForgetJournal.
	if err := atomicfile.Discard(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget journal: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget journal: %w", err)
	}
	if err := atomicfile.SyncDir(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget journal: %w", err)
	}
	return nil
}

// save writes a sealed file of the target, whole or not at all.
func (t *Target) save(name string, body []byte) error {
	if err := t.make(); err != nil {
		return err
	}
	return atomicfile.Replace(t.file(name), seal(name, body), atomicfile.Private())
}
