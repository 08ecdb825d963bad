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
	"path/filepath"
	"slices"
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

// A Ledger is Blnk's (model/ledger.go).
type Ledger struct {
	ID        string         `json:"ledger_id"`
	Name      string         `json:"name"`
	CreatedAt time.Time      `json:"created_at"`
	Meta      map[string]any `json:"meta_data"`
}

// Data is what Blnk keeps in its database (scoped keys, ledgers) and in Redis (hooks):
// it outlives a restart and is shared by all processes.
type Data struct {
	keys    table[APIKey]
	hooks   table[Hook]
	ledgers table[Ledger]
	// balances and transactions come from nobody but who writes the files.
	balances, transactions table[map[string]any]
}

// NewData keeps the data in memory.
func NewData() *Data { return &Data{} }

// OpenData keeps the data in files of dir, which several processes may use
// at once. They are made when there is something to keep.
func OpenData(dir string) *Data {
	return &Data{
		keys:    table[APIKey]{path: filepath.Join(dir, "apikeys.json")},
		hooks:   table[Hook]{path: filepath.Join(dir, "hooks.json")},
		ledgers: table[Ledger]{path: filepath.Join(dir, "ledgers.json")},

		balances:     table[map[string]any]{path: filepath.Join(dir, "balances.json")},
		transactions: table[map[string]any]{path: filepath.Join(dir, "transactions.json")},
	}
}

// A table is a list of things that outlives a process.
type table[T any] struct {
	path string // "" keeps it in memory

	mu     sync.Mutex
	memory []T
}

// all returns what there is.
func (t *table[T]) all() (rows []T, err error) {
	err = t.update(func(now []T) ([]T, error) {
		rows = slices.Clone(now)
		return nil, errUnchanged
	})
	return rows, err
}

// errUnchanged tells update that there is nothing to save; update returns nil.
var errUnchanged = errors.New("unchanged")

// update replaces what there is by what change makes of it, alone among all
// processes. change may be called twice.
func (t *table[T]) update(change func([]T) ([]T, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.change(change); !errors.Is(err, errUnchanged) {
		return err
	}
	return nil
}

func (t *table[T]) change(change func([]T) ([]T, error)) error {
	if t.path == "" {
		next, err := change(t.memory)
		if err == nil {
			t.memory = next
		}
		return err
	}
	f, err := t.open(change)
	if err != nil {
		return err
	}
	defer f.Close() // ends the lock too
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	var now []T
	decoder := json.NewDecoder(f)
	decoder.UseNumber() // of amounts
	if err := decoder.Decode(&now); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	next, err := change(now)
	if err != nil {
		return err
	}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	return err
}

// open makes the file only where change has something to save.
func (t *table[T]) open(change func([]T) ([]T, error)) (*os.File, error) {
	f, err := os.OpenFile(t.path, os.O_RDWR, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if _, err := change(nil); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(t.path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(t.path, os.O_RDWR|os.O_CREATE, 0o600)
}

// findKey looks a key up by its hash. Blnk uses its first 16 characters and
// bcrypt; SHA-256 does for random keys. A failure is an unknown key, as in
// Blnk.
func (d *Data) findKey(key string) (APIKey, bool) {
	keys, err := d.keys.all()
	at := slices.IndexFunc(keys, func(k APIKey) bool { return k.Key == hash(key) })
	if err != nil || at < 0 {
		return APIKey{}, false
	}
	return keys[at], true
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
