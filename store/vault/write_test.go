package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/blnkctl/blnkctl/internal/vaulttest"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/vault"
)

// writes is a fate for the first n writes; all else passes.
func writes(n int, fate vaulttest.Fate) func(method, path string) vaulttest.Fate {
	return func(method, path string) vaulttest.Fate {
		if method != http.MethodPut || !strings.Contains(path, "/team/") || n == 0 {
			return vaulttest.Pass
		}
		n--
		return fate
	}
}

// A write whose answer was lost is looked at before it is repeated: with a
// blind repetition, the check-and-set would fail with our own write.
func TestLostAnswer(t *testing.T) {
	for _, mount := range []string{"secret", "kv1"} {
		for name, c := range map[string]struct {
			fate   vaulttest.Fate
			times  int
			writes int // that the server may see
		}{
			"answer":             {vaulttest.LoseAnswer, 1, 1},
			"question":           {vaulttest.LoseAsk, 1, 2},
			"question and again": {vaulttest.LoseAsk, 2, 3},
			"bad gateway":        {vaulttest.Echo, 1, 2},
		} {
			t.Run(mount+" "+name, func(t *testing.T) {
				link := vaulttest.NewLink(t, shared.Address)
				p := place(mount)
				s := as(t, shared, shared.RootToken, "VAULT_ADDR="+link.Address).open("vault:" + p)
				fill(t, shared, p, map[string]any{"secret_key": oldKey, "other": "1"})
				at := get(t, s, oldKey)
				link.Strike(writes(c.times, c.fate))
				v := put(t, s, newKey, at)
				n := 0
				for _, r := range link.Seen() {
					if strings.HasPrefix(r, "PUT ") {
						n++
					}
				}
				if n != c.writes {
					t.Errorf("%d writes, want %d: %v", n, c.writes, link.Seen())
				}
				if get(t, s, newKey) != v || mount == "secret" && number(t, shared, p) != "2" {
					t.Errorf("put returned the version %q", v)
				}
				if fields(t, shared, p)["other"] != "1" {
					t.Error("the other field is gone")
				}
			})
		}
	}
}

// A write that was thought lost arrives late, just before its repetition.
func TestLateWrite(t *testing.T) {
	link := vaulttest.NewLink(t, shared.Address)
	p := place("secret")
	s := as(t, shared, shared.RootToken, "VAULT_ADDR="+link.Address).open("vault:" + p)
	at := put(t, s, oldKey, "")
	writes := 0
	link.Strike(func(method, _ string) vaulttest.Fate {
		if method != http.MethodPut {
			return vaulttest.Pass
		}
		if writes++; writes == 1 {
			return vaulttest.LoseAsk
		}
		fill(t, shared, p, map[string]any{"secret_key": newKey})
		return vaulttest.Pass
	})
	put(t, s, newKey, at)
	if n := number(t, shared, p); n != "2" || writes != 2 {
		t.Errorf("version %s after %d writes", n, writes)
	}
}

// A lost answer does not hide that somebody else was faster.
func TestLostAnswerAndConflict(t *testing.T) {
	link := vaulttest.NewLink(t, shared.Address)
	p := place("secret")
	s := as(t, shared, shared.RootToken, "VAULT_ADDR="+link.Address).open("vault:" + p)
	fill(t, shared, p, map[string]any{"secret_key": oldKey})
	at := get(t, s, oldKey)
	link.Strike(func(method, path string) vaulttest.Fate {
		if method != http.MethodPut {
			return vaulttest.Pass
		}
		fill(t, shared, p, map[string]any{"secret_key": thirdKe})
		return vaulttest.LoseAsk
	})
	_, err := s.Put(t.Context(), secret.New(newKey), at)
	fails(t, err, store.ErrConflict)
	get(t, s, thirdKe)
}

// Vault does not come back: the error says so, and is none of a decision that
// nobody could take.
func TestLostForGood(t *testing.T) {
	link := vaulttest.NewLink(t, shared.Address)
	p := place("secret")
	s := as(t, shared, shared.RootToken, "VAULT_ADDR="+link.Address, "VAULT_MAX_RETRIES=0").open("vault:" + p)
	at := put(t, s, oldKey, "")
	link.Strike(func(method, _ string) vaulttest.Fate { return vaulttest.LoseAsk })
	_, err := s.Put(t.Context(), secret.New(newKey), at)
	fails(t, err, vault.ErrUnreachable, shared.RootToken)
	link.Strike(writes(99, vaulttest.LoseAsk))
	_, err = s.Put(t.Context(), secret.New(newKey), at)
	fails(t, err, vault.ErrUnreachable, shared.RootToken)
	link.Strike(nil)
	put(t, s, newKey, get(t, s, oldKey))
}

// A gateway that sends back what it got: its page is in no error.
func TestEcho(t *testing.T) {
	link := vaulttest.NewLink(t, shared.Address)
	s := as(t, shared, shared.RootToken, "VAULT_ADDR="+link.Address, "VAULT_MAX_RETRIES=0").open("vault:" + place("secret"))
	at := put(t, s, oldKey, "")
	link.Strike(writes(99, vaulttest.Echo))
	_, err := s.Put(t.Context(), secret.New(newKey), at)
	fails(t, err, vault.ErrOdd, shared.RootToken)
	link.Strike(func(string, string) vaulttest.Fate { return vaulttest.Echo })
	_, _, err = s.Get(t.Context())
	fails(t, err, vault.ErrOdd, shared.RootToken)
}

// What Vault says is shown, but for what it was shown: it quotes a request that
// it does not understand.
func TestQuotes(t *testing.T) {
	p := place("secret")
	writes := 0
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(r.URL.Path, "/internal/"):
			_, _ = w.Write([]byte(`{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`))
			return
		case strings.Contains(r.URL.Path, "/data/") && r.Method == http.MethodGet:
			_, _ = w.Write([]byte(`{"data":{"data":{"secret_key":"` + oldKey + `","other":"neighbour-secret"},"metadata":{"version":1}}}`))
			return
		case strings.HasSuffix(r.URL.Path, "/lookup-self"):
			_, _ = w.Write([]byte(`{"data":{"ttl":0}}`))
			return
		}
		if strings.Contains(r.URL.Path, "/data/") {
			writes++
		}
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{"what is\nthis:", string(body), r.Header.Get("X-Vault-Token")}})
	}))
	defer front.Close()
	u := &user{T: t, env: []string{"VAULT_ADDR=" + front.URL, "VAULT_TOKEN=hvs.right-token", "VAULT_ROLE_ID=role-of-anna"}}
	s := u.open("vault:" + p)
	_, err := s.Put(t.Context(), secret.New(newKey), store.VersionOf(secret.New(oldKey)))
	fails(t, err, vault.ErrRefused, "hvs.right-token", "neighbour-secret")
	if writes != 1 {
		t.Errorf("%d writes of what Vault refuses", writes)
	}
	err = s.CheckPut(t.Context())
	fails(t, err, vault.ErrRefused, "hvs.right-token", "neighbour-secret")
	if !strings.Contains(err.Error(), "what is this:") {
		t.Errorf("error %v does not quote Vault", err)
	}
	_, _, err = u.open("vault:" + p + "?auth=approle").Get(t.Context())
	fails(t, err, vault.ErrLogin, "role-of-anna")
}

// What holds the key may quote it to who asks: neither a key that was read shows, nor a
// word of which nobody here knows whether it is one.
func TestQuotesTheKey(t *testing.T) {
	known, other, reads := "not-long-0123456789ab", "c0ffee.0123456789abcdef0123456789abcdef", 0
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/internal/"):
			_, _ = w.Write([]byte(`{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}`))
			return
		case reads == 0:
			_, _ = w.Write([]byte(`{"data":{"data":{"secret_key":"` + known + `"},"metadata":{"version":1}}}`))
		default:
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{"what is: " + known, "or ('" + other + "')?"}})
		}
		reads++
	}))
	defer front.Close()
	s := (&user{T: t, env: []string{"VAULT_ADDR=" + front.URL, "VAULT_TOKEN=hvs.right-token"}}).open("vault:" + place("secret"))
	get(t, s, known)
	_, _, err := s.Get(t.Context())
	fails(t, err, vault.ErrRefused, known, other)
	if !strings.Contains(err.Error(), "what is:") {
		t.Errorf("error %v does not quote Vault", err)
	}
}

// Of many who write at one time with check-and-set, one gets through, and the
// others know.
func TestManyWriters(t *testing.T) {
	p := place("secret")
	fill(t, shared, p, map[string]any{"secret_key": oldKey})
	u := as(t, shared, shared.RootToken)
	const writers = 8
	errs := make([]error, writers)
	stores := make([]*vault.Store, writers)
	for i := range writers {
		stores[i] = u.open("vault:" + p)
		get(t, stores[i], oldKey)
	}
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() {
			_, errs[i] = s.Put(t.Context(), secret.New(newKey+string(rune('a'+i))), store.VersionOf(secret.New(oldKey)))
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			fails(t, err, store.ErrConflict)
		}
	}
	if won != 1 {
		t.Errorf("%d writers got through", won)
	}
	if n := number(t, shared, p); n != "2" {
		t.Errorf("version %s", n)
	}
}

// A neighbour that is changed in the very moment of the write survives.
func TestNeighbourInTheMoment(t *testing.T) {
	link := vaulttest.NewLink(t, shared.Address)
	p := place("secret")
	s := as(t, shared, shared.RootToken, "VAULT_ADDR="+link.Address).open("vault:" + p)
	fill(t, shared, p, map[string]any{"secret_key": oldKey, "other": "1"})
	at := get(t, s, oldKey)
	var once sync.Once
	link.Strike(func(method, _ string) vaulttest.Fate {
		if method == http.MethodPut {
			once.Do(func() { fill(t, shared, p, map[string]any{"secret_key": oldKey, "other": "2"}) })
		}
		return vaulttest.Pass
	})
	put(t, s, newKey, at)
	if n := number(t, shared, p); n != "3" {
		t.Errorf("version %s", n)
	}
	if fields(t, shared, p)["other"] != "2" {
		t.Error("the neighbour did not survive")
	}
}

// A context that ends in the middle of a write ends it.
func TestCancelledInTheMiddle(t *testing.T) {
	link := vaulttest.NewLink(t, shared.Address)
	s := as(t, shared, shared.RootToken, "VAULT_ADDR="+link.Address).open("vault:" + place("secret"))
	at := put(t, s, oldKey, "")
	ctx, cancel := context.WithCancel(t.Context())
	link.Strike(func(method, _ string) vaulttest.Fate {
		if method == http.MethodPut {
			cancel()
			return vaulttest.LoseAsk
		}
		return vaulttest.Pass
	})
	_, err := s.Put(ctx, secret.New(newKey), at)
	fails(t, err, context.Canceled)
	if slices.Contains(link.Seen()[2:], "PUT") {
		t.Error("it went on")
	}
	get(t, s, oldKey)
}

// Vault is sealed in the middle of a rotation: the write fails with that
// cause, and after unsealing, everything goes on.
func TestSeal(t *testing.T) {
	server := vaulttest.Start(t, vaulttest.Options{})
	link := vaulttest.NewLink(t, server.Address)
	p := place("secret")
	s := as(t, server, server.RootToken, "VAULT_ADDR="+link.Address, "VAULT_MAX_RETRIES=0").open("vault:" + p)
	fill(t, server, p, map[string]any{"secret_key": oldKey, "other": "1"})
	at := get(t, s, oldKey)
	var once sync.Once
	link.Strike(func(method, _ string) vaulttest.Fate {
		if method == http.MethodPut {
			once.Do(func() {
				if err := server.Seal(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		return vaulttest.Pass
	})
	_, err := s.Put(t.Context(), secret.New(newKey), at)
	fails(t, err, vault.ErrSealed, server.RootToken)
	_, _, err = s.Get(t.Context())
	fails(t, err, vault.ErrSealed, server.RootToken)
	fails(t, s.CheckPut(t.Context()), vault.ErrSealed, server.RootToken)
	if got := as(t, server, server.RootToken).open("vault:" + p).Policy(t.Context()); !strings.Contains(got, vault.ErrSealed.Error()) {
		t.Error(got)
	}
	_, _, err = as(t, server, server.RootToken).open("vault:" + p).Get(t.Context()) // that has no mount in its memory
	fails(t, err, vault.ErrSealed, server.RootToken)

	link.Strike(nil)
	if err := server.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seen := get(t, s, oldKey); seen != at {
		t.Errorf("version %q, before %q", seen, at)
	}
	put(t, s, newKey, at)
	if fields(t, server, p)["other"] != "1" {
		t.Error("the other field is gone")
	}
	direct := as(t, server, server.RootToken).open("vault:" + p) // with the usual repetitions
	get(t, direct, newKey)
	server.Stop()
	_, _, err = direct.Get(t.Context())
	fails(t, err, vault.ErrUnreachable, server.RootToken)
}

// A standby sends its clients to the active server: on another host, but at the
// same port, as all servers of a cluster usually are.
func TestStandby(t *testing.T) {
	server := vaulttest.Start(t, vaulttest.Options{Standby: true})
	target, err := url.Parse(server.Standby)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	if front.Listener, err = net.Listen("tcp", "[::1]:"+port(server.Address)); err != nil {
		front.Listener, err = net.Listen("tcp", "127.0.0.2:"+port(server.Address))
	}
	if err != nil {
		t.Fatal(err)
	}
	front.Start()
	defer front.Close()
	s := as(t, server, server.RootToken, "VAULT_ADDR="+front.URL).open("vault:" + place("secret"))
	at := put(t, s, oldKey, "")
	put(t, s, newKey, get(t, s, oldKey))
	put(t, s, oldKey, get(t, s, newKey))

	still := as(t, server, server.RootToken, "VAULT_ADDR="+front.URL, "VAULT_DISABLE_REDIRECTS=true").open("vault:" + place("secret"))
	_, _, err = still.Get(t.Context())
	fails(t, err, vault.ErrOdd, server.RootToken)
	if errors.Is(err, store.ErrNotFound) {
		t.Error("a redirect that is not followed looks like an empty place")
	}
	_, err = still.Put(t.Context(), secret.New(newKey), at)
	fails(t, err, vault.ErrOdd, server.RootToken)

	// The standby itself is at another port than the active server.
	_, _, err = as(t, server, server.RootToken, "VAULT_ADDR="+server.Standby).open("vault:" + place("secret")).Get(t.Context())
	fails(t, err, vault.ErrElsewhere, server.RootToken)
	if !strings.Contains(err.Error(), server.Address) {
		t.Errorf("error %v does not name the active server", err)
	}
}

// What servers say that are no active ones, in Vault's words.
func TestIll(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		health string
		want   error
		text   string
	}{
		"no active server": {500, `{"initialized":true,"sealed":false,"standby":true}`, vault.ErrStandby, "on standby"},
		"secondary":        {472, `{"initialized":true,"sealed":false,"standby":false,"replication_dr_mode":"secondary"}`, vault.ErrStandby, "disaster recovery"},
		"new":              {503, `{"initialized":false,"sealed":true,"standby":true}`, vault.ErrSealed, "never initialized"},
		"sealed":           {503, `{"initialized":true,"sealed":true,"standby":true}`, vault.ErrSealed, ""},
		"healthy":          {500, `{"initialized":true,"sealed":false,"standby":false}`, vault.ErrRefused, "HTTP 500, words of it"},
		"no health":        {502, `<html>`, vault.ErrRefused, "HTTP 502"},
	} {
		t.Run(name, func(t *testing.T) {
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/sys/health" {
					_, _ = io.WriteString(w, c.health)
					return
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, `{"errors":["words of it"]}`)
			}))
			defer front.Close()
			u := &user{T: t, env: []string{"VAULT_ADDR=" + front.URL, "VAULT_TOKEN=hvs.right-token", "VAULT_MAX_RETRIES=0"}}
			_, _, err := u.open("vault:secret/blnk").Get(t.Context())
			fails(t, err, c.want, "hvs.right-token")
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v; want %q", err, c.text)
			}
		})
	}
}
