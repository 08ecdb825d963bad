package vault

import (
	"errors"
	"fmt"
)

// Errors that a caller takes a decision on, or has advice for. No error of this
// package holds a key, a token, or what was sent to Vault.
var (
	// ErrSealed: nothing can be read or written until somebody unseals Vault.
	// A write that met it may have been done or not.
	ErrSealed = errors.New("the Vault server is sealed")
	// ErrStandby: the server that answered is no active one, and knows none.
	ErrStandby = errors.New("no Vault server is active")
	// ErrNoToken: there is no token and no way to get one. See MissingError.
	ErrNoToken = errors.New("no Vault token")
	// ErrToken: Vault does not take the token any more, or never did.
	ErrToken = errors.New("the token is not taken by Vault")
	// ErrLogin: Vault did not give a token for what it was shown.
	ErrLogin = errors.New("the login is refused by Vault")
	// ErrDenied: the token is good, but lacks a right. See DeniedError.
	ErrDenied = errors.New("permission denied")
	// ErrNoMount: the token may use the path, but no secrets engine is there.
	ErrNoMount = errors.New("no secrets engine is mounted there")
	// ErrNotKV: what is mounted there is no KV secrets engine.
	ErrNotKV = errors.New("not a KV secrets engine")
	// ErrThrottled: a rate limit of Vault, also after waiting.
	ErrThrottled = errors.New("a rate limit of Vault is reached")
	// ErrUnreachable: no connection, or no answer in time.
	ErrUnreachable = errors.New("no answer from Vault")
	// ErrTLS: the connection is not safe: an unknown certificate, say.
	ErrTLS = errors.New("no safe connection to Vault")
	// ErrNotTLS: plain http, perhaps, where the address says https. It is ErrTLS.
	ErrNotTLS = fmt.Errorf("%w: "+noTLS, ErrTLS)
	// ErrPlaintext: the address would carry the key in clear over a network.
	ErrPlaintext = errors.New("plain http to another machine would show the key to the network")
	// ErrOdd: what answered does not speak as Vault does.
	ErrOdd = errors.New("what answered does not speak as Vault does")
	// ErrRefused: Vault took the request for wrong, or failed with it.
	ErrRefused = errors.New("the request is refused by Vault")
)

// A DeniedError says which right the token lacks. It is ErrDenied.
type DeniedError struct {
	Path       string // as a policy names it
	Capability string // as a policy names it: read, create, update
	// Maybe: Vault does not say whether the token lacks the right or the path
	// does not exist.
	Maybe bool
}

// Error names the path and the capability.
func (e *DeniedError) Error() string {
	text := ErrDenied.Error() + ": the token lacks the capability \"" + e.Capability + "\" on \"" + e.Path + "\""
	if e.Maybe {
		text += ", or nothing is mounted there"
	}
	return text
}

// Unwrap returns ErrDenied.
func (e *DeniedError) Unwrap() error { return ErrDenied }

// A MissingError says which of the secrets that the reference speaks of is not
// there, or cannot be read. It is ErrNoToken unless Vault itself asked for it.
type MissingError struct {
	Secret string // as options name it: "secret-id", "token"
	Option string // of the reference, that says where it should be; "" for none
	Place  string // the variable or file of that option, "-" for standard input
	Env    string // the variable that is read where there is no such option; "" for none
	Err    error
}

// Error is that of what went wrong, which names the secret or its place.
func (e *MissingError) Error() string { return e.Err.Error() }

// Unwrap returns what went wrong.
func (e *MissingError) Unwrap() error { return e.Err }
