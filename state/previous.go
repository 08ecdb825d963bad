package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/secret"
)

const previousName = "previous"

// A Previous is the key that a rotation replaced, kept for a while so that there is a
// way back. Times are UTC; the zero time means not known. The zero Previous is none.
type Previous struct {
	Key secret.Key `json:"-"` // see keptKey
	// ProvedAt and SeenAt are as in History, of Key.
	ProvedAt time.Time `json:"proved_at,omitzero"`
	SeenAt   time.Time `json:"seen_at,omitzero"`
	// KeptAt is when it was replaced, Until when the way back ends.
	KeptAt time.Time `json:"kept_at"`
	Until  time.Time `json:"until"`
	// Next is the Mark of the key that took its place.
	Next string `json:"next,omitempty"`
	// Target is what the rotation worked on, as the one who saves it writes that down.
	Target json.RawMessage `json:"target,omitempty"`
}

// IsZero says that no key is kept.
func (p Previous) IsZero() bool { return p.Key.IsZero() }

// Ended says that it is not to be kept any longer: its time is up, or a clock that
// jumped back would make it longer.
func (p Previous) Ended(now time.Time) bool { return !now.Before(p.Until) || now.Before(p.KeptAt) }

// A keptKey is a Previous on the disk, where the key stands in clear text.
type keptKey struct {
	Text        string `json:"key"`
	Fingerprint string `json:"fingerprint,omitempty"` // for who looks into the file
	Previous
}

// SavePrevious replaces the key that is kept, durably.
func (t *Target) SavePrevious(p Previous) error {
	return t.saveJSON(previousName, keptKey{p.Key.Reveal(), p.Key.Fingerprint(), p})
}

// LoadPrevious returns what SavePrevious saved, ended or not; the zero Previous where no
// key is kept; ErrDamaged or ErrOtherVersion (wrapped) where the file cannot be read as
// it was written.
func (t *Target) LoadPrevious() (Previous, error) {
	k, err := loadJSON[keptKey](t, previousName)
	k.Key = secret.New(k.Text)
	return k.Previous, err
}

// ForgetPrevious removes the key that is kept, and what a crash while saving one left
// beside it; where there is none, that is no error. It is durable when it returns nil.
func (t *Target) ForgetPrevious() error { return t.forget(previousName) }

// PurgePrevious removes the keys, of all targets, that have ended by now, those that are
// compromised, and what nobody can read again. It is for everybody who opens the folder, and has no error: what
// cannot be removed by this user, or while a rotation is at work, the next one removes.
// Whether a weak key is compromised takes long to find out, and is left to Compromised.Add.
func (d *Dir) PurgePrevious(now time.Time) {
	d.purge(func(p Previous) bool {
		known := false
		if p.Key.Fingerprint() != "" {
			known, _ = d.Compromised().Has(p.Key)
		}
		return known || p.Ended(now)
	})
}

// purge removes the previous keys that should not be kept.
func (d *Dir) purge(should func(Previous) bool) {
	folder := filepath.Join(d.path, targetsName)
	entries, _ := readDir(folder)
	for _, e := range entries {
		t := &Target{dir: d, path: filepath.Join(folder, e.Name())}
		if !t.keeps(should) {
			continue
		}
		if unlock, err := t.lockExisting(context.Background(), 0); err == nil {
			if t.keeps(should) { // a rotation may just have kept another one
				_ = t.ForgetPrevious()
			}
			unlock()
		}
	}
}

// keeps says whether a key is kept for which that is so, or one that nobody can read.
func (t *Target) keeps(so func(Previous) bool) bool {
	p, err := t.LoadPrevious()
	return errors.Is(err, ErrDamaged) || err == nil && !p.IsZero() && so(p)
}

// forget removes a sealed file of the target, durably.
func (t *Target) forget(name string) error {
	err := t.within(func(folder *atomicfile.Dir) error { return folder.Remove(name) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget %s: %w", name, err)
	}
	return nil
}

// within does something in the target's folder.
func (t *Target) within(do func(folder *atomicfile.Dir) error) error {
	folder, err := atomicfile.OpenDir(t.path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return do(folder)
}
