package vault

import (
	"errors"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// Errors that a caller takes a decision on, with what helps. No error of this
// package holds a key, a token, or what was sent to Vault.
var (
	ErrSealed      = hint.Add(errors.New("the Vault server is sealed"), "unseal it first: vault operator unseal")
	ErrStandby     = hint.Add(errors.New("no Vault server is active"), "name an active server with VAULT_ADDR")
	ErrElsewhere   = hint.Add(errors.New("Vault sends to another address, where the token does not go"), "name the active server with VAULT_ADDR: vault status")
	ErrNoToken     = hint.Add(errors.New("no Vault token"), "vault login, or set VAULT_TOKEN, or name a login: 'vault:PATH?auth=approle&…'")
	ErrToken       = hint.Add(errors.New("the token is not taken by Vault"), "get a new one: vault login")
	ErrLogin       = hint.Add(errors.New("the login is refused by Vault"), "look at what the login in the reference shows to Vault: docs/vault-store.md")
	ErrDenied      = hint.Add(errors.New("permission denied"), "blnkctl config policy prints the policy that a rotation needs")
	ErrNoMount     = hint.Add(errors.New("no secrets engine is mounted there"), "look at the mounts: vault secrets list")
	ErrNotKV       = hint.Add(errors.New("not a KV secrets engine"), "name a path in a KV secrets engine: vault secrets list")
	ErrThrottled   = hint.Add(errors.New("a rate limit of Vault is reached"), "wait, and run this again")
	ErrUnreachable = hint.Add(errors.New("no answer from Vault"), "is VAULT_ADDR right, and does the Vault server run?")
	ErrTLS         = hint.Add(errors.New("no safe connection to Vault"), "name the CA with VAULT_CACERT")
	ErrOdd         = errors.New("what answered does not speak as Vault does")
	ErrRefused     = errors.New("the request is refused by Vault")
	ErrHidden      = errors.New("versions that are deleted, but not destroyed, are left")
)
