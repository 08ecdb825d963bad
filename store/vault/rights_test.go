package vault_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/vaulttest"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/vault"
)

// rotation does what one does: looks, checks, writes, looks, purges.
func rotation(t *testing.T, s *vault.Store, p string) error {
	t.Helper()
	fill(t, shared, p, map[string]any{"secret_key": oldKey, "other": "1"})
	_, at, err := s.Get(t.Context())
	if err != nil {
		return err
	}
	if err := errors.Join(s.CheckPut(t.Context()), s.CheckPurge(t.Context())); err != nil {
		return err
	}
	if _, err := s.Put(t.Context(), secret.New(newKey), at); err != nil {
		return err
	}
	if _, _, err := s.Get(t.Context()); err != nil {
		return err
	}
	if _, err := s.Created(t.Context()); err != nil {
		return err
	}
	if _, err := s.Remarks(t.Context()); err != nil {
		return err
	}
	return s.Purge(t.Context(), secret.New(oldKey))
}

var capability = regexp.MustCompile(`"(read|update)"`)

// less returns the policy with one capability less, for each that it has.
func less(policy string) []string {
	var all []string
	for _, span := range capability.FindAllStringIndex(policy, -1) {
		all = append(all, policy[:span[0]]+`"list"`+policy[span[1]:])
	}
	return all
}

// The policy is enough for a rotation, and each of its capabilities is needed.
func TestPolicy(t *testing.T) {
	for _, mount := range []string{"secret", "kv1"} {
		p := place(mount)
		policy := as(t, shared, shared.RootToken).open("vault:" + p).Policy(t.Context())
		with := func(policy string) error {
			s := as(t, shared, token(t, shared, policy, vaulttest.TokenRequest{})).open("vault:" + p)
			return rotation(t, s, p)
		}
		if err := with(policy); err != nil {
			t.Errorf("%s: the policy is not enough: %v\n%s", mount, err, policy)
		}
		variants := less(policy)
		if want := map[string]int{"secret": 3, "kv1": 2}[mount]; len(variants) != want {
			t.Errorf("%s: %d capabilities, want %d:\n%s", mount, len(variants), want, policy)
		}
		for _, v := range variants {
			err := with(v)
			fails(t, err, vault.ErrDenied)
			if strings.Contains(err.Error(), "nothing is mounted") {
				t.Errorf("%s: error %v with\n%s", mount, err, v)
			}
		}
		// What rotate asks beforehand finds it all, before anything is written.
		for _, v := range variants {
			s := as(t, shared, token(t, shared, v, vaulttest.TokenRequest{})).open("vault:" + p)
			if errors.Join(s.CheckPut(t.Context()), s.CheckPurge(t.Context())) == nil {
				t.Errorf("%s: the checks pass with\n%s", mount, v)
			}
		}
	}
}

// Where Vault does not tell the mount, the policy says what it takes for granted,
// and why.
func TestPolicyUnasked(t *testing.T) {
	p := place("secret")
	none := token(t, shared, `path "elsewhere/*" { capabilities = ["read"] }`, vaulttest.TokenRequest{})
	for _, c := range []struct {
		why, ref string
		u        *user
	}{
		{vault.ErrUnreachable.Error(), "vault:" + p, &user{T: t, env: []string{"VAULT_ADDR=http://127.0.0.1:1", "VAULT_TOKEN=x", "VAULT_MAX_RETRIES=0"}}},
		{vault.ErrNoToken.Error(), "vault:" + p, as(t, shared, "")},
		{vault.ErrToken.Error(), "vault:" + p, as(t, shared, "hvs.notatoken")},
		{vault.ErrNoMount.Error(), "vault:nope/blnk", as(t, shared, shared.RootToken)},
		{vault.ErrDenied.Error(), "vault:" + p, as(t, shared, none)},
		{"not a KV secrets engine", "vault:cubbyhole/blnk", as(t, shared, shared.RootToken)},
	} {
		c.u.env = append(c.u.env, "VAULT_MAX_RETRIES=0")
		got := c.u.open(c.ref).Policy(t.Context())
		first, rest, _ := strings.Cut(got, "\n")
		place := strings.TrimPrefix(c.ref, "vault:")
		mount, path, _ := strings.Cut(place, "/")
		if !strings.HasPrefix(first, "# ") || !strings.Contains(first, c.why) || !strings.HasSuffix(first, ": this takes "+mount+"/ for a KV store of version 2.") {
			t.Errorf("%q; want %q", first, c.why)
		}
		for _, want := range []string{`path "` + mount + "/data/" + path + `"`, `path "` + mount + "/destroy/" + path + `"`} {
			if !strings.Contains(rest, want) {
				t.Errorf("%q is not in\n%s", want, got)
			}
		}
	}
	u := &user{T: t, env: []string{"VAULT_ADDR=http://127.0.0.1:1", "VAULT_TOKEN=x", "VAULT_MAX_RETRIES=0", "VAULT_NAMESPACE=pay"}}
	if got := u.open("vault:secret/blnk").Policy(t.Context()); !strings.Contains(got, "namespace pay") {
		t.Error(got)
	}
}

// The right to create is another one than that to update.
func TestCheckPutCreates(t *testing.T) {
	p := place("secret")
	limited := func(capabilities string) *vault.Store {
		policy := `path "` + v2(p, "data") + `" { capabilities = [` + capabilities + `] }`
		return as(t, shared, token(t, shared, policy, vaulttest.TokenRequest{})).open("vault:" + p)
	}
	creator, updater := limited(`"read", "create"`), limited(`"read", "update"`)
	fails(t, updater.CheckPut(t.Context()), vault.ErrDenied)
	_, err := updater.Put(t.Context(), secret.New(oldKey), "")
	fails(t, err, vault.ErrDenied)
	if err := creator.CheckPut(t.Context()); err != nil {
		t.Error(err)
	}
	put(t, creator, oldKey, "")
	err = creator.CheckPut(t.Context())
	fails(t, err, vault.ErrDenied)
	if want := `the capability "update" on "` + v2(p, "data") + `"`; !strings.Contains(err.Error(), want) {
		t.Errorf("error %v; want %s", err, want)
	}
	if err := updater.CheckPut(t.Context()); err != nil {
		t.Error(err)
	}
}

// Vault answers alike to a missing mount, a missing right and a bad token.
func TestCauses(t *testing.T) {
	p := place("secret")
	fill(t, shared, p, map[string]any{"secret_key": oldKey})
	rights := token(t, shared, `path "secret/*" { capabilities = ["read"] }
path "nowhere/*" { capabilities = ["read"] }`, vaulttest.TokenRequest{})
	none := token(t, shared, "", vaulttest.TokenRequest{})
	bare := token(t, shared, `path "secret/data/team/*" { capabilities = ["read"] }`, vaulttest.TokenRequest{NoDefault: true})
	for name, c := range map[string]struct {
		token, ref string
		want       error
		text       string
	}{
		"root, no mount":   {shared.RootToken, "vault:nowhere/blnk", vault.ErrNoMount, "nowhere/blnk"},
		"rights, no mount": {rights, "vault:nowhere/blnk", vault.ErrNoMount, "nowhere/blnk"},
		"no rights":        {none, "vault:" + p, vault.ErrDenied, "nothing is mounted"},
		"bad token":        {"hvs.notatoken", "vault:" + p, vault.ErrToken, "another Vault's"},
		"no default":       {bare, "vault:" + p, nil, ""},
		"not KV":           {shared.RootToken, "vault:cubbyhole/blnk", vault.ErrNotKV, `"cubbyhole"`},
		"no path":          {shared.RootToken, "vault:auth/approle", vault.ErrDenied, ""},
		"no such token":    {"", "vault:" + p, vault.ErrNoToken, "VAULT_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			s := as(t, shared, c.token).open(c.ref)
			_, _, err := s.Get(t.Context())
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if name == "no path" {
				if err == nil {
					t.Fatal("read an auth mount")
				}
				return
			}
			fails(t, err, c.want, shared.RootToken, rights, none)
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v; want %q", err, c.text)
			}
		})
	}
	// A right on the mount, but not on this secret.
	s := as(t, shared, rights).open("vault:" + p)
	_, err := s.Put(t.Context(), secret.New(newKey), get(t, s, oldKey))
	fails(t, err, vault.ErrDenied, rights)
	// A token without the policy "default" cannot be asked what it may do.
	fails(t, as(t, shared, bare).open("vault:"+p).CheckPut(t.Context()), vault.ErrDenied)
}

func TestNestedMount(t *testing.T) {
	do(t, shared, http.MethodPost, "sys/mounts/deep/er/kv", map[string]any{"type": "kv", "options": map[string]string{"version": "1"}})
	defer do(t, shared, http.MethodDelete, "sys/mounts/deep/er/kv", nil)
	s := as(t, shared, shared.RootToken).open("vault:deep/er/kv/blnk")
	put(t, s, oldKey, "")
	if got := do(t, shared, http.MethodGet, "deep/er/kv/blnk", nil).Text("data", "secret_key"); got != oldKey {
		t.Error("it is not where it should be")
	}
	_, _, err := as(t, shared, shared.RootToken).open("vault:deep/er/kv").Get(t.Context())
	fails(t, err, vault.ErrRefused)
	if policy := s.Policy(t.Context()); !strings.Contains(policy, `path "deep/er/kv/blnk"`) {
		t.Error(policy)
	}
}

// A rate limit is waited for, and named where it does not end.
func TestThrottled(t *testing.T) {
	server := vaulttest.Start(t, vaulttest.Options{})
	s := as(t, server, server.RootToken, "VAULT_MAX_RETRIES=0").open("vault:" + place("kv1"))
	at := put(t, s, oldKey, "")
	do(t, server, http.MethodPost, "sys/quotas/rate-limit/tight", map[string]any{"path": "kv1/", "rate": 1, "interval": "1h"})
	var err error
	for range 3 {
		_, err = s.Put(t.Context(), secret.New(newKey), at)
	}
	fails(t, err, vault.ErrThrottled, server.RootToken)
	// Asked again, after a while, it goes through.
	link := vaulttest.NewLink(t, server.Address)
	patient := as(t, server, server.RootToken, "VAULT_ADDR="+link.Address).open("vault:" + place("kv1"))
	asked := 0
	link.Strike(func(string, string) vaulttest.Fate {
		if asked++; asked == 2 {
			do(t, server, http.MethodDelete, "sys/quotas/rate-limit/tight", nil)
		}
		return vaulttest.Pass
	})
	put(t, patient, oldKey, "")
	if asked < 2 {
		t.Error("the rate limit was not met")
	}
}

// A token that ends in the middle of a rotation.
func TestTokenEnds(t *testing.T) {
	const policy = `path "secret/data/team/*" { capabilities = ["create", "read", "update"] }`
	p := place("secret")
	mortal := token(t, shared, policy, vaulttest.TokenRequest{})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(mortal+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := as(t, shared, "").open("vault:" + p + "?token-file=" + file)
	at := put(t, s, oldKey, "")
	if err := shared.Revoke(t.Context(), mortal); err != nil {
		t.Fatal(err)
	}
	_, err := s.Put(t.Context(), secret.New(newKey), at)
	fails(t, err, vault.ErrToken, mortal)
	// Somebody (Vault Agent, say) writes a new one into its file.
	fresh := token(t, shared, policy, vaulttest.TokenRequest{})
	if err := os.WriteFile(file, []byte(fresh), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, s, newKey, at)
	if err := shared.Revoke(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Get(t.Context())
	fails(t, err, vault.ErrToken, mortal, fresh)
}

// Where a token comes from, in the order of Vault's own command.
func TestTokenSources(t *testing.T) {
	p := place("secret")
	fill(t, shared, p, map[string]any{"secret_key": oldKey})
	home := t.TempDir()
	reads := func(ref string, opt store.Options, env ...string) error {
		u := &user{T: t, opt: opt, env: append([]string{"VAULT_ADDR=" + shared.Address, "HOME=" + home}, env...)}
		_, _, err := u.open(ref).Get(t.Context())
		return err
	}
	ref := "vault:" + p
	fails(t, reads(ref, store.Options{}), vault.ErrNoToken)
	if err := os.WriteFile(filepath.Join(home, ".vault-token"), []byte(shared.RootToken), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := "VAULT_TOKEN=hvs.bad"
	for name, err := range map[string]error{
		"helper's file": reads(ref, store.Options{}),
		"variable":      reads(ref, store.Options{}, "HOME=/nonexistent", "VAULT_TOKEN="+shared.RootToken),
		"the last one":  reads(ref, store.Options{}, bad, "VAULT_TOKEN="+shared.RootToken),
		"option file":   reads(ref+"?token-file=.vault-token", store.Options{Dir: home}, bad),
		"option env":    reads(ref+"?token-env=OTHER", store.Options{}, bad, "OTHER="+shared.RootToken),
		"input":         reads(ref+"?token-file=-", store.Options{Stdin: strings.NewReader(shared.RootToken + "\n")}, bad),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, reads(ref, store.Options{}, bad), vault.ErrToken, "hvs.bad")
	fails(t, reads(ref+"?token-env=OTHER", store.Options{}), vault.ErrNoToken)
	fails(t, reads(ref+"?token-file=/nonexistent/x", store.Options{}), vault.ErrNoToken)
	fails(t, reads(ref+"?token-file="+empty, store.Options{}), vault.ErrNoToken)
	fails(t, reads(ref+"?token-file=-", store.Options{}), vault.ErrNoToken)
}
