package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/hashicorp/vault/api"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
)

// A request is one question to Vault.
type request struct {
	act    string // for errors: what is done, "read secret/data/blnk"
	path   string // behind /v1/
	params url.Values
	body   map[string]any // nil reads
	needs  string         // the capability, where it is not that of act
	// quiet: what Vault says could quote the body, with secrets of others.
	quiet bool
	// refused is the error where Vault says no: ErrRefused where it is nil.
	refused error
}

// An answer is what Vault said. secret is nil where it said nothing.
type answer struct {
	status int
	secret *api.Secret
}

// unknown marks the error of a write that may have been done all the same.
type unknown struct{ error }

func (u unknown) Unwrap() error { return u.error }

// do asks with the token, and once more with another one where the token has
// ended in the meantime. Status 404 is an answer of a read, not an error.
func (c *conn) do(ctx context.Context, r request) (answer, error) {
	if err := c.prepare(ctx); err != nil {
		return answer{}, err
	}
	a, err := c.send(ctx, r, c.session.token)
	if a.status != http.StatusForbidden {
		return a, err
	}
	alive, err := c.alive(ctx)
	if err != nil {
		return answer{}, err
	}
	if !alive {
		if err := c.renewSession(ctx); err != nil {
			return answer{}, c.because(r, err)
		}
		if a, err = c.send(ctx, r, c.session.token); a.status != http.StatusForbidden {
			return a, err
		}
	}
	return a, c.because(r, &DeniedError{Path: r.path, Capability: r.needs})
}

// send asks once (the client repeats what cannot do harm).
func (c *conn) send(ctx context.Context, r request, token secret.Key) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, c.because(r, err)
	}
	var a answer
	client := c.api.WithResponseCallbacks(func(resp *api.Response) { a.status = resp.StatusCode })
	client.SetToken(token.Reveal())
	var err error
	if r.body == nil {
		a.secret, err = client.Logical().ReadWithDataWithContext(ctx, r.path, r.params)
	} else {
		a.secret, err = client.Logical().WriteWithContext(ctx, r.path, r.body)
	}
	switch {
	case err == nil && (a.status < 300 || a.status == http.StatusNotFound):
		return a, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil:
		err = fmt.Errorf("%w: HTTP %d, a redirect that is not followed", ErrOdd, a.status)
	default:
		err = c.explain(ctx, r, a.status, err)
	}
	err = c.because(r, err)
	if r.body != nil && (a.status < 400 || a.status >= 500) {
		return a, unknown{err}
	}
	return a, err
}

// because says what was tried, and where.
func (c *conn) because(r request, err error) error {
	return fmt.Errorf("%s at %s: %w", r.act, c.addr, err)
}

// explain turns the client's error into one of ours.
func (c *conn) explain(ctx context.Context, r request, status int, err error) error {
	var said *api.ResponseError
	if !errors.As(err, &said) {
		if status == 0 {
			return c.unreachable(err)
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
	refused := r.refused
	if refused == nil {
		refused = ErrRefused
	}
	return fmt.Errorf("%w: %s", refused, words)
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

// maxWords is how much of what Vault says an error holds.
const maxWords = 300

// words are Vault's own, on one line, without anything that we showed it. What
// is not in Vault's form is left out: a gateway could send the request back.
func (c *conn) words(r request, said *api.ResponseError) string {
	if r.quiet || said.RawError || len(said.Errors) == 0 {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.Join(said.Errors, "; "))
	text = strings.Join(strings.Fields(run.Mask(text, c.shown...)), " ")
	if runes := []rune(text); len(runes) > maxWords {
		text = string(runes[:maxWords]) + "…"
	}
	return ", " + text
}

// shows remembers a secret that Vault gets to see.
func (c *conn) shows(keys ...secret.Key) {
	for _, k := range keys {
		if !k.IsZero() {
			c.shown = append(c.shown, k)
		}
	}
}
