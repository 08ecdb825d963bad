package vault_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/store"
)

// TestPrevious: the key before is that of the version before those with the current
// one, and no older one where that is gone.
func TestPrevious(t *testing.T) {
	p := place("secret")
	s := as(t, shared, shared.RootToken).open("vault:" + p)
	want := func(key string) {
		t.Helper()
		got, since, err := s.Previous(t.Context())
		if key == "" {
			fails(t, err, store.ErrNotFound)
		}
		if got.Reveal() != key || since.IsZero() != (key == "") {
			t.Errorf("%s since %v, %v; want %q", got.Name(), since, err, key)
		}
	}
	fails(t, func() error { _, _, err := s.Previous(t.Context()); return err }(), store.ErrNotFound)
	fill(t, shared, p, map[string]any{"secret_key": thirdKe}) // 1
	want("")
	fill(t, shared, p, map[string]any{"secret_key": oldKey})             // 2
	fill(t, shared, p, map[string]any{"secret_key": oldKey, "n": 1})     // 3
	fill(t, shared, p, map[string]any{"secret_key": newKey, "n": 1})     // 4
	fill(t, shared, p, map[string]any{"secret_key": newKey, "n": "two"}) // 5: another field
	want(oldKey)
	do(t, shared, http.MethodPost, v2(p, "delete"), map[string]any{"versions": []int{3}})
	want("")
	do(t, shared, http.MethodPost, v2(p, "destroy"), map[string]any{"versions": []int{3}})
	_, _, err := s.Previous(t.Context())
	if err == nil || !strings.Contains(err.Error(), "version 3, the one before it, is deleted or holds none") {
		t.Error(err)
	}
}

// KV version 1 keeps nothing.
func TestPreviousVersion1(t *testing.T) {
	s := as(t, shared, shared.RootToken).open("vault:" + place("kv1"))
	at := put(t, s, oldKey, "")
	put(t, s, newKey, at)
	_, _, err := s.Previous(t.Context())
	fails(t, err, store.ErrNotFound)
}
