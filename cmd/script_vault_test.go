package cmd_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/internal/vaulttest"
)

// TestVaultScripts runs the scripts of testdata/vault, against Vault's own
// server. What they have besides the commands of all scripts:
//
//	vault up                    start a Vault server for this script, and set
//	                            VAULT_ADDR, VAULT_TOKEN (root) and VAULT_UNSEAL
//	vault put PATH KEYFILE [NAME=VALUE...]
//	                            write a secret with secret_key and other fields
//	vault holds PATH KEYFILE    its secret_key must be that one
//	vault field PATH NAME VALUE another field must be so
//	vault version PATH N gone|there
//	                            a version must be destroyed, or not
//	vault seal, vault unseal
//	vault token VAR POLICYFILE  make a token that has this policy alone
//	vault revoke VAR            end it
//
// and the program vault-seal, which seals the server from inside a command.
func TestVaultScripts(t *testing.T) {
	needs.Vault().For(t)
	t.Parallel()
	cmds := withEndCmds(withRotateCmds(scriptCmds()))
	cmds["vault"] = cmdVault
	testscript.RunT(scriptT{T: t}, testscript.Params{
		Dir:                 "testdata/vault",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                cmds,
		Condition:           scriptCondition,
		Setup: func(env *testscript.Env) error {
			takeTurn(env, scriptTurns)
			env.Values[vaultKey{}] = &vaultBox{}
			return errors.Join(prepareScript(env), watchScript(env))
		},
	})
}

// A vaultBox is where a script keeps its server.
type vaultBox struct{ server *vaulttest.Server }

type vaultKey struct{}

func vaultOf(ts *testscript.TestScript) *vaulttest.Server {
	box, _ := ts.Value(vaultKey{}).(*vaultBox)
	if box == nil || box.server == nil {
		ts.Fatalf("no Vault server: vault up")
	}
	return box.server
}

// secretPath is where the API of KV version 2 has the data of a path: the
// scripts' secret/ has version 2, kv1/ has version 1.
func secretPath(path, what string) string {
	if rest, ok := strings.CutPrefix(path, "secret/"); ok {
		return "secret/" + what + "/" + rest
	}
	return path
}

func cmdVault(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 0, "vault VERB ...")
	ctx := context.Background()
	verb, args := args[0], args[1:]
	verbs := map[string]struct {
		args int
		do   func(s *vaulttest.Server) error
	}{
		"seal":   {0, func(s *vaulttest.Server) error { return s.Seal(ctx) }},
		"unseal": {0, func(s *vaulttest.Server) error { return s.Unseal(ctx) }},
		"revoke": {1, func(s *vaulttest.Server) error { return s.Revoke(ctx, ts.Getenv(args[0])) }},
		"holds": {2, func(s *vaulttest.Server) error {
			return vaultField(ctx, s, args[0], "secret_key", strings.TrimSpace(ts.ReadFile(args[1])))
		}},
		"field":   {3, func(s *vaulttest.Server) error { return vaultField(ctx, s, args[0], args[1], args[2]) }},
		"version": {3, func(s *vaulttest.Server) error { return vaultVersion(ctx, s, args[0], args[1], args[2] == "gone") }},
		"token":   {2, func(s *vaulttest.Server) error { return vaultToken(ctx, ts, s, args[0], ts.ReadFile(args[1])) }},
	}
	switch v, ok := verbs[verb]; {
	case verb == "up":
		vaultUp(ts)
	case verb == "put" && len(args) > 1:
		ts.Check(vaultPut(ctx, vaultOf(ts), args[0], strings.TrimSpace(ts.ReadFile(args[1])), args[2:]))
	case ok && len(args) == v.args:
		ts.Check(v.do(vaultOf(ts)))
	default:
		ts.Fatalf("usage: vault up|put|holds|field|version|seal|unseal|token|revoke")
	}
}

func vaultUp(ts *testscript.TestScript) {
	s, err := vaulttest.Launch(context.Background(), vaulttest.Options{Dir: ts.MkAbs(".")})
	ts.Check(err)
	ts.Defer(s.Stop)
	ts.Value(vaultKey{}).(*vaultBox).server = s
	ts.Setenv("VAULT_ADDR", s.Address)
	ts.Setenv("VAULT_TOKEN", s.RootToken)
	ts.Setenv("VAULT_UNSEAL", s.UnsealKey)
}

func vaultPut(ctx context.Context, s *vaulttest.Server, path, key string, more []string) error {
	fields := map[string]any{"secret_key": key}
	for _, kv := range more {
		name, value, _ := strings.Cut(kv, "=")
		fields[name] = value
	}
	var body any = fields
	if strings.HasPrefix(path, "secret/") {
		body = map[string]any{"data": fields}
	}
	_, err := s.Do(ctx, http.MethodPost, secretPath(path, "data"), body)
	return err
}

func vaultField(ctx context.Context, s *vaulttest.Server, path, name, want string) error {
	answer, err := s.Do(ctx, http.MethodGet, secretPath(path, "data"), nil)
	if err != nil {
		return err
	}
	at := []string{"data", name}
	if strings.HasPrefix(path, "secret/") {
		at = []string{"data", "data", name}
	}
	if answer.Text(at...) != want {
		return fmt.Errorf("%s of %s is another one", name, path)
	}
	return nil
}

func vaultVersion(ctx context.Context, s *vaulttest.Server, path, number string, gone bool) error {
	answer, err := s.Do(ctx, http.MethodGet, secretPath(path, "metadata"), nil)
	if err != nil {
		return err
	}
	destroyed, ok := answer.Get("data", "versions", number, "destroyed").(bool)
	if !ok || destroyed != gone {
		return fmt.Errorf("version %s of %s: destroyed: %v, known: %v", number, path, destroyed, ok)
	}
	return nil
}

func vaultToken(ctx context.Context, ts *testscript.TestScript, s *vaulttest.Server, name, policy string) error {
	if err := s.SetPolicy(ctx, "script", policy); err != nil {
		return err
	}
	token, err := s.NewToken(ctx, vaulttest.TokenRequest{Policies: []string{"default", "script"}})
	ts.Setenv(name, token)
	return err
}

// vaultSeal is the program vault-seal: it seals the server of VAULT_ADDR.
func vaultSeal() int {
	req, err := http.NewRequest(http.MethodPut, os.Getenv("VAULT_ADDR")+"/v1/sys/seal", http.NoBody)
	if err == nil {
		req.Header.Set("X-Vault-Token", os.Getenv("VAULT_TOKEN"))
		var resp *http.Response
		if resp, err = http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusNoContent {
				return 0
			}
			err = fmt.Errorf("HTTP %d", resp.StatusCode)
		}
	}
	fmt.Fprintln(os.Stderr, "vault-seal:", err)
	return 1
}
