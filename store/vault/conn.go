package vault

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// usualTimeout is how long a request may take with all its repetitions, unless
// VAULT_CLIENT_TIMEOUT says otherwise. Vault's own command waits for a minute:
// too long for each of a rotation's steps.
const usualTimeout = 15 * time.Second

// Between two attempts of one request.
const (
	minWait = 250 * time.Millisecond
	maxWait = 5 * time.Second // also where Vault asks for more
)

// A conn is the way to one Vault, with the token.
type conn struct {
	opt       *options
	api       *api.Client  // has no token: send gives it one
	http      *http.Client // for what is no Vault: GitHub's token service
	addr      string
	origin    string
	namespace string
	insecure  bool // certificates are not verified
	proxied   bool // the environment names a proxy that is not used
	timeout   time.Duration
	session   session
	shown     []secret.Key // what must not come back in an error
}

func newConn(o *options, opt store.Options) (*conn, error) {
	c := &conn{opt: o, addr: o.addr, origin: o.origin, namespace: o.namespace()}
	local, err := plainOnlyHere(o.addr, opt.AllowPlaintext)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(local, opt.Proxy)
	if err != nil {
		return nil, err
	}
	c.proxied = opt.Proxy == "" && (o.env["VAULT_PROXY_ADDR"] != "" || o.env["VAULT_HTTP_PROXY"] != "")
	c.http = &http.Client{Transport: transport.Clone(), CheckRedirect: noRedirect, Timeout: usualTimeout}
	if err := c.connect(transport); err != nil {
		return nil, err
	}
	return c, nil
}

// connect makes the client. Everything that it could read in the environment
// of this process is set, so that what it does read there makes no difference.
func (c *conn) connect(transport *http.Transport) error {
	env := c.opt.env
	config := &api.Config{
		Address:      c.addr,
		HttpClient:   &http.Client{Transport: transport, CheckRedirect: noRedirect},
		MinRetryWait: minWait,
		MaxRetryWait: maxWait,
		Backoff:      backoff,
		CheckRetry:   tryAgain,
	}
	files, err := env.tls()
	if err == nil {
		c.insecure = files.Insecure
		err = config.ConfigureTLS(files)
	}
	if err != nil {
		return fmt.Errorf("certificates for Vault: %w", err)
	}
	if c.timeout, err = env.duration(api.EnvVaultClientTimeout, usualTimeout); err != nil {
		return err
	}
	config.Timeout = c.timeout
	if config.MaxRetries, err = env.count(api.EnvVaultMaxRetries, 2); err != nil {
		return err
	}
	if config.DisableRedirects, err = env.flag(api.EnvVaultDisableRedirects); err != nil {
		return err
	}
	headers, err := env.headers()
	if err != nil {
		return err
	}
	if c.namespace != "" {
		headers.Set(api.NamespaceHeaderName, c.namespace)
	}
	if c.api, err = api.NewClient(config); err != nil {
		// Its text may quote a variable, and a proxy's address a password.
		return errors.New("a VAULT_* variable of the environment has no valid value")
	}
	c.api.SetHeaders(headers)
	c.api.ClearToken()
	c.api.SetWrappingLookupFunc(func(string, string) string { return "" })
	return nil
}

// noRedirect leaves it to the client to follow a redirect of a standby to the
// active server: never from https to http.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// plainOnlyHere says whether connections must stay on this machine, because
// they carry the key in clear.
func plainOnlyHere(addr string, allowed bool) (bool, error) {
	u, err := url.Parse(addr)
	if err != nil || u.Scheme != "http" || allowed {
		return false, err
	}
	if !isLoopback(u.Hostname()) {
		return false, fmt.Errorf("%s: %w", addr, ErrPlaintext)
	}
	return true, nil
}

func newTransport(local bool, proxy string) (*http.Transport, error) {
	d := &net.Dialer{Timeout: usualTimeout}
	if local {
		// Also where a redirect or somebody's resolver leads elsewhere.
		d.Control = func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !at.Addr().Unmap().IsLoopback() {
				return ErrPlaintext
			}
			return nil
		}
	}
	t := &http.Transport{
		DialContext:         d.DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: usualTimeout,
		ForceAttemptHTTP2:   true,
		IdleConnTimeout:     time.Minute,
	}
	if proxy == "" || local {
		return t, nil
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Hostname() == "" {
		// The address is not shown: it may hold a password.
		return nil, errors.New("proxy: want http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT")
	}
	t.Proxy = http.ProxyURL(u)
	return t, nil
}

// tryAgain says whether a request that failed is repeated at once. A write is
// only where it was surely not done: Put looks before it writes again.
func tryAgain(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		var failed *url.Error
		isRead := errors.As(err, &failed) && strings.EqualFold(failed.Op, http.MethodGet)
		return isRead && tlsReason(err) == "" && !errors.Is(err, ErrPlaintext), nil
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, // a rate limit
		http.StatusPreconditionFailed: // a replica that lags behind
		return true, nil
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return resp.Request.Method == http.MethodGet, nil
	}
	return false, nil
}

// backoff doubles the wait, and waits as long as Vault says where that is
// bearable.
func backoff(least, most time.Duration, attempt int, resp *http.Response) time.Duration {
	wait := least << attempt
	if resp != nil {
		if resp.StatusCode == http.StatusTooManyRequests {
			wait = max(wait, time.Second) // what Vault counts by, unless told otherwise
		}
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			wait = max(wait, time.Duration(n)*time.Second)
		}
	}
	return min(wait, most)
}
