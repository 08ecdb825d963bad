package vault

import (
	"errors"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// Errors that a caller takes a decision on, with what helps. No error of this
// package holds a key, a token, or what was sent to Vault.
var (
	// ErrSealed: nothing can be read or written until somebody unseals Vault.
	// A write that met it may have been done or not.
	ErrSealed = hint.Add(errors.New("the Vault server is sealed"), "unseal it first: vault operator unseal")
	// ErrStandby: the server that answered is no active one, and knows none.
	ErrStandby = hint.Add(errors.New("no Vault server is active"), "name an active server with VAULT_ADDR")
	// ErrElsewhere: a redirect to where the token must not go.
	ErrElsewhere = hint.Add(errors.New("Vault sends to another address, where the token does not go"), "name the active server with VAULT_ADDR: vault status")
	// ErrNoToken: there is no token and no way to get one.
	ErrNoToken = hint.Add(errors.New("no Vault token"), "vault login, or set VAULT_TOKEN, or name a login: 'vault:PATH?auth=approle&…'")
	// ErrToken: Vault does not take the token any more, or never did.
	ErrToken = hint.Add(errors.New("the token is not taken by Vault"), "get a new one: vault login")
	// ErrLogin: Vault did not give a token for what it was shown.
	ErrLogin = hint.Add(errors.New("the login is refused by Vault"), "look at what the login in the reference shows to Vault: docs/vault-store.md")
	// ErrDenied: the token is good, but lacks a right.
	ErrDenied = hint.Add(errors.New("permission denied"), "blnkctl config policy prints the policy that a rotation needs")
	// ErrNoMount: the token may use the path, but no secrets engine is there.
	ErrNoMount = hint.Add(errors.New("no secrets engine is mounted there"), "look at the mounts: vault secrets list")
	// ErrNotKV: what is mounted there is no KV secrets engine.
	ErrNotKV = hint.Add(errors.New("not a KV secrets engine"), "name a path in a KV secrets engine: vault secrets list")
	// ErrThrottled: a rate limit of Vault, also after waiting.
	ErrThrottled = hint.Add(errors.New("a rate limit of Vault is reached"), "wait, and run this again")
	// ErrUnreachable: no connection, or no answer in time.
	ErrUnreachable = hint.Add(errors.New("no answer from Vault"), "is VAULT_ADDR right, and does the Vault server run?")
	// ErrTLS: the connection is not safe: an unknown certificate, say.
	ErrTLS = hint.Add(errors.New("no safe connection to Vault"), "name the CA with VAULT_CACERT")
	// ErrOdd: what answered does not speak as Vault does.
	ErrOdd = errors.New("what answered does not speak as Vault does")
	// ErrRefused: Vault took the request for wrong, or failed with it.
	ErrRefused = errors.New("the request is refused by Vault")
	// ErrHidden: Purge could not look into some versions, which it names.
	ErrHidden = errors.New("versions that are deleted, but not destroyed, are left")
)
