package vault_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/vault"
)

// destroyed returns which versions of a secret are.
func destroyed(t *testing.T, place string, versions int) string {
	t.Helper()
	metadata := do(t, shared, http.MethodGet, v2(place, "metadata"), nil)
	var list []string
	for n := 1; n <= versions; n++ {
		if metadata.Get("data", "versions", fmt.Sprint(n), "destroyed") == true {
			list = append(list, fmt.Sprint(n))
		}
	}
	return strings.Join(list, " ")
}

func TestPurge(t *testing.T) {
	p := place("secret")
	s := as(t, shared, shared.RootToken).open("vault:" + p)
	for _, f := range []map[string]any{
		{"secret_key": oldKey},                // 1
		{"secret_key": thirdKe},               // 2: an older key, not the dead one
		{"secret_key": 7},                     // 3: none
		{"other": "x"},                        // 4: none
		{"secret_key": oldKey, "other": "x"},  // 5
		{"secret_key": oldKey, "other": "y"},  // 6
		{"secret_key": newKey, "was": oldKey}, // 7: another field is not ours
		{"secret_key": newKey},                // 8: current
	} {
		fill(t, shared, p, f)
	}
	fails(t, s.Purge(t.Context(), secret.New(newKey)), store.ErrConflict)
	if got := destroyed(t, p, 8); got != "" {
		t.Fatalf("the current key as the dead one: destroyed %s", got)
	}
	if err := s.CheckPurge(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := s.Purge(t.Context(), secret.New(oldKey)); err != nil {
			t.Fatal(err)
		}
		if got := destroyed(t, p, 8); got != "1 5 6" {
			t.Fatalf("destroyed: %s", got)
		}
	}
	get(t, s, newKey)
	if err := s.Purge(t.Context(), secret.Key{}); err != nil || destroyed(t, p, 8) != "1 5 6" {
		t.Errorf("no key destroyed something, error %v", err)
	}
}

// What was deleted, but not destroyed, can be brought back.
func TestPurgeHidden(t *testing.T) {
	p := place("secret")
	s := as(t, shared, shared.RootToken).open("vault:" + p)
	for range 3 {
		fill(t, shared, p, map[string]any{"secret_key": oldKey})
	}
	do(t, shared, http.MethodPost, v2(p, "delete"), map[string]any{"versions": []int{2}})
	fill(t, shared, p, map[string]any{"secret_key": newKey})
	err := s.Purge(t.Context(), secret.New(oldKey))
	fails(t, err, vault.ErrHidden)
	if !strings.Contains(err.Error(), "(2)") || destroyed(t, p, 4) != "1 3" {
		t.Errorf("error %v, destroyed %s", err, destroyed(t, p, 4))
	}
	do(t, shared, http.MethodPost, v2(p, "destroy"), map[string]any{"versions": []int{2}})
	if err := s.Purge(t.Context(), secret.New(oldKey)); err != nil {
		t.Error(err)
	}
}

// KV version 1 keeps nothing.
func TestPurgeVersion1(t *testing.T) {
	s := as(t, shared, shared.RootToken).open("vault:" + place("kv1"))
	at := put(t, s, oldKey, "")
	put(t, s, newKey, at)
	if err := s.CheckPurge(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Purge(t.Context(), secret.New(oldKey)); err != nil {
		t.Error(err)
	}
	get(t, s, newKey)
}

// Versions that Vault has dropped itself end the search.
func TestPurgePruned(t *testing.T) {
	p := place("secret")
	do(t, shared, http.MethodPost, v2(p, "metadata"), map[string]any{"max_versions": 3})
	s := as(t, shared, shared.RootToken).open("vault:" + p)
	for i := range 6 {
		fill(t, shared, p, map[string]any{"secret_key": oldKey, "n": i})
	}
	fill(t, shared, p, map[string]any{"secret_key": newKey})
	if err := s.Purge(t.Context(), secret.New(oldKey)); err != nil {
		t.Fatal(err)
	}
	if got := destroyed(t, p, 7); got != "5 6" {
		t.Errorf("destroyed: %s", got)
	}
}
