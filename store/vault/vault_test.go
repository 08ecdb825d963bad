package vault_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/vaulttest"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/storetest"
	"github.com/blnkctl/blnkctl/store/vault"
)

func TestStore(t *testing.T) {
	for _, mount := range []string{"secret", "kv1"} {
		t.Run(mount, func(t *testing.T) {
			storetest.Run(t,
				func(t *testing.T) store.Store { return as(t, shared, shared.RootToken).open("vault:" + place(mount)) },
				func(t *testing.T, s store.Store) store.Store {
					return as(t, shared, shared.RootToken).open(s.String())
				})
		})
	}
}

func TestReferences(t *testing.T) {
	env := []string{"VAULT_ADDR=https://vault.example:8200/", "VAULT_NAMESPACE=/teams/pay/", "HOME=/home/x"}
	for _, c := range []struct{ ref, want, fault string }{
		{"vault:secret/blnk", "vault:secret/blnk#secret_key?address=https://vault.example:8200&namespace=teams/pay", ""},
		{"vault:secret/blnk#other?namespace=a&address=http://127.0.0.1:1", "vault:secret/blnk#other?address=http://127.0.0.1:1&namespace=a", ""},
		{"vault:secret/blnk?auth=approle&role-id-file=role&secret-id-env=X", "vault:secret/blnk#secret_key?address=https://vault.example:8200&auth=approle&namespace=teams/pay&role-id-file=/srv/role&secret-id-env=X", ""},
		{"vault:secret/blnk?auth=token&token-file=-", "vault:secret/blnk#secret_key?address=https://vault.example:8200&namespace=teams/pay&token-file=-", ""},
		{"vault:secret/blnk?auth=jwt&jwt-audience=a%253A%26b", "vault:secret/blnk#secret_key?address=https://vault.example:8200&auth=jwt&jwt-audience=a%253A%26b&namespace=teams/pay", ""},
		{"vault:secret", "", "MOUNT/PATH"},
		{"vault:", "", "MOUNT/PATH"},
		{"vault:/secret/blnk", "", "'/' too many"},
		{"vault:secret/blnk/", "", "'/' too many"},
		{"vault:secret/../sys/seal", "", `".."`},
		{"vault:secret/*", "", "policy"},
		{"vault:secret/+/x", "", `"+"`},
		{"vault:secret/a\tb", "", "printable"},
		{"vault:secret/blnk?tokn=1", "", `unknown option "tokn"`},
		{"vault:secret/blnk?token=hvs.topsecret", "", `option "token": a secret is never part of a reference; token-file=PATH or token-env=VARIABLE says where it is`},
		{"vault:secret/blnk?auth=approle&secret-id=topsecret", "", `secret-id-file=PATH or secret-id-env=VARIABLE says where it is`},
		{"vault:secret/blnk?auth=approle&secret_id=topsecret", "", `option "secret_id": a secret is never part of a reference; secret-id-file=PATH`},
		{"vault:secret/blnk?auth=none", "vault:secret/blnk#secret_key?address=https://vault.example:8200&auth=none&namespace=teams/pay", ""},
		{"vault:secret/blnk?auth=none&token-env=X", "", `unknown option "token-env"`},
		{"vault:secret/blnk?auth=userpass", "", "unknown login (known: approle, jwt, kubernetes, none, token)"},
		{"vault:secret/blnk?jwt=topsecret", "", `(with auth=jwt or kubernetes)`},
		{"vault:secret/blnk?auth=topsecret", "", "unknown login"},
		{"vault:secret/blnk?token-env=hvs.topsecret", "", `option "token-env": want the name of a variable`},
		{"vault:secret/blnk?address=https://x?token=topsecret", "", `"https://x…"`},
		{"vault:secret/blnk?role=1", "", `unknown option "role"`},
		{"vault:secret/blnk?auth=ldap", "", "unknown login"},
		{"vault:secret/blnk?auth=kubernetes", "", `needs the option "role"`},
		{"vault:secret/blnk?auth=approle&auth-mount=a/../b", "", "auth-mount"},
		{"vault:secret/blnk?auth=approle&role-id-file=-&secret-id-file=-", "", "standard input"},
		{"vault:secret/blnk?token-file=a&token-env=b", "", "one of them"},
		{"vault:secret/blnk?address=", "", "one value"},
		{"vault:secret/blnk?address=ftp://x", "", "https://HOST:PORT"},
		{"vault:secret/blnk?address=https://u:topsecret@x", "", "not supported"},
		{"vault:secret/blnk?address=http://10.1.2.3:8200", "", "plain http"},
	} {
		u := &user{T: t, env: env, opt: store.Options{Dir: "/srv"}}
		s, err := u.try(c.ref)
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: error %v; want %q", c.ref, err, c.fault)
			}
			if err != nil && strings.Contains(err.Error(), "topsecret") {
				t.Errorf("%s: error %v shows a secret", c.ref, err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.ref, err)
		case s.String() != c.want:
			t.Errorf("%s: %s; want %s", c.ref, s, c.want)
		}
	}
	u := &user{T: t, env: env, opt: store.Options{DefaultField: "tokenization_secret"}}
	if got := u.open("vault:secret/blnk").String(); !strings.Contains(got, "#tokenization_secret?") {
		t.Errorf("default field: %s", got)
	}
	u.opt.AllowPlaintext = true
	u.open("vault:secret/blnk?address=http://10.1.2.3:8200")
}

func TestIdentity(t *testing.T) {
	u := &user{T: t, env: []string{"VAULT_ADDR=https://Vault.example"}}
	id := func(ref string) string { return store.Identity(u.open(ref)) }
	first := id("vault:secret/blnk")
	for ref, same := range map[string]bool{
		"vault:secret/blnk#secret_key":                              true,
		"vault:secret/blnk?address=https://vault.example:443/":      true,
		"vault:secret/blnk?auth=approle&role-id-env=A":              true,
		"vault:secret/blnk#Secret_Key":                              false, // Vault minds the letter case
		"vault:secret/blnk?namespace=a":                             false,
		"vault:secret/blnk?address=https://vault.example:8200":      false,
		"vault:secret/blnk2":                                        false,
		"vault:secret/blnk?address=https://vault.example/elsewhere": false,
	} {
		if (id(ref) == first) != same {
			t.Errorf("%s: the same place: %v; want %v", ref, !same, same)
		}
	}
	if id("vault:a/secret/blnk") != id("vault:secret/blnk?namespace=a") {
		t.Error("a namespace in the path and one in the option are two places")
	}
}

// Everything else in the secret stays as it is, numbers to the last digit.
func TestOtherFieldsStay(t *testing.T) {
	for _, mount := range []string{"secret", "kv1"} {
		p := place(mount)
		fill(t, shared, p, map[string]any{
			"secret_key": oldKey,
			"big":        json.Number("12345678901234567890123"),
			"real":       json.Number("1.10"),
			"nested":     map[string]any{"a": []any{true, nil, "x<>&"}},
			"empty":      "",
		})
		before := fields(t, shared, p) // KV version 2 itself makes floats of numbers
		s := as(t, shared, shared.RootToken).open("vault:" + p)
		put(t, s, newKey, get(t, s, oldKey))
		before["secret_key"] = newKey
		if after := fields(t, shared, p); !reflect.DeepEqual(after, before) {
			t.Errorf("%s: the other fields have changed: %v, before: %v", mount, after, before)
		}
	}
}

// A Version speaks of the key alone: a neighbour that somebody else changes is
// no conflict, and survives.
func TestNeighbourChanges(t *testing.T) {
	for _, mount := range []string{"secret", "kv1"} {
		p := place(mount)
		fill(t, shared, p, map[string]any{"secret_key": oldKey, "other": "1"})
		s := as(t, shared, shared.RootToken).open("vault:" + p)
		at := get(t, s, oldKey)
		fill(t, shared, p, map[string]any{"secret_key": oldKey, "other": "2"})
		put(t, s, newKey, at)
		want := map[string]any{"secret_key": newKey, "other": "2"}
		if after := fields(t, shared, p); !reflect.DeepEqual(after, want) {
			t.Errorf("%s: the neighbour did not survive", mount)
		}
		if v := s.Swaps(); v != (mount == "secret") {
			t.Errorf("%s: Swaps is %v", mount, v)
		}
	}
}

// A place may hold a secret without the key in many ways.
func TestNoKey(t *testing.T) {
	p := place("secret")
	u := as(t, shared, shared.RootToken)
	s := u.open("vault:" + p)
	absent := func(why string) {
		t.Helper()
		_, v, err := s.Get(t.Context())
		fails(t, err, store.ErrNotFound)
		if v != "" || !strings.Contains(err.Error(), why) {
			t.Errorf("version %q, error %v; want %q", v, err, why)
		}
	}
	absent("no such secret")
	fill(t, shared, p, map[string]any{"other": "1"})
	absent(`no field "secret_key"`)
	put(t, s, oldKey, "") // creates the field beside the other
	if len(fields(t, shared, p)) != 2 {
		t.Error("the other field is gone")
	}
	fill(t, shared, p, map[string]any{"secret_key": nil})
	absent(`no field`)
	fill(t, shared, p, map[string]any{"secret_key": ""})
	absent(`no field`)
	do(t, shared, http.MethodDelete, v2(p, "data"), nil)
	absent("version 4 is deleted")
	put(t, s, newKey, "") // a check-and-set of 0 would fail here
	if n := number(t, shared, p); n != "5" {
		t.Errorf("version %s", n)
	}
	do(t, shared, http.MethodPut, v2(p, "destroy"), map[string]any{"versions": []int{5}})
	absent("version 5 is deleted")
	put(t, s, thirdKe, "")
	fill(t, shared, p, map[string]any{"secret_key": 17})
	_, _, err := s.Get(t.Context())
	fails(t, err, store.ErrNotSafe)
	_, err = s.Put(t.Context(), secret.New(newKey), store.VersionOf(secret.New(thirdKe)))
	fails(t, err, store.ErrNotSafe)

	// The path of the API is refused, so that no key is written where nobody looks.
	p = place("secret")
	wrong := u.open("vault:" + v2(p, "data"))
	_, _, err = wrong.Get(t.Context())
	if err == nil || errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), `without "data/"`) || !strings.Contains(hint.Of(err), "--store 'vault:"+p+"#") {
		t.Errorf("the path of the API: %v, hint %q", err, hint.Of(err))
	}
	if _, err := wrong.Put(t.Context(), secret.New(newKey), ""); err == nil || wrong.CheckPut(t.Context()) == nil {
		t.Error("a key may be written to the path of the API")
	}
	// Unless such a secret is there.
	fill(t, shared, "secret/data/"+strings.TrimPrefix(p, "secret/"), map[string]any{"secret_key": oldKey})
	get(t, wrong, oldKey)
}

// Created is the first sighting of the key, not the last write of the secret.
func TestCreated(t *testing.T) {
	p := place("secret")
	s := as(t, shared, shared.RootToken).open("vault:" + p)
	if _, err := s.Created(t.Context()); err == nil {
		t.Error("created where there is no key")
	}
	fill(t, shared, p, map[string]any{"secret_key": oldKey})
	fill(t, shared, p, map[string]any{"secret_key": 5})
	fill(t, shared, p, map[string]any{"secret_key": newKey})
	metadata := do(t, shared, http.MethodGet, v2(p, "metadata"), nil)
	want := metadata.Text("data", "versions", "3", "created_time")
	fill(t, shared, p, map[string]any{"secret_key": newKey, "other": "1"})
	fill(t, shared, p, map[string]any{"secret_key": newKey, "other": "2"})
	got, err := s.Created(t.Context())
	if err != nil || got.Format(time.RFC3339Nano) != want || time.Since(got) > time.Hour {
		t.Errorf("created %v, error %v; want %s", got, err, want)
	}
	old := as(t, shared, shared.RootToken).open("vault:" + place("kv1"))
	put(t, old, oldKey, "")
	if got, err := old.Created(t.Context()); err != nil || !got.IsZero() {
		t.Errorf("KV version 1: created %v, error %v", got, err)
	}
}

// A time from the future proves no age.
func TestCreatedInTheFuture(t *testing.T) {
	created := ""
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/internal/"):
			_, _ = w.Write([]byte(`{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`))
		case strings.HasSuffix(r.URL.Path, "/lookup-self"):
			_, _ = w.Write([]byte(`{"data":{"ttl":0}}`))
		default:
			_, _ = w.Write([]byte(`{"data":{"data":{"secret_key":"` + oldKey + `"},"metadata":{"version":1,"created_time":"` + created + `"}}}`))
		}
	}))
	defer front.Close()
	for _, future := range []bool{false, true} {
		at := time.Now().Add(-time.Hour).UTC()
		if future {
			at = at.AddDate(1, 0, 0)
		}
		created = at.Format(time.RFC3339Nano)
		s := (&user{T: t, env: []string{"VAULT_ADDR=" + front.URL, "VAULT_TOKEN=x"}}).open("vault:secret/blnk")
		got, err := s.Created(t.Context())
		if err != nil || got.IsZero() != future {
			t.Errorf("created %v, error %v", got, err)
		}
		remarks, err := s.Remarks(t.Context())
		if err != nil || strings.Contains(strings.Join(remarks, ""), "from the future") != future {
			t.Errorf("remarks %q, error %v", remarks, err)
		}
	}
}

func TestRemarks(t *testing.T) {
	remarks := func(s *vault.Store) string {
		t.Helper()
		list, err := s.Remarks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(list, "\n")
	}
	plain := place("secret")
	fill(t, shared, plain, map[string]any{"secret_key": oldKey})
	if got := remarks(as(t, shared, shared.RootToken).open("vault:" + plain)); got != "" {
		t.Errorf("nothing to say, but: %s", got)
	}
	one := as(t, shared, shared.RootToken).open("vault:" + place("kv1"))
	if got := remarks(one); !strings.Contains(got, "no check-and-set") {
		t.Errorf("KV version 1: %q", got)
	}
	do(t, shared, http.MethodPost, v2(plain, "metadata"), map[string]any{"delete_version_after": "1h"})
	fill(t, shared, plain, map[string]any{"secret_key": newKey})
	short := token(t, shared, `path "secret/*" { capabilities = ["read"] }`, vaulttest.TokenRequest{TTL: 5 * time.Minute, Fixed: true, Uses: 9})
	got := remarks(as(t, shared, short, "VAULT_SKIP_VERIFY=1").open("vault:" + plain))
	for _, want := range []string{"delete_version_after", "VAULT_SKIP_VERIFY", "does not renew it", "requests only"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in: %s", want, got)
		}
	}
	hidesAll(t, got, short)
}
