package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

// A Hook is a webhook receiver that the server knows: somebody else who holds
// the key, since it signs what the hook is sent (Blnk internal/hooks).
type Hook struct {
	ID, Name string
	Type     string // when it is called: PRE_TRANSACTION or POST_TRANSACTION
	URL      string // without user name, query and fragment, which may hold a secret of the receiver
}

// Hooks lists the transaction hooks of the server. It needs the live master
// key; any other answer is an error. It does not know the global webhook,
// which stands in the server's configuration.
func (s *Server) Hooks(ctx context.Context, key secret.Key) ([]Hook, error) {
	var hooks []Hook
	// Without a type the list is empty up to Blnk 0.15.2, whatever there is.
	for _, kind := range []string{"PRE_TRANSACTION", "POST_TRANSACTION"} {
		answer, body, err := s.ask(ctx, key, url.Values{"type": {kind}})
		if err != nil {
			return nil, err
		}
		if answer != blnk.Live {
			return nil, fmt.Errorf("list hooks of %s: key %s", s, answer)
		}
		var listed []Hook
		if err := json.Unmarshal(body, &listed); err != nil {
			return nil, fmt.Errorf("list hooks of %s: the answer is not a list of hooks", s)
		}
		for _, h := range listed {
			if h.URL = publicURL(h.URL); !slices.Contains(hooks, h) {
				hooks = append(hooks, h)
			}
		}
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
