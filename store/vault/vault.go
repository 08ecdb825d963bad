// Package vault is a store in one field of a secret of HashiCorp Vault's KV
// secrets engine, version 1 or 2, whichever the mount turns out to be.
//
// The other fields of the secret stay as they are. A write to version 2 is a
// check-and-set, so that of all writers in the world only one gets through;
// version 1 has nothing of that kind, and Remarks says so.
//
// Vault is found as its own command finds it, through the VAULT_* variables
// of this process. A proxy is used only where store.Options names one, so not
// by VAULT_PROXY_ADDR. Token helper programs are not run; the file that Vault's
// own helper writes, ~/.vault-token, is read.
//
// The token goes to the address that was named, and where a redirect leads to
// another host, as a standby's does, only with the same scheme and port.
//
// More than half of the package is five ways to get a token, and what Vault, a
// standby, a proxy or a network answer instead of the secret: each named, with
// what helps. It does not promise that Vault keeps what it took. It does not
// renew a token, nor log out: a token of a login lives until Vault ends it.
package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// Scheme is what references to this store start with.
const Scheme = "vault"

// DefaultField is the field of the secret that holds the key where neither the
// reference nor the options name one.
const DefaultField = "secret_key"

// Errors that a caller takes a decision on, with what helps. No error of this
// package holds a key, a token, or what was sent to Vault.
var (
	ErrSealed      = hint.Add(errors.New("the Vault server is sealed"), "unseal it first: vault operator unseal")
	ErrStandby     = hint.Add(errors.New("no Vault server is active"), "name an active server with VAULT_ADDR, or ?address= of the reference")
	ErrElsewhere   = hint.Add(errors.New("Vault sends to another address, where the token does not go"), "name the active server (vault status) with VAULT_ADDR, or ?address= of the reference") //nolint:staticcheck // a name
	ErrNoToken     = hint.Add(errors.New("no Vault token"), "vault login, or set VAULT_TOKEN, or name a login: 'vault:PATH?auth=approle&…'")
	ErrToken       = hint.Add(errors.New("the token is not taken by Vault"), "get a new one: vault login")
	ErrLogin       = hint.Add(errors.New("the login is refused by Vault"), "look at what the login in the reference shows to Vault: docs/vault-store.md")
	ErrDenied      = errors.New("permission denied") // its hint names the store
	ErrNoMount     = hint.Add(errors.New("no secrets engine is mounted there"), "look at the mounts: vault secrets list")
	ErrNotKV       = hint.Add(errors.New("not a KV secrets engine"), "name a path in a KV secrets engine: vault secrets list")
	ErrThrottled   = hint.Add(errors.New("a rate limit of Vault is reached"), "wait, and run this again")
	ErrUnreachable = hint.Add(errors.New("no answer from Vault"), "is its address right (VAULT_ADDR, or ?address= of the reference), and does it run?")
	ErrTLS         = hint.Add(errors.New("no safe connection to Vault"), "name the CA with VAULT_CACERT")
	ErrOdd         = errors.New("what answered does not speak as Vault does")
	ErrRefused     = errors.New("the request is refused by Vault")
	ErrHidden      = errors.New("versions that are deleted, but not destroyed, are left")
)

// A Store is one field of one secret.
type Store struct {
	ref   store.Ref // canonical
	place string    // mount and path, as in the reference
	field string
	conn  *conn
	mount *mount // nil until Vault was asked
}

var (
	_ store.Store      = (*Store)(nil)
	_ store.Checker    = (*Store)(nil)
	_ store.Dated      = (*Store)(nil)
	_ store.Identifier = (*Store)(nil)
	_ store.Keeper     = (*Store)(nil)
	_ store.Policied   = (*Store)(nil)
	_ store.Purger     = (*Store)(nil)
	_ store.Remarker   = (*Store)(nil)
	_ store.Swapper    = (*Store)(nil)
	_ store.Scheme     = Open
)

// Open is New as a store.Scheme.
func Open(ref store.Ref, opt store.Options) (store.Store, error) { return New(ref, opt) }

// New opens vault:MOUNT/PATH[#FIELD][?OPTION=VALUE&…]. The path is the one that
// `vault kv get` takes, without "data/". Options: address and namespace go
// before their variables; auth says how to get a token (see logins).
//
// New asks Vault nothing. It reads the files of certificates.
func New(ref store.Ref, opt store.Options) (*Store, error) {
	s := &Store{place: ref.Place, field: cmp.Or(ref.Field, opt.DefaultField, DefaultField)}
	err := checkPlace(ref.Place)
	var o *options
	if err == nil {
		o, err = newOptions(ref, opt)
	}
	if err == nil {
		s.conn, err = newConn(o, opt)
	}
	if err != nil {
		return nil, err
	}
	s.ref = store.Ref{Scheme: Scheme, Place: s.place, Field: s.field, Options: o.canonical()}
	s.conn.ref = s.ref.String()
	return s, nil
}

// checkPlace refuses what a request would not carry as it stands (".."), and
// what no Vault policy could name, since it would be read as a pattern.
func checkPlace(place string) error {
	if !strings.Contains(place, "/") {
		return fmt.Errorf("want MOUNT/PATH behind %q", Scheme+":")
	}
	if strings.ContainsAny(place, "*\"\\{}") {
		return fmt.Errorf("%q: a path with one of * \" \\ { } cannot be named in a policy", place)
	}
	if hasControl(place) {
		return fmt.Errorf("%q: want printable characters only", place)
	}
	return checkSegments(place)
}

func checkSegments(path string) error {
	for s := range strings.SplitSeq(path, "/") {
		switch s {
		case "":
			return fmt.Errorf("%q: a '/' too many", path)
		case ".", "..", "+":
			return fmt.Errorf("%q: %q is no name in a path", path, s)
		}
	}
	return nil
}

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (s *Store) String() string { return s.ref.String() }

// Identity tells places apart by Vault's address, the namespace, the path and
// the field. Two addresses of one cluster look like two.
func (s *Store) Identity() string {
	at := s.conn.addr
	if u := s.conn.url; !strings.HasPrefix(at, "unix:") {
		at = fmt.Sprintf("%s://%s:%d%s", u.Scheme, strings.ToLower(u.Hostname()), https.Port(u), u.Path)
	}
	return "vault " + at + " " + strings.TrimLeft(s.conn.namespace()+"/"+s.place, "/") + "#" + s.field
}

// Swaps says whether a write is a real compare-and-swap: with KV version 2. It
// is false until Vault was asked; a Get asks.
func (s *Store) Swaps() bool { return s.mount != nil && s.mount.version == 2 }

// Get returns the key. A secret or field that is missing, deleted or empty is no
// key; a field that is not a string is store.ErrNotSafe.
func (s *Store) Get(ctx context.Context) (secret.Key, store.Version, error) {
	e, err := s.read(ctx, 0)
	if err == nil && e.key.IsZero() {
		err = s.missing(e)
		s.mount = nil // it may have been replaced by another version's in the meantime
	}
	return e.key, store.VersionOf(e.key), err
}

// putTries is how often Put starts again: after an answer that was lost, and
// when another field of the secret changes under its hands.
const putTries = 4

// Put writes next if the key is still that of version at. The number of a
// secret's version is for the check-and-set of each try alone: it also grows
// where somebody changes another field. A write whose answer was lost is looked at
// before it is repeated. An error may still mean that the write was done.
func (s *Store) Put(ctx context.Context, next secret.Key, at store.Version) (store.Version, error) {
	if next.IsZero() || !utf8.ValidString(next.Reveal()) {
		return "", fmt.Errorf("write %s: the new key is empty or not valid UTF-8", s.place)
	}
	s.conn.shows(next)
	var failed error // of the write before, which was to replace this version:
	var replaced int
	lost := false // some write may have been done, or may still be on its way
	for range putTries {
		now, err := s.read(ctx, 0)
		if err != nil {
			return "", err
		}
		if lost && now.key.Equal(next) {
			return store.VersionOf(next), nil // it was done, and only its answer was lost
		}
		if failed != nil && !isUnknown(failed) && now.meta.Version == replaced {
			return "", failed // nobody was faster: it was refused for something else
		}
		if store.VersionOf(now.key) != at {
			return "", fmt.Errorf("%s at %s: %w", now.mount.data(), s.conn.addr, store.ErrConflict)
		}
		if err = s.write(ctx, now, next); err == nil {
			return store.VersionOf(next), nil
		}
		failed, replaced, lost = err, now.meta.Version, lost || isUnknown(err)
		// Vault refuses a check-and-set as it refuses any wrong request. The
		// next look tells whether somebody was faster.
		faster := now.mount.version == 2 && errors.Is(err, ErrRefused)
		if ctx.Err() != nil || !isUnknown(err) && !faster {
			return "", err
		}
	}
	return "", failed
}
