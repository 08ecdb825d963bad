package run

import (
	"slices"
	"sync"

	"github.com/blnkctl/blnkctl/secret"
)

// Keys are the keys that must not show in the output of commands, as they become
// known. Several goroutines may use them.
type Keys struct {
	mu   sync.Mutex
	keys []secret.Key
}

// Add adds keys.
func (k *Keys) Add(keys ...secret.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = append(k.keys, keys...)
}

// All returns them.
func (k *Keys) All() []secret.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys)
}
