package vaulttest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// An Issuer signs identity tokens (JWT, RFC 7519, ES256) as GitHub, GitLab and
// Kubernetes do for their jobs.
type Issuer struct {
	// PublicKey is PEM, as the configuration of auth/jwt takes it.
	PublicKey string
	key       *ecdsa.PrivateKey
}

// NewIssuer makes an issuer with a key of its own.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &Issuer{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), key}
}

// Sign makes a token of claims.
func (i *Issuer) Sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	text := part(map[string]string{"alg": "ES256", "typ": "JWT"}) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// ServiceAccount stands in for the one part of Kubernetes that Vault asks about
// a pod's token: the TokenReview interface (kubernetes.io, API reference,
// authentication.k8s.io/v1). It returns its URL, its certificate as PEM, and the
// token of the service account NAMESPACE:NAME; every other token is not
// authenticated.
func ServiceAccount(t testing.TB, namespace, name string) (host, ca, token string) {
	t.Helper()
	const uid = "5e1f0d2c-0000-4000-8000-000000000001"
	user := "system:serviceaccount:" + namespace + ":" + name
	token = NewIssuer(t).Sign(t, map[string]any{
		"iss": "https://kubernetes.default.svc",
		"sub": user,
		"kubernetes.io": map[string]any{
			"namespace":      namespace,
			"serviceaccount": map[string]string{"name": name, "uid": uid},
		},
	})
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Spec struct{ Token string }
		}
		if !strings.HasSuffix(r.URL.Path, "/apis/authentication.k8s.io/v1/tokenreviews") ||
			json.NewDecoder(r.Body).Decode(&review) != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		status := map[string]any{"authenticated": false}
		if review.Spec.Token == token {
			status = map[string]any{"authenticated": true, "user": map[string]any{"username": user, "uid": uid}}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status,
		})
	}))
	t.Cleanup(api.Close)
	ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}))
	return api.URL, ca, token
}
