package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

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
	if !now.deletes.IsZero() && !now.gone {
		add("Vault deletes versions of %s by itself (delete_version_after): this one on %s", s.place, now.deletes.UTC().Format(time.DateTime+" MST"))
	}
	if s.conn.insecure {
		add("VAULT_SKIP_VERIFY is set: whoever stands in for Vault gets the key")
	}
	if session := s.conn.session; !s.conn.loginable() {
		if left := time.Until(session.until); !session.until.IsZero() && left < lasting && !session.renewable {
			add("the Vault token ends in %s and cannot be renewed", left.Round(time.Second))
		}
		if session.uses > 0 {
			add("the Vault token is good for %d requests only; a rotation makes some 20", session.uses)
		}
	}
	return remarks, nil
}

// Policy returns the smallest Vault policy that a rotation needs, besides the
// policy "default". Where Vault does not tell the mount, the policy is for KV
// version 2 mounted at the first name of the path, and says so and why.
func (s *Store) Policy(ctx context.Context) string {
	var b strings.Builder
	m, err := s.findMount(ctx)
	if err != nil {
		m = guessMount(s.place)
		fmt.Fprintf(&b, "# %s: this takes %s/ for a KV store of version 2.\n", s.unknownMount(err), m.path)
	}
	fmt.Fprintf(&b, "# What a rotation of the key in %s needs, besides the policy \"default\".\n", s.place)
	if s.conn.namespace != "" {
		fmt.Fprintf(&b, "# It belongs into the namespace %s.\n", s.conn.namespace)
	}
	stanza := func(comment, path, capabilities string) {
		fmt.Fprintf(&b, "\n%spath %q {\n  capabilities = [%s]\n}\n", comment, path, capabilities)
	}
	stanza("# \"create\" is needed, too, where the secret is not there yet.\n", m.data(), `"read", "update"`)
	if m.version == 2 {
		stanza("# For rotate --compromised, which destroys the versions with the old key.\n", m.destroy(), `"update"`)
	}
	return b.String()
}

// unknownMount says in a few words why the mount was not found. The errors' own
// texts say more, and are one line, too.
func (s *Store) unknownMount(err error) string {
	for _, c := range []struct {
		is    error
		words string
	}{
		{ErrNoMount, "Vault has no mount that " + s.place + " is under"},
		{ErrDenied, "Vault has no mount that " + s.place + " is under, or this token may not see it"},
		{ErrSealed, "Vault was asked, but is sealed"},
		{ErrToken, "Vault was asked, but does not take the token"},
		{ErrLogin, "Vault was asked, but refused the login"},
		{ErrNoToken, "Vault was not asked, for want of a token"},
		{ErrUnreachable, "Vault could not be reached"},
		{ErrTLS, "Vault could not be reached over TLS"},
	} {
		if errors.Is(err, c.is) {
			return c.words
		}
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
