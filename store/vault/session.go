package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/blnkctl/blnkctl/secret"
)

// lasting is how long a token should still live when a rotation uses it: it
// waits for restarts of some minutes, during which nobody renews anything. A
// token that ends earlier is renewed at each use, for wanted.
const (
	lasting = 15 * time.Minute
	wanted  = time.Hour
)

// A session is what is known of the token.
type session struct {
	token     secret.Key
	until     time.Time // when it ends; zero: never, or unknown
	renewAt   time.Time
	renewable bool
	uses      int64 // how many requests it is good for; 0: any number
}

// prepare gets a token, or a longer life for it. That a token could not be
// renewed shows when it is used.
func (c *conn) prepare(ctx context.Context) error {
	s := &c.session
	if s.token.IsZero() || c.loginable() && !s.until.IsZero() && time.Now().After(s.until) {
		return c.acquire(ctx)
	}
	if s.renewable && time.Now().After(s.renewAt) {
		c.prolong(ctx)
	}
	return nil
}

// loginable says whether another token can be had at any time.
func (c *conn) loginable() bool { return c.opt.login.mount != "" }

// acquire gets a token where the options say.
func (c *conn) acquire(ctx context.Context) error {
	if c.loginable() {
		auth, err := c.login(ctx)
		if err != nil {
			return err
		}
		c.session = session{token: secret.New(auth.ClientToken), renewable: auth.Renewable}
		c.shows(c.session.token)
		c.lives(time.Duration(auth.LeaseDuration) * time.Second)
	} else {
		h := c.opt.login.secrets[0]
		token, err := c.opt.secret(h)
		if err != nil {
			return c.opt.missing(h, fmt.Errorf("%w: %w", ErrNoToken, err))
		}
		if token.IsZero() {
			return fmt.Errorf("%w: VAULT_TOKEN is not set, and there is no ~/.vault-token", ErrNoToken)
		}
		c.session = session{token: token}
		c.shows(token)
		if _, err := c.lookUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lives notes how long the token lives from now on.
func (c *conn) lives(ttl time.Duration) {
	s := &c.session
	if ttl <= 0 {
		s.until, s.renewable = time.Time{}, false
		return
	}
	s.until = time.Now().Add(ttl)
	s.renewAt = s.until.Add(-lasting)
}

// prolong renews the token. It does not matter whether Vault grants that.
func (c *conn) prolong(ctx context.Context) {
	a, err := c.send(ctx, request{
		act:  "renew the token",
		path: "auth/token/renew-self",
		body: map[string]any{"increment": int(wanted.Seconds())},
	}, c.session.token)
	if err != nil || a.secret == nil || a.secret.Auth == nil {
		c.session.renewable = false
		return
	}
	ttl := time.Duration(a.secret.Auth.LeaseDuration) * time.Second
	c.session.renewable = a.secret.Auth.Renewable
	c.lives(ttl)
	if ttl < lasting {
		// Vault does not grant more. To ask at every request would be no use.
		c.session.renewAt = time.Now().Add(ttl / 2)
	}
}

// lookUp asks what Vault knows of the token. false: nothing, or the token may
// not even look at itself.
func (c *conn) lookUp(ctx context.Context) (bool, error) {
	a, err := c.send(ctx, request{act: "look up the token", path: "auth/token/lookup-self"}, c.session.token)
	if a.status == http.StatusForbidden {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if a.secret == nil {
		return false, fmt.Errorf("look up the token at %s: %w", c.addr, ErrOdd)
	}
	c.session.renewable, _ = a.secret.Data["renewable"].(bool)
	c.session.uses = number(a.secret.Data["num_uses"])
	c.lives(time.Duration(number(a.secret.Data["ttl"])) * time.Second)
	return true, nil
}

// alive says whether Vault still takes the token. One without the policy
// "default" may not look itself up; that it sees the mount tells as much.
func (c *conn) alive(ctx context.Context) (bool, error) {
	if ok, err := c.lookUp(ctx); ok || err != nil {
		return ok, err
	}
	a, err := c.send(ctx, request{act: "look up the mount", path: "sys/internal/ui/mounts"}, c.session.token)
	if a.status == http.StatusForbidden {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// Whoever comes without a good token gets the same list, but empty.
	engines, _ := a.dig("secret").(map[string]any)
	return len(engines) > 0, nil
}

// renewSession gets another token in place of one that has ended: by another
// login, or where the one in its file or on its variable has changed.
func (c *conn) renewSession(ctx context.Context) error {
	ended := c.session.token
	if err := c.acquire(ctx); err != nil {
		return err
	}
	if c.session.token.Equal(ended) {
		return fmt.Errorf("%w: it has expired, was revoked, or is another Vault's", ErrToken)
	}
	return nil
}

// login shows Vault what it wants to see for a token.
func (c *conn) login(ctx context.Context) (*api.SecretAuth, error) {
	mount := c.opt.mount()
	r := request{
		act:     "log in at auth/" + mount,
		path:    "auth/" + mount + "/login",
		body:    map[string]any{},
		refused: ErrLogin,
	}
	var absent error // a secret that Vault may not ask for
	for _, h := range c.opt.login.secrets {
		value, err := c.opt.secret(h)
		if err == nil && value.IsZero() && c.opt.auth == "jwt" {
			value, err = c.githubToken(ctx)
		}
		if err == nil && value.IsZero() && h.name != "secret-id" {
			err = errors.New("there is no " + h.name)
		}
		if err != nil {
			return nil, c.opt.missing(h, fmt.Errorf("log in with %s: %w: %w", c.opt.auth, ErrNoToken, err))
		}
		c.shows(value)
		if value.IsZero() {
			absent = c.opt.missing(h, ErrLogin)
			continue
		}
		r.body[strings.ReplaceAll(h.name, "-", "_")] = value.Reveal()
	}
	if absent != nil {
		r.refused = absent
	}
	if role := c.opt.given.Get("role"); role != "" {
		r.body["role"] = role
	}
	if name := c.opt.given.Get("username"); name != "" {
		r.path += "/" + name
	}
	a, err := c.send(ctx, r, secret.Key{})
	switch {
	case a.status == http.StatusForbidden:
		// Vault says the same where nothing is mounted there.
		return nil, c.because(r, fmt.Errorf("%w, or has no such login", ErrLogin))
	case err != nil:
		return nil, err
	case a.secret == nil || a.secret.Auth == nil:
		return nil, c.because(r, ErrOdd)
	case a.secret.Auth.ClientToken == "":
		return nil, c.because(r, fmt.Errorf("%w: it wants a second factor", ErrLogin))
	}
	return a.secret.Auth, nil
}

// number reads what the client left as it stands in the JSON.
func number(v any) int64 {
	n, ok := v.(json.Number)
	if !ok {
		return 0
	}
	i, err := n.Int64()
	if err != nil {
		return 0
	}
	return i
}

// dig walks down the names; nil where there is nothing.
func (a answer) dig(names ...string) any {
	if a.secret == nil {
		return nil
	}
	var at any = a.secret.Data
	for _, name := range names {
		m, _ := at.(map[string]any)
		at = m[name]
	}
	return at
}
