package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/secret"
)

// login gets a token where the options say: by showing Vault what it wants to
// see, by reading one again, or, with a Vault Agent that adds it, none at all.
func (c *conn) login(ctx context.Context) error {
	c.loggedIn = false
	c.api.ClearToken()
	mount := c.authMount()
	r := request{act: "log in at auth/" + mount, path: "auth/" + mount + "/login", body: map[string]any{}, refused: ErrLogin}
	for _, s := range c.secrets {
		value, err := c.secret(s)
		if err == nil && value.IsZero() && c.auth == "jwt" {
			value, err = c.githubToken(ctx)
		}
		c.shows(value)
		switch {
		case err != nil:
			return hint.Add(fmt.Errorf("log in with %s: %w: %w", c.auth, ErrNoToken, err), "%s", s.hint())
		case c.auth == "token":
			if value.IsZero() && !c.byAgent() {
				return fmt.Errorf("%w: VAULT_TOKEN is not set, and there is no ~/.vault-token", ErrNoToken)
			}
			c.api.SetToken(value.Reveal())
		case !value.IsZero():
			r.body[strings.ReplaceAll(s.name, "-", "_")] = value.Reveal()
		case s.name == "secret-id": // Vault may not ask for it
			r.refused = hint.Add(ErrLogin, "%s", s.hint())
		default:
			return hint.Add(fmt.Errorf("log in with %s: %w: there is no %s", c.auth, ErrNoToken, s.name), "%s", s.hint())
		}
	}
	if mount == "" {
		c.loggedIn = true
		return nil
	}
	if role := c.given.Get("role"); role != "" {
		r.body["role"] = role
	}
	got, err := c.ask(ctx, r)
	switch {
	case c.status == http.StatusForbidden: // Vault says the same where nothing is mounted there
		return c.because(r, fmt.Errorf("%w, or has no such login", ErrLogin))
	case err != nil:
		return err
	case got == nil || got.Auth == nil:
		return c.because(r, ErrOdd)
	case got.Auth.ClientToken == "":
		return c.because(r, fmt.Errorf("%w: it wants a second factor", ErrLogin))
	}
	c.shows(secret.New(got.Auth.ClientToken))
	c.api.SetToken(got.Auth.ClientToken)
	c.loggedIn = true
	return nil
}

// ended is why Vault does not take the token, nor the one that came after it.
func (c *conn) ended() error {
	if c.byAgent() && c.api.Token() == "" {
		return hint.Add(fmt.Errorf("%w: none was sent, as a Vault Agent should add it", ErrToken), "look at auto_auth and api_proxy of the Vault Agent")
	}
	return fmt.Errorf("%w: it has expired, was revoked, or is another Vault's", ErrToken)
}

const tokenPath = "auth/token/lookup-self"

// lookUp asks what Vault knows of the token, or of something else that is there for all;
// nil where it may not be asked that (403).
func (c *conn) lookUp(ctx context.Context, what, path string) (*api.Secret, error) {
	got, err := c.ask(ctx, request{act: "look up " + what, path: path})
	if c.status == http.StatusForbidden {
		return nil, nil
	}
	return got, err
}

// alive says whether Vault still takes the token. One without the policy
// "default" may not look itself up; that it sees a mount tells as much.
func (c *conn) alive(ctx context.Context) (bool, error) {
	if got, err := c.lookUp(ctx, "the token", tokenPath); got != nil || err != nil {
		return err == nil, err
	}
	got, err := c.lookUp(ctx, "the mounts", "sys/internal/ui/mounts")
	engines, _ := dataOf(got)["secret"].(map[string]any) // empty for whoever comes without a good token
	return len(engines) > 0, err
}

// githubToken asks GitHub Actions for an ID token of the running job (GitHub's
// documentation, "OpenID Connect reference"): the job needs the permission
// `id-token: write`, and then has these two variables. The zero Key elsewhere.
func (c *conn) githubToken(ctx context.Context) (secret.Key, error) {
	at, bearer := c.env["ACTIONS_ID_TOKEN_REQUEST_URL"], c.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
	if at == "" || bearer == "" {
		return secret.Key{}, nil
	}
	c.shows(secret.New(bearer))
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" && !https.Loopback(u) {
		return secret.Key{}, errors.New("ACTIONS_ID_TOKEN_REQUEST_URL: want an https URL")
	}
	if audience := c.given.Get("jwt-audience"); audience != "" {
		query := u.Query()
		query.Set("audience", audience)
		u.RawQuery = query.Encode()
	}
	ctx, cancel := context.WithTimeout(ctx, usualTimeout)
	defer cancel()
	request := (&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{
		"Authorization": {"Bearer " + bearer}, "Accept": {"application/json; api-version=2.0"},
	}}).WithContext(ctx)
	transport, err := https.New(u, https.Options{Proxy: c.proxy, Timeout: usualTimeout})
	if err != nil {
		return secret.Key{}, err
	}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil { // the URL is not for a log: it names the run
		return secret.Key{}, fmt.Errorf("ask GitHub for an ID token: %w", https.Reason(err, usualTimeout))
	}
	defer response.Body.Close()
	var said struct{ Value string }
	err = json.NewDecoder(io.LimitReader(response.Body, maxSecret)).Decode(&said)
	if response.StatusCode != http.StatusOK || err != nil || said.Value == "" {
		return secret.Key{}, fmt.Errorf("ask GitHub for an ID token: HTTP %d without one", response.StatusCode)
	}
	return secret.New(said.Value), nil
}
