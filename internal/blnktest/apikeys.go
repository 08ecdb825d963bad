package blnktest

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// owner is Blnk's resolveAPIKeyOwner. It answers the request itself where it
// returns false.
func (s *Server) owner(w http.ResponseWriter, who principal, asked string) (string, bool) {
	switch {
	case who.master && asked == "":
		s.fail(w, 400, "APIKEY_OWNER_REQUIRED", "owner is required")
	case who.master:
		return asked, true
	case who.key == nil: // secure mode is off
		s.fail(w, 401, "AUTH_MISSING_PRINCIPAL", "authenticated API key principal missing")
	case asked != "" && asked != who.key.Owner:
		s.fail(w, 403, "AUTH_CROSS_OWNER_ACCESS", "cannot manage API keys for another owner")
	default:
		return who.key.Owner, true
	}
	return "", false
}

func (s *Server) createKey(w http.ResponseWriter, r *http.Request, who principal) {
	var asked struct {
		Name      string
		Owner     string
		Scopes    []string
		ExpiresAt time.Time `json:"expires_at"`
	}
	err := json.NewDecoder(r.Body).Decode(&asked)
	if err != nil || asked.Name == "" || asked.Owner == "" || asked.Scopes == nil || asked.ExpiresAt.IsZero() {
		s.fail(w, 400, "GEN_MALFORMED_REQUEST", "name, owner, scopes and expires_at are required")
		return
	}
	owner, ok := s.owner(w, who, asked.Owner)
	if !ok {
		return
	}
	if !who.master && !covers(who.key.Scopes, asked.Scopes) {
		s.fail(w, 403, "AUTH_SCOPE_ESCALATION", "cannot grant scopes broader than caller")
		return
	}
	plain := newKey()
	key := APIKey{ID: newID("api_key"), Key: hash(plain), Name: asked.Name, Owner: owner,
		Scopes: asked.Scopes, ExpiresAt: asked.ExpiresAt, CreatedAt: time.Now()}
	if err := s.data.keys.update(func(all []APIKey) ([]APIKey, error) { return append(all, key), nil }); err != nil {
		s.fail(w, 500, "GEN_INTERNAL", "internal server error")
		return
	}
	key.Key = plain // shown this once
	reply(w, 201, key)
}

// scope makes a given key a scoped API key. No request can: Blnk draws its keys
// itself. Who took one of them for the master key has such a key.
func (c *call) scope() error {
	plain, err := c.key()
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(c.dir)
	if err != nil {
		return err
	}
	scopes := c.words
	if len(scopes) == 0 {
		scopes = []string{"ledgers:read"}
	}
	now := time.Now()
	key := APIKey{ID: newID("api_key"), Key: hash(plain), Name: "twin", Owner: "twin",
		Scopes: scopes, ExpiresAt: now.AddDate(1, 0, 0), CreatedAt: now}
	return OpenData(stateDir(abs)).keys.update(func(all []APIKey) ([]APIKey, error) { return append(all, key), nil })
}

// covers is Blnk's CanGrantScopes.
func covers(granted, asked []string) bool {
	for _, scope := range asked {
		resource, action, ok := strings.Cut(scope, ":")
		if !ok || !allows(granted, resource, action) {
			return false
		}
	}
	return true
}

func (s *Server) listKeys(w http.ResponseWriter, r *http.Request, who principal) {
	owner, ok := s.owner(w, who, r.URL.Query().Get("owner"))
	if !ok {
		return
	}
	all, err := s.data.keys.all()
	if err != nil {
		s.fail(w, 500, "GEN_INTERNAL", "internal server error")
		return
	}
	var keys []APIKey // null where there is none, as in Blnk
	for _, k := range all {
		if k.Owner == owner {
			keys = append(keys, k)
		}
	}
	reply(w, 200, keys)
}

// revokeKey marks the key; it stays in the list.
func (s *Server) revokeKey(w http.ResponseWriter, r *http.Request, who principal, id string) {
	owner, ok := s.owner(w, who, r.URL.Query().Get("owner"))
	if !ok {
		return
	}
	found := false
	err := s.data.keys.update(func(all []APIKey) ([]APIKey, error) {
		at := slices.IndexFunc(all, func(k APIKey) bool { return k.ID == id && k.Owner == owner })
		if at < 0 {
			return nil, errUnchanged
		}
		now := time.Now()
		found, all[at].IsRevoked, all[at].RevokedAt = true, true, &now
		return all, nil
	})
	switch {
	case err != nil:
		s.fail(w, 500, "GEN_INTERNAL", "internal server error")
	case !found:
		s.fail(w, 404, "APIKEY_NOT_FOUND", "API key not found")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
