package state

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/secret"
)

// Compromised are the keys that others are known to have, of all targets: whatever
// becomes of a target, none of them is put in force again. Each is the name of an
// empty file (its Mark), so that none is lost where two processes add one.
type Compromised struct{ dir *Dir }

// Compromised returns the list of the folder. Nothing is made yet.
func (d *Dir) Compromised() Compromised { return Compromised{d} }

func (c Compromised) path() string { return filepath.Join(c.dir.path, "compromised") }

// Add adds keys, durably; zero ones are none. Where one of them is kept as the previous key
// of a target that nobody works on, it is removed there.
func (c Compromised) Add(keys ...secret.Key) error {
	for _, key := range keys {
		if there, err := c.Has(key); there || key.IsZero() || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		name := strings.ReplaceAll(Mark(key), ":", "-")
		err := c.dir.Make()
		if err == nil {
			err = atomicfile.MakeDir(c.path())
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(c.path(), name), nil, 0o600)
		}
		if err == nil {
			err = atomicfile.SyncDir(c.path())
		}
		if err != nil {
			return fmt.Errorf("remember that a key is compromised: %w", err)
		}
	}
	c.dir.purge(func(p Previous) bool { return slices.ContainsFunc(keys, p.Key.Equal) })
	return nil
}

// Has says whether one of the keys is among them.
func (c Compromised) Has(keys ...secret.Key) (bool, error) {
	entries, err := readDir(c.path())
	if err != nil {
		return false, fmt.Errorf("read which keys are compromised: %w", err)
	}
	for _, e := range entries {
		mark := strings.Replace(e.Name(), "sha256-", "sha256:", 1)
		if slices.ContainsFunc(keys, func(key secret.Key) bool { return Marks(mark, key) }) {
			return true, nil
		}
	}
	return false, nil
}

const slowPrefix = "pbkdf2-"

// Mark is what a key is told by without being kept: the fingerprint of a strong one. A weak
// one could be guessed from that, and has a salted and slow hash.
func Mark(key secret.Key) string {
	if fingerprint := key.Fingerprint(); fingerprint != "" {
		return fingerprint
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails (Go 1.24 on)
	return slowMark(key, hex.EncodeToString(salt))
}

// Marks says whether a Mark is that of a key, which takes as long as making one where both
// are of a weak key.
func Marks(mark string, key secret.Key) bool {
	salt, slow := strings.CutPrefix(mark, slowPrefix)
	if fingerprint := key.Fingerprint(); fingerprint != "" || key.IsZero() || !slow {
		return fingerprint != "" && mark == fingerprint
	}
	salt, _, _ = strings.Cut(salt, "-")
	return mark == slowMark(key, salt)
}

// slowMark takes a tenth of a second or so, as OWASP's Password Storage Cheat Sheet
// wants it.
func slowMark(key secret.Key, salt string) string {
	sum, err := pbkdf2.Key(sha256.New, key.Reveal(), []byte(salt), 600_000, 16)
	if err != nil { // no system that blnkctl runs on has such a policy
		return ""
	}
	return slowPrefix + salt + "-" + hex.EncodeToString(sum)
}
