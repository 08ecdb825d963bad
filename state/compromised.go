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
// empty file, so that none is lost where two processes add one.
//
// A strong key has its fingerprint for a name. A weak one could be guessed from
// that, so it has a salted and slow hash, in a folder that is private anyway.
type Compromised struct{ dir *Dir }

// Compromised returns the list of the folder. Nothing is made yet.
func (d *Dir) Compromised() Compromised { return Compromised{d} }

func (c Compromised) path() string { return filepath.Join(c.dir.path, "compromised") }

// Add adds keys, durably; zero ones are none.
func (c Compromised) Add(keys ...secret.Key) error {
	for _, key := range keys {
		if there, err := c.Has(key); there || key.IsZero() || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		name := named(key)
		if name == "" {
			salt := make([]byte, 16)
			_, _ = rand.Read(salt) // never fails (Go 1.24 on)
			name = slowName(key, hex.EncodeToString(salt))
		}
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
	return nil
}

// Has says whether one of the keys is among them.
func (c Compromised) Has(keys ...secret.Key) (bool, error) {
	entries, err := readDir(c.path())
	if err != nil {
		return false, fmt.Errorf("read which keys are compromised: %w", err)
	}
	for _, e := range entries {
		salt, isSlow := strings.CutPrefix(e.Name(), slowPrefix)
		salt, _, _ = strings.Cut(salt, "-")
		if slices.ContainsFunc(keys, func(key secret.Key) bool {
			name := named(key)
			return e.Name() == name || name == "" && isSlow && !key.IsZero() && e.Name() == slowName(key, salt)
		}) {
			return true, nil
		}
	}
	return false, nil
}

// named is the name of a strong key, "" for a weak one.
func named(key secret.Key) string { return strings.ReplaceAll(key.Fingerprint(), ":", "-") }

const slowPrefix = "pbkdf2-"

// slowName takes a tenth of a second or so, as OWASP's Password Storage Cheat Sheet
// wants it.
func slowName(key secret.Key, salt string) string {
	sum, err := pbkdf2.Key(sha256.New, key.Reveal(), []byte(salt), 600_000, 16)
	if err != nil { // no system that blnkctl runs on has such a policy
		return ""
	}
	return slowPrefix + salt + "-" + hex.EncodeToString(sum)
}
