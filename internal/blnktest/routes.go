package blnktest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// known says whether a path without its trailing slash is one that the
// stand-in has.
func known(path string) bool {
	return path == "/hooks" || path == "/api-keys" || path == "/ledgers" ||
		strings.HasPrefix(path, "/hooks/") || strings.HasPrefix(path, "/api-keys/")
}

// route answers a request that was let in.
func (s *Server) route(w http.ResponseWriter, r *http.Request, who principal) {
	first, id, hasID := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case first == "hooks":
		s.hooks(w, r, who, id)
	case first == "api-keys" && !hasID && r.Method == http.MethodPost:
		s.createKey(w, r, who)
	case first == "api-keys" && !hasID && r.Method == http.MethodGet:
		s.listKeys(w, r, who)
	case first == "api-keys" && hasID && r.Method == http.MethodDelete:
		s.revokeKey(w, r, who, id)
	case first == "ledgers" && !hasID && r.Method == http.MethodGet:
		reply(w, 200, []any{})
	case first == "ledgers" && !hasID && r.Method == http.MethodPost:
		s.createLedger(w, r, who)
	case first == "identities" && r.Method == http.MethodPost:
		s.identities(w, id)
	default:
		notFound(w)
	}
}

// identities keeps nothing; it shows whether the tokenization secret is one
// (Blnk internal/tokenization: exactly 32 bytes, else it is off).
func (s *Server) identities(w http.ResponseWriter, rest string) {
	switch {
	case rest == "":
		reply(w, 201, map[string]string{"identity_id": newID("idt")})
	case !strings.Contains(rest, "/tokenize/"):
		notFound(w)
	case len(s.config.TokenizationSecret) != 32:
		s.fail(w, 403, "IDT_TOKENIZATION_DISABLED", "tokenization is disabled: BLNK_TOKENIZATION_SECRET or tokenization_secret in your blnk.json file must be set to a 32-byte value")
	default:
		reply(w, 200, map[string]string{"message": "Field tokenized successfully"})
	}
}

// hooks is Blnk's api/hooks.go: all of it needs the master key, since 0.14.3.
// What is no route comes first, HEAD among it.
func (s *Server) hooks(w http.ResponseWriter, r *http.Request, who principal, id string) {
	var answer func()
	switch {
	case r.Method == http.MethodGet && id == "":
		answer = func() { s.listHooks(w, r.URL.Query().Get("type")) }
	case r.Method == http.MethodPost && id == "":
		answer = func() { s.createHook(w, r) }
	case id != "" && slices.Contains([]string{http.MethodGet, http.MethodPut, http.MethodDelete}, r.Method):
		answer = func() { s.oneHook(w, r, id) }
	default:
		notFound(w)
		return
	}
	if !who.master && s.version.hooksNeedMaster {
		s.fail(w, 403, "AUTH_MASTER_KEY_REQUIRED", "hook management requires master key")
		return
	}
	answer()
}

func (s *Server) listHooks(w http.ResponseWriter, kind string) {
	hooks, err := s.data.hooks.all()
	if err != nil {
		s.fail(w, 500, "HOOK_OPERATION_FAILED", "failed to list hooks")
		return
	}
	listed := []Hook{} // never null
	for _, h := range hooks {
		if kind == "" || h.Type == kind {
			listed = append(listed, h)
		}
	}
	reply(w, 200, listed)
}

func (s *Server) createHook(w http.ResponseWriter, r *http.Request) {
	var h Hook
	if json.NewDecoder(r.Body).Decode(&h) != nil {
		s.fail(w, 400, "HOOK_INVALID", "invalid hook data")
		return
	}
	if h.URL == "" || (h.Type != "PRE_TRANSACTION" && h.Type != "POST_TRANSACTION") {
		s.fail(w, 500, "HOOK_OPERATION_FAILED", "failed to register hook")
		return
	}
	if h.ID == "" {
		h.ID = newID("hook")
	}
	h.CreatedAt = time.Now()
	if h.Timeout <= 0 {
		h.Timeout = 30
	}
	if err := s.data.hooks.update(func(all []Hook) ([]Hook, error) { return append(all, h), nil }); err != nil {
		s.fail(w, 500, "HOOK_OPERATION_FAILED", "failed to register hook")
		return
	}
	reply(w, 201, h)
}

func (s *Server) oneHook(w http.ResponseWriter, r *http.Request, id string) {
	var answer any
	err := s.data.hooks.update(func(all []Hook) ([]Hook, error) {
		at := slices.IndexFunc(all, func(h Hook) bool { return h.ID == id })
		if at < 0 {
			return nil, errUnchanged
		}
		switch r.Method {
		case http.MethodDelete:
			answer = map[string]string{"message": "hook deleted successfully"}
			return slices.Delete(all, at, at+1), nil
		case http.MethodPut:
			next := Hook{}
			if err := json.NewDecoder(r.Body).Decode(&next); err != nil {
				return nil, err
			}
			next.ID, next.CreatedAt = id, all[at].CreatedAt
			all[at], answer = next, next
			return all, nil
		default:
			answer = all[at]
			return nil, errUnchanged
		}
	})
	switch {
	case err != nil:
		s.fail(w, 400, "HOOK_INVALID", "invalid hook data")
	case answer == nil:
		s.fail(w, 404, "HOOK_NOT_FOUND", "hook not found")
	default:
		reply(w, 200, answer)
	}
}

// createLedger keeps nothing; it shows the mark that Blnk puts on what a
// scoped key posts.
func (s *Server) createLedger(w http.ResponseWriter, r *http.Request, who principal) {
	var ledger map[string]any
	if json.NewDecoder(r.Body).Decode(&ledger) != nil || ledger["name"] == nil {
		s.fail(w, 400, "GEN_MALFORMED_REQUEST", "name: cannot be blank.")
		return
	}
	if who.key != nil {
		meta, ok := ledger["meta_data"].(map[string]any)
		if !ok {
			meta = map[string]any{}
		}
		meta["BLNK_GENERATED_BY"] = who.key.ID
		ledger["meta_data"] = meta
	}
	ledger["ledger_id"] = newID("ldg")
	reply(w, 201, ledger)
}
