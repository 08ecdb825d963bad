package supervise

import (
	"context"
	"errors"
	"fmt"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A Source is where the key stands; every store.Store is one. Get may be
// called from another goroutine than the caller's, never from two at once.
type Source interface {
	Get(ctx context.Context) (secret.Key, store.Version, error)
	String() string
}

var _ Source = store.Store(nil)

// ErrUnusable: no client could send the key, so that a server that is started
// with it would lock everyone out.
var ErrUnusable = errors.New("the key cannot be used")

// Read reads the key of a source. ErrUnusable (wrapped) where it cannot be
// sent; a weak one is returned like any other. Other errors are the source's.
func Read(ctx context.Context, from Source) (secret.Key, error) {
	key, _, err := from.Get(ctx)
	if err != nil {
		return secret.Key{}, err
	}
	if !blnk.Sendable(key) {
		return secret.Key{}, fmt.Errorf("%s: %w: it is empty, has white space at an end or holds a control character, and no client can send that", from, ErrUnusable)
	}
	return key, nil
}

// weakness says what is wrong with a key that works, or "".
func weakness(key secret.Key) string {
	for _, f := range keygen.Check(key) {
		if f.Severity >= keygen.Weak {
			return f.Text
		}
	}
	return ""
}
