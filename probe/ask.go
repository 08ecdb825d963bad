package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

// maxBody bounds an answer, in bytes. A hook is some hundred bytes; more than
// this is not a list of hooks.
const maxBody = 1 << 20

// Ask sends key to the oracle once, on a fresh connection, and says what the
// answer proves. The zero Key asks without a key. blnk.Nothing always comes
// with an error that says why, every other answer with nil. A cancelled ctx is
// an error that wraps ctx.Err().
func (s *Server) Ask(ctx context.Context, key secret.Key) (blnk.Answer, error) {
	answer, _, err := s.ask(ctx, key)
	return answer, err
}

// A Hook is a webhook receiver that the server knows: somebody else who holds
// the key, since it signs what the hook is sent (Blnk internal/hooks).
type Hook struct {
	ID   string
	Name string
	// Type is when it is called: PRE_TRANSACTION or POST_TRANSACTION.
	Type string
	// URL is where it leads, without user name, query and fragment, which may
	// hold a secret of the receiver.
	URL string
}

// Hooks lists the transaction hooks of the server. It needs the live master
// key; any other answer is an error. It does not know the global webhook,
// which stands in the server's configuration.
func (s *Server) Hooks(ctx context.Context, key secret.Key) ([]Hook, error) {
	answer, body, err := s.ask(ctx, key)
	if err != nil {
		return nil, err
	}
	if answer != blnk.Live {
		return nil, fmt.Errorf("list hooks of %s: key %s", s, answer)
	}
	var listed []struct{ ID, Name, Type, URL string }
	if err := json.Unmarshal(body, &listed); err != nil {
		return nil, fmt.Errorf("list hooks of %s: the answer is not a list of hooks", s)
	}
	hooks := make([]Hook, 0, len(listed))
	for _, h := range listed {
		hooks = append(hooks, Hook{ID: h.ID, Name: h.Name, Type: h.Type, URL: publicURL(h.URL)})
	}
	return hooks, nil
}

// publicURL leaves what may be shown.
func publicURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a URL)"
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

func (s *Server) ask(ctx context.Context, key secret.Key) (blnk.Answer, []byte, error) {
	if !sendable(key.Reveal()) {
		return blnk.Nothing, nil, fmt.Errorf("ask %s: %w", s, ErrUnsendable)
	}
	within, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	status, location, body, err := s.get(within, key)
	if err != nil {
		if ctx.Err() != nil {
			// The caller's own end, not the server's slowness.
			return blnk.Nothing, nil, fmt.Errorf("ask %s: %w", s, ctx.Err())
		}
		return blnk.Nothing, nil, fmt.Errorf("ask %s: %w", s, s.reason(err))
	}
	answer := blnk.Judge(status, body)
	if answer == blnk.Nothing && status == http.StatusUnauthorized && blnk.SawNoKey(body) {
		return answer, nil, fmt.Errorf("ask %s: the server saw no key: something in front of it drops the header %s", s, blnk.KeyHeader)
	}
	if answer == blnk.Nothing {
		return answer, nil, fmt.Errorf("ask %s: %w", s, s.odd(status, location))
	}
	return answer, body, nil
}

// get makes one request and reads the whole answer.
func (s *Server) get(ctx context.Context, key secret.Key) (status int, location string, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base.String()+blnk.OraclePath, nil)
	if err != nil {
		return 0, "", nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "blnkctl")
	if !key.IsZero() {
		request.Header.Set(blnk.KeyHeader, key.Reveal())
	}
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return 0, "", nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return 0, "", nil, err
	}
	if len(body) > maxBody {
		return 0, "", nil, errTooLarge
	}
	return response.StatusCode, response.Header.Get("Location"), body, nil
}

var errTooLarge = errors.New("the answer is larger than 1 MiB: not a list of hooks")

// sendable says whether the header reaches the server as the key stands. Go's
// client trims white space and refuses control characters; HTTP itself does
// the same (RFC 9110, 5.5).
func sendable(key string) bool {
	if strings.Trim(key, " \t") != key {
		return false
	}
	return !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
