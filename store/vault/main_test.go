package vault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/internal/vaulttest"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/vault"
)

// Tests that do not harm the server share one. Each has secrets of its own.
var shared *vaulttest.Server

func TestMain(m *testing.M) {
	if err := needs.Vault().Missing(); err != nil {
		fmt.Fprintln(os.Stderr, "all tests are skipped:", err)
		if needs.Vault().Required() {
			os.Exit(1)
		}
		os.Exit(0)
	}
	server, err := vaulttest.Launch(context.Background(), vaulttest.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared = server
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

// Keys of the tests; no text of the store may hold them.
const (
	oldKey  = "vault-old-Kq7ZpW3xVb9T5sJdE2uA"
	newKey  = "vault-new-Hc5RmY8dLf2NqXo4iG6w"
	thirdKe = "vault-third-Jx4GtS6wQz1PvB8nC3m"
)

var places atomic.Int64

// place is a path in a mount that no other test uses.
func place(mount string) string { return fmt.Sprintf("%s/team/blnk-%d", mount, places.Add(1)) }

// v2 turns a place into the path of its data.
func v2(place, kind string) string {
	return strings.Replace(place, "secret/", "secret/"+kind+"/", 1)
}

// A user is somebody with an environment.
type user struct {
	*testing.T
	env []string
	opt store.Options
}

// as is a user of the server with a token. More variables go before its own.
func as(t *testing.T, s *vaulttest.Server, token string, more ...string) *user {
	return &user{T: t, env: append(s.Env(t.TempDir(), token), more...)}
}

// open opens a reference.
func (u *user) open(ref string) *vault.Store {
	u.Helper()
	s, err := u.try(ref)
	if err != nil {
		u.Fatal(err)
	}
	return s
}

func (u *user) try(text string) (*vault.Store, error) {
	u.Helper()
	r, err := ref.Parse(text)
	if err != nil {
		u.Fatal(err)
	}
	// Vault's own client reads the environment of the process.
	for _, v := range append(vaultVariables(), u.env...) {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "VAULT_") {
			u.Setenv(name, value)
		}
	}
	opt := u.opt
	opt.Env = u.env
	if opt.Dir == "" {
		opt.Dir = u.TempDir()
	}
	return vault.New(r, opt)
}

// vaultVariables are those of this process, without a value.
func vaultVariables() []string {
	var names []string
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "VAULT_") {
			names = append(names, name+"=")
		}
	}
	return names
}

// do is a request as root.
func do(t *testing.T, s *vaulttest.Server, method, path string, body any) vaulttest.Answer {
	t.Helper()
	answer, err := s.Do(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// fill writes a whole secret as somebody else would.
func fill(t *testing.T, s *vaulttest.Server, place string, fields map[string]any) {
	t.Helper()
	if strings.HasPrefix(place, "kv1/") {
		do(t, s, http.MethodPost, place, fields)
		return
	}
	do(t, s, http.MethodPost, v2(place, "data"), map[string]any{"data": fields})
}

// fields reads a whole secret as somebody else would.
func fields(t *testing.T, s *vaulttest.Server, place string) map[string]any {
	t.Helper()
	if strings.HasPrefix(place, "kv1/") {
		m, _ := do(t, s, http.MethodGet, place, nil).Get("data").(map[string]any)
		return m
	}
	m, _ := do(t, s, http.MethodGet, v2(place, "data"), nil).Get("data", "data").(map[string]any)
	return m
}

// number is that of the current version of a secret of KV version 2.
func number(t *testing.T, s *vaulttest.Server, place string) string {
	t.Helper()
	return fmt.Sprint(do(t, s, http.MethodGet, v2(place, "metadata"), nil).Get("data", "current_version"))
}

// token makes a token with a policy of its own.
func token(t *testing.T, s *vaulttest.Server, policy string, r vaulttest.TokenRequest) string {
	t.Helper()
	if policy != "" {
		name := fmt.Sprintf("policy-%d", places.Add(1))
		if err := s.SetPolicy(t.Context(), name, policy); err != nil {
			t.Fatal(err)
		}
		r.Policies = append(r.Policies, name)
	}
	token, err := s.NewToken(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func put(t *testing.T, s *vault.Store, key string, at store.Version) store.Version {
	t.Helper()
	v, err := s.Put(t.Context(), secret.New(key), at)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func get(t *testing.T, s *vault.Store, want string) store.Version {
	t.Helper()
	key, v, err := s.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !key.Equal(secret.New(want)) {
		t.Fatal("another key than the one wanted")
	}
	return v
}

// fails asserts an error, and that its text holds none of the secrets.
func fails(t *testing.T, err, want error, secrets ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v; want %v", err, want)
	}
	hidesAll(t, err.Error(), secrets...)
}

func hidesAll(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, s := range append(secrets, oldKey, newKey, thirdKe) {
		for _, form := range secret.New(s).Encodings() {
			if strings.Contains(text, form) {
				t.Fatal("a text holds a secret")
			}
		}
	}
}
