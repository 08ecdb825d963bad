package store

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/blnkctl/blnkctl/internal/ref"
)

// A Ref is a reference to a store.
type Ref = ref.Ref

// Options is what opening a store may need from its surroundings.
type Options struct {
	// Dir is where relative places start. It must be absolute.
	Dir string
	// CopyDir is a private folder (0700) in which a store may keep the copy
	// of a file that it must write in place. It may not exist yet.
	CopyDir string
	// DefaultField replaces the scheme's own default field: keygen --for
	// chooses another one. "" leaves the scheme's.
	DefaultField string
	// Env is the environment ("NAME=value", of a repeated name the last) for
	// secrets that a reference names by their variables. nil is an empty one.
	// (Vault's own client reads its VAULT_* variables of this process.)
	Env []string
	// Stdin is where a reference that names "-" reads a secret from. nil is
	// an empty one. It is read when the store is first used.
	Stdin io.Reader
	// Proxy is the URL of a proxy for places that are asked over HTTP. ""
	// uses none, whatever the environment says.
	Proxy string
	// AllowPlaintext permits plain http to another machine.
	AllowPlaintext bool
}

// A Scheme opens the stores of one scheme. Opening reads nothing that could
// fail for want of a network; it refuses a reference that it does not
// understand.
type Scheme func(ref Ref, opt Options) (Store, error)

// Schemes is the table of what can be opened, by scheme name.
type Schemes map[string]Scheme

// Open reads text as a reference and opens its store. Errors name the reference.
func (s Schemes) Open(text string, opt Options) (Store, error) {
	r, err := ref.Parse(text)
	known := slices.Collect(maps.Keys(s))
	if err != nil {
		return nil, ref.Meant(err, text, known)
	}
	open, ok := s[r.Scheme]
	if !ok {
		return nil, ref.Unknown("reference", text, r.Scheme, known)
	}
	one, err := open(r, opt)
	if err != nil {
		return nil, ref.Meant(fmt.Errorf("reference %q: %w", r.Redacted(), err), text, known)
	}
	return one, nil
}
