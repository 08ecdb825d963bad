// Package vault is a store in one field of a secret of HashiCorp Vault's KV
// secrets engine, version 1 or 2, whichever the mount turns out to be.
//
// The other fields of the secret stay as they are. A write to version 2 is a
// check-and-set, so that of all writers in the world only one gets through;
// version 1 has nothing of that kind, and Remarks says so.
//
// Vault is found as its own command finds it, through the VAULT_* variables:
// VAULT_ADDR, VAULT_AGENT_ADDR, VAULT_NAMESPACE, VAULT_TOKEN, VAULT_CACERT,
// VAULT_CACERT_BYTES, VAULT_CAPATH, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY,
// VAULT_TLS_SERVER_NAME, VAULT_SKIP_VERIFY, VAULT_CLIENT_TIMEOUT,
// VAULT_MAX_RETRIES, VAULT_HEADERS and VAULT_DISABLE_REDIRECTS. They come from
// store.Options.Env. VAULT_PROXY_ADDR is not among them: a proxy is used only
// where store.Options names one. Neither is a token helper program; the file
// that Vault's own helper writes, ~/.vault-token, is read.
//
// It does not promise that Vault keeps what it took: that is its storage's and
// its replication's business. It does not log out: a token that it got from a
// login lives until Vault ends it. It does not run while nobody calls it: a
// token is renewed when it is used.
package vault

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// Scheme is what references to this store start with.
const Scheme = "vault"

// DefaultField is the field of the secret that holds the key where neither the
// reference nor the options name one.
const DefaultField = "secret_key"

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
	_ store.Policied   = (*Store)(nil)
	_ store.Purger     = (*Store)(nil)
	_ store.Remarker   = (*Store)(nil)
	_ store.Swapper    = (*Store)(nil)
	_ store.Scheme     = Open
)

// Open is New as a store.Scheme.
func Open(ref store.Ref, opt store.Options) (store.Store, error) { return New(ref, opt) }

// New opens vault:MOUNT/PATH[#FIELD][?OPTION=VALUE&…]. The path is the one that
// `vault kv get` takes, without "data/".
//
// Options: address and namespace go before VAULT_ADDR and VAULT_NAMESPACE.
// auth says how to get a token; see the table of logins. A secret that a login
// needs is never part of the reference: NAME-file names a file ("-" is
// standard input), NAME-env a variable.
//
// New asks Vault nothing. It reads the files of certificates.
func New(ref store.Ref, opt store.Options) (*Store, error) {
	s, err := newStore(ref, opt)
	if err != nil {
		return nil, fmt.Errorf("reference %q: %w", ref.Redacted(), err)
	}
	return s, nil
}

func newStore(ref store.Ref, opt store.Options) (*Store, error) {
	if err := checkPlace(ref.Place); err != nil {
		return nil, err
	}
	o, err := newOptions(ref, opt)
	if err != nil {
		return nil, err
	}
	field := ref.Field
	if field == "" {
		field = opt.DefaultField
	}
	if field == "" {
		field = DefaultField
	}
	c, err := newConn(o, opt)
	if err != nil {
		return nil, err
	}
	s := &Store{place: ref.Place, field: field, conn: c}
	s.ref = store.Ref{Scheme: Scheme, Place: ref.Place, Field: field, Options: o.canonical()}
	return s, nil
}

// checkPlace refuses what a request would not carry as it stands (".."), and
// what no Vault policy could name, since it would be read as a pattern.
func checkPlace(place string) error {
	if !strings.Contains(place, "/") {
		return fmt.Errorf("want MOUNT/PATH behind %q", Scheme+":")
	}
	if err := checkSegments(place); err != nil {
		return err
	}
	if strings.ContainsAny(place, "*\"\\{}") {
		return fmt.Errorf("%q: a path with one of * \" \\ { } cannot be named in a policy", place)
	}
	if i := strings.IndexFunc(place, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		return fmt.Errorf("%q: want printable characters only", place)
	}
	return nil
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

// String is the reference with the field, Vault's address and everything that
// the reference itself said.
func (s *Store) String() string { return s.ref.String() }

// Identity tells places apart by Vault's address, the namespace, the path and
// the field. Two addresses of one cluster look like two.
func (s *Store) Identity() string {
	path := s.place
	if s.conn.namespace != "" {
		path = s.conn.namespace + "/" + path
	}
	return "vault " + s.conn.origin + " " + path + "#" + s.field
}

// Swaps says whether a write is a real compare-and-swap: with KV version 2. It
// is false until Vault was asked; a Get asks.
func (s *Store) Swaps() bool { return s.mount != nil && s.mount.version == 2 }

// Get returns the key and the version of the secret that holds it: its number
// with KV version 2, a hash of the key with version 1. A secret or field that
// is missing, deleted or empty is no key; a field that is not a string is
// store.ErrNotSafe.
func (s *Store) Get(ctx context.Context) (secret.Key, store.Version, error) {
	e, err := s.read(ctx, 0)
	if err != nil {
		return secret.Key{}, "", err
	}
	if e.key.IsZero() {
		// A mount may have been made anew, as another version, in the meantime.
		missing := s.missing(e)
		s.mount = nil
		return secret.Key{}, "", missing
	}
	return e.key, e.version(), nil
}
