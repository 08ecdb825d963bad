package vaulttest

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// furnish mounts what a Server has.
func (s *Server) furnish(ctx context.Context) error {
	mounts := []struct{ path, kind, version string }{
		{"mounts/secret", "kv", "2"},
		{"mounts/kv1", "kv", "1"},
		{"auth/approle", "approle", ""},
		{"auth/jwt", "jwt", ""},
		{"auth/kubernetes", "kubernetes", ""},
		{"auth/userpass", "userpass", ""},
	}
	for _, m := range mounts {
		body := map[string]any{"type": m.kind}
		if m.version != "" {
			body["options"] = map[string]string{"version": m.version}
		}
		if _, err := s.Do(ctx, http.MethodPost, "sys/"+m.path, body); err != nil {
			return err
		}
	}
	return s.awaitUpgrade(ctx)
}

// awaitUpgrade: a KV store of version 2 begins as one of version 1 and takes
// nothing until it has upgraded itself.
func (s *Server) awaitUpgrade(ctx context.Context) error {
	for tries := 0; ; tries++ {
		_, err := s.Do(ctx, http.MethodPost, "secret/data/upgraded", map[string]any{"data": map[string]any{}})
		if err == nil {
			_, err = s.Do(ctx, http.MethodDelete, "secret/metadata/upgraded", nil)
			return err
		}
		if tries == 9000 {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Seal seals the server: it answers 503 to all that need its storage.
func (s *Server) Seal(ctx context.Context) error {
	_, err := s.Do(ctx, http.MethodPost, "sys/seal", nil)
	return err
}

// Unseal opens it again; it takes requests when Unseal returns.
func (s *Server) Unseal(ctx context.Context) error {
	answer, err := s.Do(ctx, http.MethodPost, "sys/unseal", map[string]any{"key": s.UnsealKey})
	if err == nil && answer["sealed"] != false {
		err = fmt.Errorf("it stays sealed: %v", answer)
	}
	if err != nil {
		return err
	}
	return s.awaitUpgrade(ctx)
}

// SetPolicy makes a policy, or replaces it.
func (s *Server) SetPolicy(ctx context.Context, name, text string) error {
	_, err := s.Do(ctx, http.MethodPut, "sys/policies/acl/"+name, map[string]any{"policy": text})
	return err
}

// A TokenRequest is what a token shall be. The zero one has the rights of the
// policy "default" alone, which every token has that does not refuse it.
type TokenRequest struct {
	Policies  []string
	NoDefault bool
	TTL       time.Duration // 0: Vault's 32 days
	MaxTTL    time.Duration // 0: Vault's
	Fixed     bool          // cannot be renewed
	Uses      int           // 0: any number
}

// NewToken makes a token.
func (s *Server) NewToken(ctx context.Context, r TokenRequest) (string, error) {
	policies := r.Policies
	if len(policies) == 0 {
		policies = []string{"default"}
	}
	body := map[string]any{
		"policies":          policies,
		"no_default_policy": r.NoDefault,
		"renewable":         !r.Fixed,
		"num_uses":          r.Uses,
	}
	if r.TTL > 0 {
		body["ttl"] = r.TTL.String()
	}
	if r.MaxTTL > 0 {
		body["explicit_max_ttl"] = r.MaxTTL.String()
	}
	answer, err := s.Do(ctx, http.MethodPost, "auth/token/create", body)
	return answer.Text("auth", "client_token"), err
}

// Revoke ends a token at once, as its expiry does.
func (s *Server) Revoke(ctx context.Context, token string) error {
	_, err := s.Do(ctx, http.MethodPost, "auth/token/revoke", map[string]any{"token": token})
	return err
}

// Env is the environment of somebody who uses this server with a token, "" for
// none: the variables that Vault's own client reads, and a home folder.
func (s *Server) Env(home, token string) []string {
	env := []string{"VAULT_ADDR=" + s.Address, "HOME=" + home}
	if token != "" {
		env = append(env, "VAULT_TOKEN="+token)
	}
	if s.CACert != "" {
		env = append(env, "VAULT_CACERT="+s.CACert, "VAULT_CLIENT_CERT="+s.ClientCert, "VAULT_CLIENT_KEY="+s.ClientKey)
	}
	return env
}
