package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/blnkctl/blnkctl/secret"
)

// githubToken asks GitHub Actions for an ID token of the running job (GitHub's
// documentation, "OpenID Connect reference"): the job needs the permission
// `id-token: write`, and then has these two variables. The zero Key elsewhere.
func (c *conn) githubToken(ctx context.Context) (secret.Key, error) {
	env := c.opt.env
	at, bearer := env["ACTIONS_ID_TOKEN_REQUEST_URL"], env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
	if at == "" || bearer == "" {
		return secret.Key{}, nil
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return secret.Key{}, errors.New("ACTIONS_ID_TOKEN_REQUEST_URL: want an https URL")
	}
	if audience := c.opt.given.Get("jwt-audience"); audience != "" {
		query := u.Query()
		query.Set("audience", audience)
		u.RawQuery = query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return secret.Key{}, errors.New("ask GitHub for an ID token: the URL is not valid")
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Accept", "application/json; api-version=2.0")
	resp, err := c.http.Do(req)
	if ctx.Err() != nil {
		return secret.Key{}, ctx.Err()
	}
	if err != nil {
		// The URL is not for a log: it names the run.
		return secret.Key{}, errors.New("ask GitHub for an ID token: " + c.reason(err))
	}
	defer resp.Body.Close()
	var said struct {
		Value string `json:"value"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxSecret)).Decode(&said)
	if resp.StatusCode != http.StatusOK || err != nil || said.Value == "" {
		return secret.Key{}, fmt.Errorf("ask GitHub for an ID token: HTTP %d without one", resp.StatusCode)
	}
	return secret.New(said.Value), nil
}
