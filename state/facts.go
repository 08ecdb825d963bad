package state

import (
	"encoding/json"
	"fmt"
	"time"
)

// Facts are what is remembered of a target between rotations. Times are UTC;
// the zero time means never. There is no key in them.
type Facts struct {
	// Key is the fingerprint of the key that the facts speak of; "" where
	// none is known, or for a weak key, which has none.
	Key string `json:"key,omitempty"`
	// ProvedAt is when the last rotation to Key was proved. The clock of "is a
	// rotation due" starts here.
	ProvedAt time.Time `json:"proved_at,omitzero"`
	// SeenAt is when a Key that blnkctl did not make was first seen
	// (adopted), and its clock started.
	SeenAt time.Time `json:"seen_at,omitzero"`
	// Rotation is the ID of the last rotation that ended, LastOutcome how.
	Rotation    string `json:"rotation,omitempty"`
	LastOutcome string `json:"last_outcome,omitempty"`
	// Failures counts the rotations that were put back since the last proved
	// one, FailedAt is when the last of them ended, and FailedRefs a digest of
	// the references it was run with: other ones reset the waiting.
	Failures   int       `json:"failures,omitempty"`
	FailedAt   time.Time `json:"failed_at,omitzero"`
	FailedRefs string    `json:"failed_refs,omitempty"`
	// Behind are the references of write-only copies that could not be written
	// and so may hold another key.
	Behind []string `json:"behind,omitempty"`
}

// LoadFacts returns what SaveFacts saved; the zero Facts where there is
// nothing; ErrDamaged or ErrOtherVersion (wrapped) where the file cannot be
// read as it was written.
func (t *Target) LoadFacts() (Facts, error) {
	var facts Facts
	path := t.file(factsName)
	body, err := load(path, factsName)
	if err != nil {
		return Facts{}, fmt.Errorf("load facts: %w", err)
	}
	if body == nil {
		return Facts{}, nil
	}
	if err := json.Unmarshal(body, &facts); err != nil {
		// Not the decoder's error: it may quote the file.
		return Facts{}, fmt.Errorf("load facts: %s: %w", path, ErrDamaged)
	}
	return facts, nil
}

// SaveFacts replaces the facts, durably.
func (t *Target) SaveFacts(facts Facts) error {
	body, err := json.Marshal(facts)
	if err != nil {
		return fmt.Errorf("save facts: %w", err)
	}
	if err := t.save(factsName, append(body, '\n')); err != nil {
		return fmt.Errorf("save facts: %w", err)
	}
	return nil
}
