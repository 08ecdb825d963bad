package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/secret"
)

const previousName = "previous"

// A Previous is the key that a rotation replaced, kept for a while so that there is a
// way back. Times are UTC; the zero time means not known. The zero Previous is none.
type Previous struct {
	Key secret.Key
	// Fingerprint is that of Key, "" for a weak one.
	Fingerprint string
	// ProvedAt and SeenAt are as in History, of Key.
	ProvedAt, SeenAt time.Time
	// KeptAt is when it was replaced, Until when the way back ends.
	KeptAt, Until time.Time
	// Next is the fingerprint of the key that took its place.
	Next string
	// Target is what the rotation worked on, as the one who saves it writes that down.
	Target []byte
}

// IsZero says that no key is kept.
func (p Previous) IsZero() bool { return p.Key.IsZero() }

// Ended says that it is not to be kept any longer: its time is up, or a clock that
// jumped back would make it longer.
func (p Previous) Ended(now time.Time) bool { return !now.Before(p.Until) || now.Before(p.KeptAt) }

// A keptKey is a Previous on the disk, where the key stands in clear text.
type keptKey struct {
	Key         string          `json:"key"`
	Fingerprint string          `json:"fingerprint,omitempty"`
	ProvedAt    time.Time       `json:"proved_at,omitzero"`
	SeenAt      time.Time       `json:"seen_at,omitzero"`
	KeptAt      time.Time       `json:"kept_at"`
	Until       time.Time       `json:"until"`
	Next        string          `json:"next,omitempty"`
	Target      json.RawMessage `json:"target,omitempty"`
}

// SavePrevious replaces the key that is kept, durably. Fingerprint is made of Key.
func (t *Target) SavePrevious(p Previous) error {
	body, err := json.Marshal(keptKey{p.Key.Reveal(), p.Key.Fingerprint(), p.ProvedAt, p.SeenAt, p.KeptAt, p.Until, p.Next, p.Target})
	if err != nil {
		return fmt.Errorf("save %s: %w", previousName, err)
	}
	return t.save(previousName, append(body, '\n'))
}

// LoadPrevious returns what SavePrevious saved, ended or not; the zero Previous where no
// key is kept; ErrDamaged or ErrOtherVersion (wrapped) where the file cannot be read as
// it was written.
func (t *Target) LoadPrevious() (Previous, error) {
	body, err := t.load(previousName)
	if err != nil || body == nil {
		return Previous{}, err
	}
	var k keptKey
	if json.Unmarshal(body, &k) != nil { // its error may quote the file
		return Previous{}, fmt.Errorf("load %s: %s: %w", previousName, t.file(previousName), ErrDamaged)
	}
	return Previous{secret.New(k.Key), k.Fingerprint, k.ProvedAt, k.SeenAt, k.KeptAt, k.Until, k.Next, k.Target}, nil
}

// ForgetPrevious removes the key that is kept, and what a crash while saving one left
// beside it; where there is none, that is no error. It is durable when it returns nil.
func (t *Target) ForgetPrevious() error { return t.forget(previousName) }

// PurgePrevious removes the keys, of all targets, that have ended by now, those that are
// compromised, and what nobody can read again. It is for everybody who opens the folder, and has no error: what
// cannot be removed by this user, or while a rotation is at work, the next one removes.
func (d *Dir) PurgePrevious(now time.Time) {
	folder := filepath.Join(d.path, targetsName)
	entries, _ := readDir(folder)
	for _, e := range entries {
		t := &Target{dir: d, path: filepath.Join(folder, e.Name())}
		if t.keepsEnded(now) {
			t.purge(now)
		}
	}
}

// purge looks again under the lock: a rotation may just have kept another one.
func (t *Target) purge(now time.Time) {
	unlock, err := t.lockExisting(context.Background(), 0)
	if err != nil {
		return
	}
	defer unlock()
	if t.keepsEnded(now) {
		_ = os.Remove(t.file(previousName)) // one that a crash brings back goes with the next run
	}
}

// keepsEnded says whether a key is kept that should not be.
func (t *Target) keepsEnded(now time.Time) bool {
	if _, err := os.Lstat(t.file(previousName)); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	p, err := t.LoadPrevious()
	if err != nil {
		return errors.Is(err, ErrDamaged)
	}
	known, _ := t.dir.Compromised().Has(p.Key)
	return known || p.Ended(now)
}

// forget removes a sealed file of the target, durably.
func (t *Target) forget(name string) error {
	path := t.file(name)
	// The stale copy first: as long as the file stands, a crash in between is followed
	// by another try.
	for _, step := range []func() error{
		func() error { return atomicfile.Discard(path) },
		func() error { return os.Remove(path) },
		func() error { return atomicfile.SyncDir(t.path) },
	} {
		if err := step(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget %s: %w", name, err)
		}
	}
	return nil
}
