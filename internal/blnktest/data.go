package blnktest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
)

// An APIKey is a scoped key (Blnk model/api_key.go). Key is the plaintext in
// the answer to the POST that made it, and a hash everywhere else.
type APIKey struct {
	ID         string     `json:"api_key_id"`
	Key        string     `json:"key"`
	Name       string     `json:"name"`
	Owner      string     `json:"owner_id"`
	Scopes     []string   `json:"scopes"`
	ExpiresAt  time.Time  `json:"expires_at"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt time.Time  `json:"last_used_at"`
	IsRevoked  bool       `json:"is_revoked"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
}

func (k APIKey) valid() bool { return !k.IsRevoked && time.Now().Before(k.ExpiresAt) }

// A Hook is a transaction hook (Blnk internal/hooks/types.go).
type Hook struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	URL         string    `json:"url"`
	Type        string    `json:"type"`
	Active      bool      `json:"active"`
	Timeout     int       `json:"timeout"`
	RetryCount  int       `json:"retry_count"`
	CreatedAt   time.Time `json:"created_at"`
	LastRun     time.Time `json:"last_run"`
	LastSuccess bool      `json:"last_success"`
}

// Data is what Blnk keeps in its database and in Redis: it outlives a restart
// and is shared by all processes.
type Data struct {
	path string // "" keeps it in memory

	mu     sync.Mutex
	memory content
}

type content struct {
	APIKeys []APIKey `json:"api_keys"`
	Hooks   []Hook   `json:"hooks"`
}

// NewData keeps the data in memory.
func NewData() *Data { return &Data{} }

// OpenData keeps the data in a file that several processes may use at once. It
// is made when there is something to keep.
func OpenData(path string) *Data { return &Data{path: path} }

// view hands a copy of the content to look. errUnchanged is never returned.
func (d *Data) view(look func(content)) error {
	return d.update(func(c *content) error { look(*c); return errUnchanged })
}

// errUnchanged tells update that there is nothing to save.
var errUnchanged = errors.New("unchanged")

// update changes the content, alone among all processes.
func (d *Data) update(change func(*content) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.path == "" {
		return ignoreUnchanged(change(&d.memory))
	}
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		var c content
		if err := change(&c); err != nil { // nothing to keep: no file
			return ignoreUnchanged(err)
		}
		f, err = os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err != nil {
		return err
	}
	defer f.Close() // ends the lock too
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	var c content
	if err := json.NewDecoder(f).Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := change(&c); err != nil {
		return ignoreUnchanged(err)
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	return err
}

func ignoreUnchanged(err error) error {
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// findKey looks a key up by its hash. Blnk uses its first 16 characters and
// bcrypt; SHA-256 does for random keys.
func (d *Data) findKey(key string) (found APIKey, ok bool) {
	err := d.view(func(c content) {
		for _, k := range c.APIKeys {
			if k.Key == hash(key) {
				found, ok = k, true
			}
		}
	})
	return found, ok && err == nil // a database failure is "unknown" in Blnk too
}

func hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "$sha256$" + hex.EncodeToString(sum[:])
}

// newKey is 32 random bytes, as Blnk's GenerateKey makes them.
func newKey() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.URLEncoding.EncodeToString(b)
}

func newID(kind string) string { return kind + "_" + rand.Text() }
