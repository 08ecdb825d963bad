package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/vault/api"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

const (
	// usualTimeout is how long a request may take with all its repetitions,
	// unless VAULT_CLIENT_TIMEOUT says otherwise. Vault's own command waits for
	// a minute: too long for each of a rotation's steps.
	usualTimeout = 15 * time.Second
	// longestWait is how long Vault may ask to wait before a repetition.
	longestWait = 5 * time.Second
	// maxAnswer limits an answer, in bytes. Vault's storage takes no secret of
	// more than 1 MiB.
	maxAnswer = 8 << 20
	// maxWords is how much of what Vault says an error holds.
	maxWords = 300
)

// A conn is the connection to one Vault, with the token.
type conn struct {
	ref string // of the store, for what helps
	*options
	api       *api.Client
	transport *http.Transport
	timeout   time.Duration
	loggedIn  bool
	shown     []secret.Key // what must not come back in an error
	// Of the request that is under way:
	writes bool
	status int // of the last answer; 0: there was none
}

// newConn leaves the VAULT_* variables to Vault's own client, but for those
// that the reference or the caller decides about.
func newConn(o *options, opt store.Options) (*conn, error) {
	transport, err := https.New(o.url, https.Options{Proxy: opt.Proxy, AllowPlaintext: opt.AllowPlaintext, Timeout: usualTimeout})
	if err != nil {
		return nil, err
	}
	c := &conn{options: o, transport: transport}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // Vault's client itself follows one
	}}
	usual := api.DefaultConfig().Backoff
	config := &api.Config{
		HttpClient: client, Timeout: usualTimeout, MaxRetries: 2, MinRetryWait: longestWait / 20, MaxRetryWait: longestWait,
		CheckRetry: c.tryAgain,
		Backoff: func(least, most time.Duration, attempt int, r *http.Response) time.Duration {
			return min(usual(least, 2*least, attempt, r), most)
		},
	}
	proxy := transport.Proxy
	if err := config.ReadEnvironment(); err != nil {
		return nil, badVariable(err)
	}
	transport.Proxy = proxy
	config.Address, config.AgentAddress, config.SRVLookup = o.addr, "", false
	if c.timeout = config.Timeout; c.timeout <= 0 {
		return nil, errors.New("VAULT_CLIENT_TIMEOUT: want a number of seconds")
	}
	if c.api, err = api.NewClient(config); err != nil {
		return nil, errors.New("VAULT_HEADERS: want a JSON object of strings, none of them Vault's own X-Vault-…")
	}
	client.Transport = c // the client itself asks for nothing but the transport
	c.api.ClearToken()
	c.api.SetNamespace(o.namespace())
	c.api.SetWrappingLookupFunc(func(string, string) string { return "" })
	return c, nil
}

// badVariable names the variable that Vault's client could not read, and does
// not show what stands in it.
func badVariable(err error) error {
	if _, ok := errors.AsType[*strconv.NumError](err); ok {
		return errors.New("VAULT_MAX_RETRIES: want a number")
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return errors.New("VAULT_PROXY_ADDR: want a URL")
	}
	return fmt.Errorf("variables and certificates for Vault: %w", err)
}

// RoundTrip stands between Vault's client and the network: the token goes to no
// other scheme and port than those that were named, also where a redirect says
// so, and no answer is read without end.
func (c *conn) RoundTrip(r *http.Request) (*http.Response, error) {
	c.status = 0
	if r.URL.Scheme != c.url.Scheme || https.Port(r.URL) != https.Port(c.url) {
		return nil, fmt.Errorf("%w: %s", ErrElsewhere, c.clean(r.URL.Scheme+"://"+r.URL.Host))
	}
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	c.status = response.StatusCode
	response.Body = https.Limit(response.Body, maxAnswer)
	return response, nil
}

// tryAgain says whether a request that failed is repeated at once. A write is
// only where it was surely not done: Put looks before it writes again.
func (c *conn) tryAgain(ctx context.Context, r *http.Response, err error) (bool, error) {
	throttled := r != nil && r.StatusCode == http.StatusTooManyRequests
	if c.writes && !throttled || err != nil && (errors.Is(err, ErrElsewhere) || errors.Is(c.unreachable(err), ErrTLS)) {
		return false, ctx.Err()
	}
	return api.DefaultRetryPolicy(ctx, r, err)
}

// A request is a question to Vault, and what an error says of it.
type request struct {
	act     string // what is done: "read secret/data/blnk"
	path    string // behind /v1/
	query   url.Values
	body    map[string]any // nil reads
	needs   string         // the capability
	writes  bool           // must not be repeated blindly
	refused error          // where Vault says no; nil is ErrRefused
}

// unknown marks the error of a write that may have been done all the same.
type unknown struct{ error }

func (u unknown) Unwrap() error { return u.error }

func isUnknown(err error) bool {
	_, ok := errors.AsType[unknown](err)
	return ok
}

// because says what was tried, and where.
func (c *conn) because(r request, err error) error {
	return fmt.Errorf("%s at %s: %w", r.act, c.addr, err)
}

// do asks with the token, and once more with another one where the token has
// ended in the meantime. That nothing is there (404) is no error; nil is the answer
// then, or where there is none.
func (c *conn) do(ctx context.Context, r request) (*api.Secret, error) {
	if !c.loggedIn {
		if err := c.login(ctx); err != nil {
			return nil, err
		}
	}
	got, err := c.ask(ctx, r)
	if c.status != http.StatusForbidden {
		return got, err
	}
	alive, err := c.alive(ctx)
	if err != nil {
		return nil, err
	}
	if !alive {
		ended := c.api.Token()
		if err := c.login(ctx); err != nil {
			return nil, c.because(r, err)
		}
		if c.api.Token() == ended {
			return nil, c.because(r, c.ended())
		}
		if got, err = c.ask(ctx, r); c.status != http.StatusForbidden {
			return got, err
		}
	}
	return nil, c.because(r, c.lacks(r.needs, r.path))
}

// ask asks once (the client repeats what cannot do harm). c.status is that of the answer.
func (c *conn) ask(ctx context.Context, r request) (got *api.Secret, err error) {
	c.status, c.writes = 0, r.writes
	switch err = ctx.Err(); {
	case err != nil:
		return nil, c.because(r, err)
	case r.body == nil:
		got, err = c.api.Logical().ReadWithDataWithContext(ctx, r.path, r.query)
	default:
		got, err = c.api.Logical().WriteWithContext(ctx, r.path, r.body)
	}
	status := c.status
	switch {
	case err == nil && (status < 300 || status == http.StatusNotFound):
		return got, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case status >= 300 && status < 400:
		err = fmt.Errorf("%w: HTTP %d, a redirect that is not followed", ErrOdd, status)
	case err == nil:
		err = fmt.Errorf("%w: HTTP %d", ErrOdd, status)
	default:
		err = c.explain(ctx, r, err)
		c.status = status // explain may have asked how Vault is
	}
	if err = c.because(r, err); r.writes && (status < 400 || status >= 500) {
		err = unknown{err}
	}
	return nil, err
}

// explain turns the client's error into one of ours.
func (c *conn) explain(ctx context.Context, r request, err error) error {
	status := c.status
	said, ok := errors.AsType[*api.ResponseError](err)
	if !ok {
		if reason := c.unreachable(err); status == 0 || !errors.Is(reason, ErrUnreachable) {
			return reason
		}
		return fmt.Errorf("%w: HTTP %d", ErrOdd, status)
	}
	words := fmt.Sprintf("HTTP %d%s", status, c.words(r, said))
	switch {
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("%w (%s)", ErrThrottled, words)
	case said.RawError:
		return fmt.Errorf("%w: %s; is something in front of it?", ErrOdd, words)
	case status >= 500 || status == 472 || status == 473: // Vault's own, of secondaries
		if err := c.ill(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s", cmp.Or(r.refused, ErrRefused), words)
}

// ill asks a server that failed how it is, since its words are the same for
// several faults. nil where that explains nothing.
func (c *conn) ill(ctx context.Context) error {
	health, err := c.api.Sys().HealthWithContext(ctx)
	switch {
	case err != nil:
		return nil
	case !health.Initialized:
		return fmt.Errorf("%w: it was never initialized", ErrSealed)
	case health.Sealed:
		return ErrSealed
	case health.ReplicationDRMode == "secondary":
		return fmt.Errorf("%w: this one belongs to a disaster recovery secondary", ErrStandby)
	case health.Standby:
		return fmt.Errorf("%w: this one is on standby", ErrStandby)
	}
	return nil
}

// unreachable turns a failed connection to Vault into an error of ours.
func (c *conn) unreachable(err error) error {
	reason := https.Reason(err, c.timeout)
	failed, _ := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, ErrElsewhere) && failed != nil:
		return failed.Err // without the address that it was about
	case errors.Is(reason, https.ErrPlaintext):
		return reason
	case errors.Is(reason, https.ErrTooLarge):
		return fmt.Errorf("%w: %w", ErrOdd, reason)
	case errors.Is(reason, https.ErrNotTLS):
		return hint.Add(fmt.Errorf("%w: %w", ErrTLS, reason),
			"does Vault speak plain http there? Then write http:// in VAULT_ADDR or address= (another machine needs --allow-plaintext, too)")
	case errors.Is(reason, https.ErrTLS):
		return fmt.Errorf("%w: %w", ErrTLS, reason)
	}
	note := ""
	if c.transport.Proxy == nil && c.env["VAULT_PROXY_ADDR"]+c.env["VAULT_HTTP_PROXY"] != "" {
		note = " (the proxy that the environment names is not used)"
	}
	return fmt.Errorf("%w: %w%s", ErrUnreachable, reason, note)
}

// words are Vault's own. What is not in Vault's form is not among them, since a
// gateway could send the request back, nor what Vault says of a write, since it
// could quote the fields of others, nor a word that could be a key: Vault has many.
func (c *conn) words(r request, said *api.ResponseError) string {
	if r.writes || said.RawError || len(said.Errors) == 0 {
		return ""
	}
	words := strings.Fields(run.Mask(strings.Join(said.Errors, "; "), c.shown...))
	for i, word := range words {
		if secret.Shown(word) == "" {
			words[i] = secret.Redacted
		}
	}
	return ", " + c.clean(strings.Join(words, " "))
}

// clean makes one short line of a text from elsewhere, and masks in it what Vault and we
// have shown each other.
func (c *conn) clean(text string) string {
	words := strings.FieldsFunc(run.Mask(text, c.shown...), func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
	line := []rune(strings.Join(words, " "))
	if len(line) > maxWords {
		line = append(line[:maxWords], '…')
	}
	return string(line)
}

// shows remembers a secret that Vault gets to see, or has shown.
func (c *conn) shows(k secret.Key) {
	if !k.IsZero() && !slices.ContainsFunc(c.shown, k.Equal) {
		c.shown = append(c.shown, k)
	}
}
