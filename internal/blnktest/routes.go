package blnktest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strconv"
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
		s.listLedgers(w, r)
	case first == "ledgers" && !hasID && r.Method == http.MethodPost:
		s.createLedger(w, r, who)
	case first == "balances" && !hasID && r.Method == http.MethodGet:
		s.listRows(w, r, &s.data.balances)
	case first == "transactions" && !hasID && r.Method == http.MethodGet:
		s.listRows(w, r, &s.data.transactions)
	case first == "identities" && r.Method == http.MethodPost:
		s.identities(w, id)
	default:
		notFound(w)
	}
}

// listRows is a page of GET /balances or /transactions, with the one filter that the
// stand-in knows. Past the end, balances are null, in Blnk too.
func (s *Server) listRows(w http.ResponseWriter, r *http.Request, t *table[map[string]any]) {
	rows, err := t.all()
	if err != nil {
		s.fail(w, 500, "GEN_INTERNAL", "internal server error")
		return
	}
	query := r.URL.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil {
		limit = 10
	}
	var page []map[string]any
	for _, row := range rows {
		credits, _ := new(big.Int).SetString(fmt.Sprint(row["credit_balance"]), 10)
		least, _ := new(big.Int).SetString(query.Get("credit_balance_gt"), 10)
		if (least == nil || credits != nil && credits.Cmp(least) > 0) && len(page) < limit {
			page = append(page, row)
		}
	}
	reply(w, 200, page)
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

// createLedger is Blnk's, with the mark that it puts on what a scoped key posts.
func (s *Server) createLedger(w http.ResponseWriter, r *http.Request, who principal) {
	ledger := Ledger{ID: newID("ldg"), CreatedAt: time.Now()}
	if json.NewDecoder(r.Body).Decode(&ledger) != nil {
		s.fail(w, 400, "GEN_MALFORMED_REQUEST", "invalid ledger data")
		return
	}
	if ledger.Name == "" {
		s.fail(w, 400, "GEN_VALIDATION_ERROR", "name: cannot be blank.")
		return
	}
	if who.key != nil {
		if ledger.Meta == nil {
			ledger.Meta = map[string]any{}
		}
		ledger.Meta["BLNK_GENERATED_BY"] = who.key.ID
	}
	if err := s.data.ledgers.update(func(all []Ledger) ([]Ledger, error) { return append(all, ledger), nil }); err != nil {
		s.fail(w, 500, "GEN_INTERNAL", "internal server error")
		return
	}
	reply(w, 201, ledger)
}

// listLedgers is a page, the newest first; a limit above 100 becomes 20 (Blnk
// api/ledger.go, database/ledger.go).
func (s *Server) listLedgers(w http.ResponseWriter, r *http.Request) {
	number := func(name, otherwise string) (int, error) {
		return strconv.Atoi(cmp.Or(r.URL.Query().Get(name), otherwise))
	}
	limit, err := number("limit", "10")
	offset, wrong := number("offset", "0")
	if err != nil || limit < 1 || wrong != nil || offset < 0 {
		s.fail(w, 400, "GEN_VALIDATION_ERROR", "Invalid limit value")
		return
	}
	if limit > 100 {
		limit = 20
	}
	all, err := s.data.ledgers.all()
	if err != nil {
		s.fail(w, 500, "GEN_INTERNAL", "internal server error")
		return
	}
	slices.Reverse(all)
	from := min(offset, len(all))
	reply(w, 200, append([]Ledger{}, all[from:min(from+limit, len(all))]...)) // never null
}
