package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/target"
)

// Scoped are the scoped API keys that a server lists.
type Scoped struct {
	Keys []ScopedKey
	// server and key are those that it was asked with.
	server *probe.Server
	key    secret.Key
}

// A ScopedKey is an entry of GET /api-keys, without the key or its hash.
type ScopedKey struct {
	ID        string    `json:"api_key_id"`
	Name      string    `json:"name"`
	Owner     string    `json:"owner_id"`
	Scopes    []string  `json:"scopes"`
	Expires   time.Time `json:"expires_at"`
	Created   time.Time `json:"created_at"`
	LastUsed  time.Time `json:"last_used_at"` // year 1 where it never was; moves for about every second request
	IsRevoked bool      `json:"is_revoked"`
	Kept      kept      `json:"key"`
}

// kept is how the database has a key, by the form of what stands there (Blnk
// database/api_key.go at its tags). What stands there is forgotten at once.
type kept string

func (k *kept) UnmarshalJSON(text []byte) error {
	var stands string
	err := json.Unmarshal(text, &stands)
	switch {
	case regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(stands):
		*k = "as a hash without a salt, by Blnk 0.12.0 to 0.13.1"
	case regexp.MustCompile(`^[A-Za-z0-9_-]{43}=$`).MatchString(stands):
		*k = "in clear, by Blnk before 0.12.0"
	}
	return err
}

// alive says that a server lets it in.
func (k ScopedKey) alive(now time.Time) bool { return !k.IsRevoked && now.Before(k.Expires) }

func (k ScopedKey) add(r *Result, text, remedy string) {
	r.add("API key "+k.ID, fmt.Sprintf("%s of %s: %s", k.Name, k.Owner, text), remedy, "scopes "+strings.Join(k.Scopes, " "))
}

// end is the command that revokes it.
func (k ScopedKey) end(f *Facts) string {
	one := target.Spec{Stores: f.Spec.Stores[:min(1, len(f.Spec.Stores))], Servers: f.Spec.Servers[:min(1, len(f.Spec.Servers))]}
	return hint.Command("blnkctl", "api", "DELETE", "/api-keys/"+url.PathEscape(k.ID)+"?owner="+url.QueryEscape(k.Owner)) + one.Args()
}

// asking is the first server that answers, and the key that is live there.
func (f *Facts) asking(ctx context.Context) (s Scoped, err error) {
	t, err := f.Target(ctx)
	keys := f.Keys(ctx)
	if len(t.Servers) == 0 || len(keys) == 0 {
		return s, errors.Join(errors.New("that takes a server and its key"), err)
	}
	live, err := f.Live(ctx)
	for _, server := range live.Servers {
		if server.RandomRefused != nil && !*server.RandomRefused {
			return s, fmt.Errorf("%s: secure mode is off, so that it lists no keys", server.URL)
		}
	}
	for _, server := range t.Servers {
		for _, key := range keys {
			answer, failed := server.Ask(ctx, key)
			if p, ok := server.Asker.(*probe.Server); ok && answer == blnk.Live {
				return Scoped{server: p, key: key}, nil
			}
			err = errors.Join(err, failed)
		}
	}
	return s, errors.Join(errors.New("no server takes a key of the stores as its master key"), err)
}

// read asks for a list, and decodes it.
func (s Scoped) read(ctx context.Context, path string, query url.Values, into any) error {
	status, body, err := s.server.Read(ctx, s.key, path, query)
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("GET %s: HTTP %d %s", path, status, blnk.CodeOf(body))
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if decoder.UseNumber(); decoder.Decode(into) != nil {
		return fmt.Errorf("GET %s: the answer is not understood", path)
	}
	return nil
}

// Scoped are the scoped keys of Owners. Blnk lists those of one owner at a time, and no
// owners (its api/apikeys.go; 0.15.2, seen).
func (f *Facts) Scoped(ctx context.Context) (Scoped, error) {
	return f.scoped.get(func() (Scoped, error) {
		if len(f.Owners) == 0 {
			return Scoped{}, hint.Add(errors.New("scoped keys are listed by owner only: name each with --owner, or as owners in blnkctl.yaml"), "blnkctl doctor --owner NAME")
		}
		s, err := f.asking(ctx)
		for _, owner := range f.Owners {
			var keys []ScopedKey
			if err == nil {
				err = s.read(ctx, "/api-keys", url.Values{"owner": {owner}}, &keys)
			}
			s.Keys = append(s.Keys, keys...)
		}
		return s, err
	})
}

// eachScoped looks at each key.
func (f *Facts) eachScoped(ctx context.Context, r *Result, look func(ScopedKey)) {
	s, err := f.Scoped(ctx)
	r.unsure(err)
	for _, k := range s.Keys {
		r.saw(true)
		look(k)
	}
}

// noAllScopes: a key for everything is a second master key.
func noAllScopes(ctx context.Context, f *Facts, r *Result) {
	f.eachScoped(ctx, r, func(k ScopedKey) {
		if k.alive(f.Now()) && slices.Contains(k.Scopes, "*:*") {
			k.add(r, "may do everything (*:*)", "make one with the scopes that its service needs, then: "+k.end(f))
		}
	})
}

// scopedKeysUsed: a key that nobody needs is ended, and one that ends is replaced before.
func scopedKeysUsed(ctx context.Context, f *Facts, r *Result) {
	const day = 24 * time.Hour
	on := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	f.eachScoped(ctx, r, func(k ScopedKey) {
		now, text := f.Now(), "was not used since "+on(k.LastUsed)
		if k.LastUsed.Before(k.Created) {
			k.LastUsed = k.Created
			text = "was never used since it was made on " + on(k.Created)
		}
		switch {
		case k.IsRevoked:
		case !k.alive(now):
			k.add(r, "ended on "+on(k.Expires)+": who still uses it is refused", k.end(f))
		case k.Expires.Before(now.Add(14 * day)):
			k.add(r, "ends on "+on(k.Expires), "make the next one, give it to who uses this one, then: "+k.end(f))
		case k.LastUsed.Before(now.Add(-90 * day)):
			k.add(r, text, k.end(f))
		}
	})
}

// scopedKeysHashed: the rows of those that old releases made stand in the database, its
// dumps and copies, also where 0.13.2 has ended them.
func scopedKeysHashed(ctx context.Context, f *Facts, r *Result) {
	f.eachScoped(ctx, r, func(k ScopedKey) {
		remedy := "delete its row from blnk.api_keys: revoking leaves it there"
		if regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(k.ID) {
			remedy += `: psql … -c "DELETE FROM blnk.api_keys WHERE api_key_id = '` + k.ID + `'"`
		}
		if k.Kept != "" {
			k.add(r, "stands "+string(k.Kept), remedy)
		}
	})
}

// exact is the largest number up to which float64 has all integers: 2^53.
const exact = 1 << 53

// amountsExact: up to 0.15.2 a POST with a scoped key goes through float64.
func amountsExact(ctx context.Context, f *Facts, r *Result) {
	s, unknown := f.Scoped(ctx)
	if unknown == nil && !slices.ContainsFunc(s.Keys, func(k ScopedKey) bool { return k.alive(f.Now()) }) {
		return
	}
	var err error
	if s.server == nil {
		s, err = f.asking(ctx)
	}
	var recent []struct {
		Amount json.Number `json:"precise_amount"`
	}
	if err == nil {
		err = s.read(ctx, "/transactions", url.Values{"limit": {"100"}}, &recent)
	}
	r.saw(true)
	r.unsure(err)
	n := 0
	for _, t := range recent {
		if amount, ok := new(big.Int).SetString(t.Amount.String(), 10); ok && amount.CmpAbs(big.NewInt(exact)) > 0 {
			n++
		}
	}
	if n == 0 {
		return
	}
	one := r.add(s.server.String(), fmt.Sprintf("%d of the last %d transactions have a precise_amount above 2^53: a POST with a scoped key rounds those", n, len(recent)),
		"post amounts above 9007199254740992 with the master key, or with a smaller precision", "Blnk up to 0.15.2 decodes what a scoped key posts to float64")
	if unknown != nil {
		one.Severity = Note
	}
}
