package vault_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/internal/vaulttest"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/vault"
)

func TestTLS(t *testing.T) {
	server := vaulttest.Start(t, vaulttest.Options{TLS: true, ClientCerts: true})
	ca, err := os.ReadFile(server.CACert)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	port := server.Address[strings.LastIndex(server.Address, ":"):]
	for name, c := range map[string]struct {
		env  []string
		want error
		text string
	}{
		"as it is":     {nil, nil, ""},
		"CA folder":    {[]string{"VAULT_CACERT=", "VAULT_CAPATH=" + folder}, nil, ""},
		"CA bytes":     {[]string{"VAULT_CACERT=", "VAULT_CACERT_BYTES=" + string(ca)}, nil, ""},
		"not verified": {[]string{"VAULT_CACERT=", "VAULT_SKIP_VERIFY=true"}, nil, ""},
		"server name":  {[]string{"VAULT_TLS_SERVER_NAME=vault.test"}, nil, ""},
		"no CA":        {[]string{"VAULT_CACERT="}, vault.ErrTLS, "unknown authority"},
		"other name":   {[]string{"VAULT_TLS_SERVER_NAME=vault.elsewhere"}, vault.ErrTLS, "another host name"},
		"plain http":   {[]string{"VAULT_ADDR=http://127.0.0.1" + port}, vault.ErrOdd, "HTTP 400"},
	} {
		t.Run(name, func(t *testing.T) {
			s := as(t, server, server.RootToken, c.env...).open("vault:" + place("secret"))
			if c.want == nil {
				works(t, s)
				return
			}
			refused(t, s, c.want, c.text, server.RootToken)
		})
	}
	// With TLS 1.3 the server's word comes after the handshake, and may come
	// after the end of the connection.
	without := as(t, server, server.RootToken, "VAULT_CLIENT_CERT=", "VAULT_CLIENT_KEY=").open("vault:" + place("secret"))
	_, _, err = without.Get(t.Context())
	if !errors.Is(err, vault.ErrTLS) {
		fails(t, err, vault.ErrUnreachable, server.RootToken)
	}
	plain := as(t, shared, shared.RootToken, "VAULT_ADDR=https"+strings.TrimPrefix(shared.Address, "http")).open("vault:" + place("secret"))
	refused(t, plain, vault.ErrTLS, "does not speak TLS", shared.RootToken)
	_, _, err = plain.Get(t.Context())
	if text := hint.Of(err); !strings.Contains(text, "http://") || strings.Contains(text, "VAULT_CACERT") {
		t.Errorf("hint %q", text)
	}
}

// Variables that cannot be meant are refused at the opening, by name only.
func TestBadVariables(t *testing.T) {
	for _, c := range []string{
		"VAULT_SKIP_VERIFY=perhaps", "VAULT_DISABLE_REDIRECTS=perhaps", "VAULT_CLIENT_TIMEOUT=soon",
		"VAULT_CLIENT_TIMEOUT=-1s", "VAULT_MAX_RETRIES=many", "VAULT_HEADERS=secret-text",
		`VAULT_HEADERS={"X-Vault-Token":"secret-text"}`, "VAULT_CACERT=/nonexistent", "VAULT_CLIENT_CERT=/nonexistent",
	} {
		name, value, _ := strings.Cut(c, "=")
		u := &user{T: t, env: []string{c}}
		_, err := u.try("vault:secret/blnk")
		if err == nil || name != "VAULT_CACERT" && name != "VAULT_CLIENT_CERT" && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		} else if strings.Contains(err.Error(), "secret-text") || strings.Contains(err.Error(), value) && !strings.HasPrefix(value, "/") {
			t.Errorf("%s: the error shows the value", name)
		}
	}
}

// Of the environment, what is Vault's counts, but for a proxy and for wrapped
// answers; its token goes out as the reference says.
func TestEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	var got http.Header
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":[]}`))
	}))
	defer front.Close()
	u := &user{T: t, env: []string{
		"VAULT_ADDR=" + front.URL, "VAULT_TOKEN=hvs.wrong", "OTHER=hvs.right", "VAULT_NAMESPACE=pay/", `VAULT_HEADERS={"X-Right":"1"}`,
		"VAULT_WRAP_TTL=60s", "VAULT_PROXY_ADDR=http://127.0.0.1:1", "VAULT_SRV_LOOKUP=true",
	}}
	_, _, err := u.open("vault:secret/blnk?token-env=OTHER").Get(t.Context())
	fails(t, err, vault.ErrOdd, "hvs.right")
	for name, want := range map[string]string{
		"X-Vault-Token": "hvs.right", "X-Vault-Namespace": "pay", "X-Vault-Request": "true", "X-Right": "1", "X-Vault-Wrap-Ttl": "",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: %q; want %q", name, got.Get(name), want)
		}
	}
	works(t, as(t, shared, shared.RootToken).open("vault:"+place("secret")))
}

// A key goes over a proxy only where one is named, and in clear only where
// that is permitted: a redirect to elsewhere makes no difference.
func TestWhereAKeyMayGo(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1:"+port(r.Host)+"/v1/x", http.StatusTemporaryRedirect)
	}))
	defer elsewhere.Close()
	u := &user{T: t, env: []string{"VAULT_ADDR=" + elsewhere.URL, "VAULT_TOKEN=hvs.right"}}
	refused(t, u.open("vault:secret/blnk"), https.ErrPlaintext, "plain http", "hvs.right")

	asked := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	far := []string{"VAULT_ADDR=https://vault.invalid", "VAULT_TOKEN=hvs.right", "VAULT_PROXY_ADDR=" + proxy.URL, "VAULT_MAX_RETRIES=0"}
	u = &user{T: t, env: far}
	refused(t, u.open("vault:secret/blnk"), vault.ErrUnreachable, "proxy that the environment names is not used", "hvs.right")
	if asked != 0 {
		t.Error("the proxy of the environment was used")
	}
	u.opt = store.Options{Proxy: proxy.URL}
	refused(t, u.open("vault:secret/blnk"), vault.ErrUnreachable, "", "hvs.right")
	if asked == 0 {
		t.Error("the proxy that was named was not used")
	}
	u.opt = store.Options{Proxy: "http://user:top-secret@:1:1"}
	if _, err := u.try("vault:secret/blnk"); err == nil || strings.Contains(err.Error(), "top-secret") {
		t.Error("a proxy that is none, or its password is shown")
	}
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

// The token follows a redirect to no other port and to no other scheme.
func TestRedirectElsewhere(t *testing.T) {
	var leaked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked.Store(leaked.Load() || r.Header.Get("X-Vault-Token") != "")
	}))
	defer other.Close()
	to := ""
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}))
	defer front.Close()
	for _, to = range []string{
		other.URL + "/v1/x", "https://127.0.0.1:" + port(front.URL) + "/v1/x", "http://hvs.right:1/",
	} {
		u := &user{T: t, env: []string{"VAULT_ADDR=" + front.URL, "VAULT_TOKEN=hvs.right"}}
		refused(t, u.open("vault:secret/blnk"), vault.ErrElsewhere, "the token does not go", "hvs.right")
		refused(t, u.open("vault:secret/blnk?auth=approle&role-id-env=VAULT_TOKEN"), vault.ErrElsewhere, "the token does not go", "hvs.right")
	}
	if leaked.Load() {
		t.Error("the token followed a redirect to another port")
	}
}

// Something that answers, but not as a KV engine of version 2 does, holds neither a key
// nor an empty place.
func TestOddAnswer(t *testing.T) {
	answer := ""
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/internal/ui/mounts/") {
			_, _ = io.WriteString(w, `{"data": {"path": "secret/", "type": "kv", "options": {"version": "2"}}}`)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer front.Close()
	u := &user{T: t, env: []string{"VAULT_ADDR=" + front.URL, "VAULT_TOKEN=hvs.right", "VAULT_MAX_RETRIES=0"}}
	meta := `{"version": 3, "created_time": "2026-01-02T03:04:05Z", "deletion_time": "", "destroyed": false}`
	for _, answer = range []string{
		`{"data": {"data": {"secret_key": "x"}}}`,
		`{"data": {"data": {"secret_key": "x"}, "metadata": null}}`,
		`{"data": {"data": {"secret_key": "x"}, "metadata": {"version": 0}}}`,
		`{"data": {"data": {"secret_key": "x"}, "metadata": {"version": "three"}}}`,
		`{"data": {"data": {"secret_key": "x"}, "metadata": {"version": 3, "created_time": "yesterday"}}}`,
		`{"data": {"data": "x", "metadata": ` + meta + `}}`,
		`{"data": {"metadata": ` + meta + `}}`,
	} {
		refused(t, u.open("vault:secret/blnk"), vault.ErrOdd, "secret/data/blnk", "hvs.right")
	}
	answer = `{"data": {"data": {"secret_key": "` + oldKey + `"}, "metadata": ` + meta + `}}`
	s := u.open("vault:secret/blnk")
	at := get(t, s, oldKey)
	_, err := s.Put(t.Context(), secret.New(newKey), at)
	fails(t, err, vault.ErrOdd, "hvs.right") // no version was made
}

// An answer without an end is not read to its end.
func TestAnswerWithoutEnd(t *testing.T) {
	var sent atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("fail") || r.Method == http.MethodPut {
			w.WriteHeader(http.StatusBadRequest)
		}
		for range 64 {
			n, err := w.Write(bytes.Repeat([]byte(" "), 1<<20))
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	defer front.Close()
	u := &user{T: t, env: []string{"VAULT_ADDR=" + front.URL, "VAULT_TOKEN=hvs.right", "VAULT_ROLE_ID=r", "VAULT_MAX_RETRIES=0"}}
	refused(t, u.open("vault:secret/blnk"), vault.ErrOdd, "larger than 8 MiB", "hvs.right")
	refused(t, u.open("vault:secret/blnk?auth=approle"), vault.ErrOdd, "larger than 8 MiB", "hvs.right")
	if n := sent.Load(); n > 2*(8<<20+16<<20) {
		t.Errorf("%d MiB were taken", n>>20)
	}
}
