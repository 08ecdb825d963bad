package vault

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
)

// lasting is how long a token should still live when a rotation uses it, which
// waits for restarts of some minutes.
const lasting = 15 * time.Minute

// Remarks says what this store cannot promise. It asks Vault.
func (s *Store) Remarks(ctx context.Context) ([]string, error) {
	now, err := s.read(ctx, 0)
	if err != nil {
		return nil, err
	}
	var remarks []string
	add := func(format string, args ...any) { remarks = append(remarks, fmt.Sprintf(format, args...)) }
	if now.mount.version == 1 {
		add("%s/ is a KV store of version 1, which has no check-and-set: what somebody else writes to %s in the moment of the write may be lost",
			now.mount.path, s.place)
	}
	if end := now.meta.DeletionTime; !end.IsZero() && !now.gone() {
		add("Vault deletes versions of %s by itself (delete_version_after): this one on %s", s.place, screen.At(end))
	}
	if start := now.meta.CreatedTime; inFuture(start) {
		add("the version of %s is from the future (%s), which proves no age: one of the clocks, Vault's or this one, is wrong",
			s.place, screen.At(start))
	}
	if s.conn.transport.TLSClientConfig.InsecureSkipVerify {
		add("VAULT_SKIP_VERIFY is set: whoever stands in for Vault gets the key")
	}
	if s.conn.method.path == "" && s.conn.api.Token() != "" { // no other token can be had
		token, _ := s.conn.lookUp(ctx, "the token", tokenPath)
		ttl, _ := token.TokenTTL()
		uses, _ := token.TokenRemainingUses()
		if ttl > 0 && ttl < lasting {
			add("the Vault token ends in %s, and blnkctl does not renew it", screen.Span(ttl))
		}
		if uses > 0 {
			add("the Vault token is good for %d requests only; a rotation makes some 20", uses)
		}
	}
	return remarks, nil
}

// CheckPut asks Vault whether the token may read the secret and write it, and
// so whether Vault is there, unsealed and active. It cannot ask whether Vault's
// storage has room.
func (s *Store) CheckPut(ctx context.Context) error {
	now, err := s.read(ctx, 0)
	if err != nil {
		return err
	}
	write := "create"
	if now.exists {
		write = "update"
	}
	return s.may(ctx, now.mount.data(), write)
}

// CheckPurge asks whether the token may destroy versions.
func (s *Store) CheckPurge(ctx context.Context) error {
	m, err := s.findMount(ctx)
	if err != nil || m.version == 1 {
		return err
	}
	return s.may(ctx, m.destroy(), "update")
}

// may is ErrDenied where the token lacks a capability.
func (s *Store) may(ctx context.Context, path, capability string) error {
	granted, err := s.capabilities(ctx, path)
	if err != nil || granted[capability] || granted["root"] {
		return err
	}
	return fmt.Errorf("write %s at %s: %w", path, s.conn.addr, s.conn.lacks(capability, path))
}

func (c *conn) lacks(capability, path string) error {
	return hint.Add(fmt.Errorf("%w: the token lacks the capability %q on %q", ErrDenied, capability, path),
		"this prints the policy that a rotation needs: blnkctl config policy %s", hint.Quote(c.ref))
}

// capabilities asks what the token may do with a path.
func (s *Store) capabilities(ctx context.Context, path string) (map[string]bool, error) {
	r := request{act: "ask for the rights on " + s.place, path: "sys/capabilities-self", body: map[string]any{"paths": []string{path}}, needs: "update"}
	granted := map[string]bool{}
	got, err := s.conn.do(ctx, r)
	data := dataOf(got)
	if err == nil && data == nil {
		err = s.conn.because(r, fmt.Errorf("%w: HTTP %d", ErrOdd, s.conn.status))
	}
	list, _ := data[path].([]any)
	for _, c := range list {
		if name, _ := c.(string); name != "" && name != "deny" {
			granted[name] = true
		}
	}
	return granted, err
}

// Policy returns the smallest Vault policy that a rotation needs, besides the
// policy "default". Where Vault does not tell the mount, the policy is for KV
// version 2 mounted at the first name of the path, and says so and why.
func (s *Store) Policy(ctx context.Context) string {
	var b strings.Builder
	m, err := s.findMount(ctx)
	if err != nil {
		m = guessMount(s.place)
		fmt.Fprintf(&b, "# %s: this takes %s/ for a KV store of version 2.\n", strings.Join(strings.Fields(err.Error()), " "), m.path)
	}
	fmt.Fprintf(&b, "# What a rotation of the key in %s needs, besides the policy \"default\".\n", s.place)
	if ns := s.conn.namespace(); ns != "" {
		fmt.Fprintf(&b, "# It belongs into the namespace %s.\n", ns)
	}
	stanza := func(comment, path, capabilities string) {
		fmt.Fprintf(&b, "\n%spath %q {\n  capabilities = [%s]\n}\n", comment, path, capabilities)
	}
	stanza("# \"create\" is needed, too, where the secret is not there yet.\n", m.data(), `"read", "update"`)
	if m.version == 2 {
		stanza("# For rotate --compromised and retire, which destroy the versions with the old key.\n", m.destroy(), `"update"`)
	}
	return b.String()
}
