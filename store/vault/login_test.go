package vault_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/vaulttest"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/vault"
)

// writer is a policy that every login of these tests gives.
func writer(t *testing.T) string {
	t.Helper()
	const policy = `path "secret/data/team/*" { capabilities = ["create", "read", "update"] }`
	if err := shared.SetPolicy(t.Context(), "writer", policy); err != nil {
		t.Fatal(err)
	}
	return "writer"
}

// secretFile writes a secret as an operator would: with a newline.
func secretFile(t *testing.T, value string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// works uses a store from one end to the other.
func works(t *testing.T, s *vault.Store) {
	t.Helper()
	at := put(t, s, oldKey, "")
	if err := s.CheckPut(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, newKey, at)
	get(t, s, newKey)
}

// refused asserts that nobody gets in, and what the error says.
func refused(t *testing.T, s *vault.Store, want error, text string, secrets ...string) {
	t.Helper()
	_, _, err := s.Get(t.Context())
	fails(t, err, want, secrets...)
	if !strings.Contains(err.Error(), text) {
		t.Errorf("error %v; want %q", err, text)
	}
}

func TestAppRole(t *testing.T) {
	policy := writer(t)
	do(t, shared, http.MethodPost, "auth/approle/role/blnk", map[string]any{"token_policies": policy, "token_ttl": "1h"})
	roleID := do(t, shared, http.MethodGet, "auth/approle/role/blnk/role-id", nil).Text("data", "role_id")
	secretID := do(t, shared, http.MethodPost, "auth/approle/role/blnk/secret-id", map[string]any{}).Text("data", "secret_id")
	ref := "vault:" + place("secret") + "?auth=approle"
	for name, s := range map[string]*vault.Store{
		"variables": as(t, shared, "", "VAULT_ROLE_ID="+roleID, "VAULT_SECRET_ID="+secretID).open("vault:" + place("secret") + "?auth=approle"),
		"files":     as(t, shared, "hvs.ignored").open("vault:" + place("secret") + "?auth=approle&role-id-file=" + secretFile(t, roleID) + "&secret-id-file=" + secretFile(t, secretID)),
		"named":     as(t, shared, "", "R="+roleID, "S="+secretID).open("vault:" + place("secret") + "?auth=approle&auth-mount=approle/&role-id-env=R&secret-id-env=S"),
	} {
		t.Run(name, func(t *testing.T) { works(t, s) })
	}
	u := as(t, shared, "", "VAULT_ROLE_ID="+roleID)
	u.opt.Stdin = strings.NewReader(secretID + "\n")
	works(t, u.open(ref+"&secret-id-file=-"))

	refused(t, as(t, shared, "", "VAULT_ROLE_ID="+roleID, "VAULT_SECRET_ID=wrong-secret-id").open(ref), vault.ErrLogin, "invalid", roleID, "wrong-secret-id")
	refused(t, as(t, shared, "", "VAULT_ROLE_ID="+roleID).open(ref), vault.ErrLogin, "secret_id", roleID)
	refused(t, as(t, shared, "").open(ref), vault.ErrNoToken, "there is no role-id")
	refused(t, as(t, shared, "", "VAULT_ROLE_ID="+roleID).open(ref+"&auth-mount=nowhere"), vault.ErrLogin, "auth/nowhere", roleID)
}

// With a login, a token that ends in the middle of a rotation is replaced.
func TestLoginAgain(t *testing.T) {
	policy := writer(t)
	do(t, shared, http.MethodPost, "auth/approle/role/short", map[string]any{"token_policies": policy, "token_ttl": "1h"})
	roleID := do(t, shared, http.MethodGet, "auth/approle/role/short/role-id", nil).Text("data", "role_id")
	secretID := do(t, shared, http.MethodPost, "auth/approle/role/short/secret-id", map[string]any{}).Text("data", "secret_id")
	link := vaulttest.NewLink(t, shared.Address)
	s := as(t, shared, "", "VAULT_ADDR="+link.Address, "VAULT_ROLE_ID="+roleID, "VAULT_SECRET_ID="+secretID).open("vault:" + place("secret") + "?auth=approle")
	logins := func() int {
		n := 0
		for _, r := range link.Seen() {
			if strings.HasSuffix(r, "/login") {
				n++
			}
		}
		return n
	}
	link.Strike(nil)
	at := put(t, s, oldKey, "")
	get(t, s, oldKey)
	if n := logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
	// All tokens of this login end, as at their expiry: between the look of a
	// write and the write itself.
	var once sync.Once
	link.Strike(func(method, path string) vaulttest.Fate {
		if method == http.MethodPut && strings.Contains(path, "/team/") {
			once.Do(func() {
				do(t, shared, http.MethodPost, "sys/leases/revoke-prefix/auth/approle/login", map[string]any{"sync": true})
			})
		}
		return vaulttest.Pass
	})
	put(t, s, newKey, at)
	if n := logins(); n != 1 {
		t.Errorf("%d logins", n)
	}
	// The credentials have ended, too.
	do(t, shared, http.MethodDelete, "auth/approle/role/short", nil)
	do(t, shared, http.MethodPost, "sys/leases/revoke-prefix/auth/approle/login", map[string]any{"sync": true})
	link.Strike(nil)
	refused(t, s, vault.ErrLogin, "invalid", roleID, secretID)
}

func TestKubernetes(t *testing.T) {
	policy := writer(t)
	host, ca, token := vaulttest.ServiceAccount(t, "blnk", "rotator")
	do(t, shared, http.MethodPost, "auth/kubernetes/config", map[string]any{
		"kubernetes_host": host, "kubernetes_ca_cert": ca, "disable_local_ca_jwt": true, "token_reviewer_jwt": token,
	})
	do(t, shared, http.MethodPost, "auth/kubernetes/role/blnk", map[string]any{
		"bound_service_account_names": "rotator", "bound_service_account_namespaces": "blnk", "token_policies": policy,
	})
	ref := "vault:" + place("secret") + "?auth=kubernetes&role="
	works(t, as(t, shared, "").open(ref+"blnk&jwt-file="+secretFile(t, token)))
	_, _, stranger := vaulttest.ServiceAccount(t, "blnk", "rotator")
	refused(t, as(t, shared, "").open(ref+"blnk&jwt-file="+secretFile(t, stranger)), vault.ErrLogin, "auth/kubernetes", stranger)
	refused(t, as(t, shared, "").open(ref+"other&jwt-file="+secretFile(t, token)), vault.ErrLogin, `invalid role name "other"`, token)
	refused(t, as(t, shared, "").open(ref+"blnk"), vault.ErrNoToken, "there is no jwt") // outside of a pod
}

// The ID tokens of CI jobs: GitLab puts one into a variable, GitHub Actions
// gives one out on request.
func TestJWT(t *testing.T) {
	policy := writer(t)
	issuer := vaulttest.NewIssuer(t)
	do(t, shared, http.MethodPost, "auth/jwt/config", map[string]any{"jwt_validation_pubkeys": issuer.PublicKey})
	do(t, shared, http.MethodPost, "auth/jwt/role/blnk", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": "https://vault.example", "bound_claims": map[string]any{"project_path": "pay/blnk"}, "token_policies": policy,
	})
	job := func(audience string) string {
		return issuer.Sign(t, map[string]any{
			"sub": "project_path:pay/blnk:ref_type:branch:ref:main", "project_path": "pay/blnk",
			"aud": audience, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		})
	}
	good := job("https://vault.example")
	ref := func() string { return "vault:" + place("secret") + "?auth=jwt&role=blnk" }
	works(t, as(t, shared, "", "VAULT_ID_TOKEN="+good).open(ref()))
	works(t, as(t, shared, "", "MY_TOKEN="+good).open(ref()+"&jwt-env=MY_TOKEN"))
	works(t, as(t, shared, "").open(ref()+"&jwt-file="+secretFile(t, good)))
	bad := job("https://elsewhere.example")
	refused(t, as(t, shared, "", "VAULT_ID_TOKEN="+bad).open(ref()), vault.ErrLogin, "aud", bad)
	refused(t, as(t, shared, "").open(ref()), vault.ErrNoToken, "there is no jwt")

	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer runner-token" || r.URL.Query().Get("api-version") != "2.0" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"count": 1, "value": job(r.URL.Query().Get("audience"))})
	}))
	defer github.Close()
	runner := []string{"ACTIONS_ID_TOKEN_REQUEST_URL=" + github.URL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=runner-token"}
	works(t, as(t, shared, "", runner...).open(ref()+"&jwt-audience=https://vault.example"))
	refused(t, as(t, shared, "", runner...).open(ref()), vault.ErrLogin, "aud", "runner-token")
	refused(t, as(t, shared, "", runner[0], "ACTIONS_ID_TOKEN_REQUEST_TOKEN=other-token").open(ref()), vault.ErrNoToken, "HTTP 401", "other-token")
	refused(t, as(t, shared, "", "ACTIONS_ID_TOKEN_REQUEST_URL=http://example.test/", runner[1]).open(ref()), vault.ErrNoToken, "https", "runner-token")
}

// A login that wants a second factor is none for a machine.
func TestSecondFactor(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"auth":{"client_token":"","mfa_requirement":{"mfa_request_id":"d0c9","mfa_constraints":{"c":{"any":[{"type":"totp","id":"1"}]}}}}}`))
	}))
	defer front.Close()
	u := &user{T: t, env: []string{"VAULT_ADDR=" + front.URL, "VAULT_ROLE_ID=role-of-anna"}, opt: store.Options{}}
	s := u.open("vault:secret/blnk?auth=approle")
	refused(t, s, vault.ErrLogin, "second factor", "role-of-anna")
	_, err := s.Put(t.Context(), secret.New(newKey), "")
	fails(t, err, vault.ErrLogin)
}

// What is missing is told by its name, with what helps.
func TestMissing(t *testing.T) {
	ref := "vault:" + place("secret")
	for _, c := range []struct {
		options string
		env     []string
		want    string
	}{
		{"?token-file=/nonexistent/x", nil, "put the token into /nonexistent/x, which token-file= names, where this user can read it"},
		{"?token-env=OTHER", nil, "set OTHER, which token-env= names, to the token"},
		{"?auth=approle", nil, "set VAULT_ROLE_ID, or say in the reference where the role-id is, with role-id-file=PATH or role-id-env=VARIABLE"},
		{"?auth=approle", []string{"VAULT_ROLE_ID=x"}, "set VAULT_SECRET_ID, or say in the reference where the secret-id is, with secret-id-file=PATH or secret-id-env=VARIABLE"},
		{"?auth=approle&role-id-file=-", nil, "give the role-id on the standard input, as role-id-file=- says"},
		{"?auth=kubernetes&role=x", nil, "say in the reference where the jwt is, with jwt-file=PATH or jwt-env=VARIABLE"},
		{"", nil, "vault login, or set VAULT_TOKEN, or name a login: 'vault:PATH?auth=approle&…'"},
	} {
		_, _, err := as(t, shared, "", c.env...).open(ref + c.options).Get(t.Context())
		if got := hint.Of(err); got != c.want {
			t.Errorf("%s: hint %q; want %q", c.options, got, c.want)
		}
	}
}

// A token or another secret that no header carries is named as the fault.
func TestControlCharacters(t *testing.T) {
	ref := "vault:" + place("secret")
	for _, c := range []struct{ options, env, want string }{
		{"", "VAULT_TOKEN=hvs.canary\n", "the token in VAULT_TOKEN holds a line break"},
		{"?token-file=" + secretFile(t, "hvs.canary\nhvs.canary"), "", "secret holds a line break"},
		{"?auth=approle&role-id-env=R", "R=hvs.canary\x00", "the role-id in R holds a line break or another control character"},
	} {
		refused(t, as(t, shared, "", c.env).open(ref+c.options), vault.ErrNoToken, c.want, "hvs.canary")
	}
}

// An agent adds the token. One that stands somewhere on this machine is not
// sent with auth=none, and none is missed with VAULT_AGENT_ADDR.
func TestAgent(t *testing.T) {
	target, err := url.Parse(shared.Address)
	if err != nil {
		t.Fatal(err)
	}
	adds, got := shared.RootToken, ""
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		if got = r.In.Header.Get("X-Vault-Token"); got == "" {
			r.Out.Header.Set("X-Vault-Token", adds)
		}
	}}
	agent := httptest.NewServer(proxy)
	defer agent.Close()
	works(t, as(t, shared, "hvs.not-sent", "VAULT_ADDR="+agent.URL).open("vault:"+place("secret")+"?auth=none"))
	s := as(t, shared, "", "VAULT_AGENT_ADDR="+agent.URL).open("vault:" + place("secret"))
	works(t, s)
	// As a journal holds the reference.
	works(t, as(t, shared, "", "VAULT_AGENT_ADDR="+agent.URL).open(strings.Replace(s.String(), "blnk", "other", 1)))
	if got != "" {
		t.Error("a token was sent to the agent")
	}
	adds = ""
	refused(t, s, vault.ErrToken, "none was sent")
	_, _, err = s.Get(t.Context())
	if text := hint.Of(err); !strings.Contains(text, "Vault Agent") {
		t.Errorf("hint %q", text)
	}
	if _, err := as(t, shared, "").try("vault:secret/blnk?auth=none&token-file=x"); err == nil {
		t.Error("a token that is not sent is taken")
	}
}
