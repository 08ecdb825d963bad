// Package dotenv is a store in one variable of an env file (.env), and edits
// that variable so that every other byte stays.
//
// It takes the file apart where docker compose does (compose-go's package
// dotenv), and reads the value of its variable where compose, a shell and a
// person agree on it: plain, or in quotes, on one line. What is clever is refused:
// a "$" outside of single quotes, an escape of anything but the quotes' own, a
// name without a value, something behind a closing quote.
//
// A key of letters, digits and a few signs is written without quotes: compose,
// `docker run --env-file` and a shell then read the same. Any other key is
// written so that compose and a shell agree, or refused; `docker run
// --env-file` takes quotes for a part of the value.
//
// It does not promise that a running server uses the value: a container has the
// environment that it was created with, and `environment:` of a compose file
// and the shell that compose runs in win over an env file. What package
// textfile does not promise, this package does not either.
package dotenv

import (
	"cmp"
	"fmt"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/filestore"
)

// Scheme is what references to this store start with.
const Scheme = "dotenv"

// DefaultName is the variable from which Blnk takes its master key (Blnk
// config/config.go, ServerConfig.SecretKey).
const DefaultName = "BLNK_SERVER_SECRET_KEY"

// A Store is one variable of one file.
type Store struct{ *filestore.Store }

var (
	_ store.Store  = (*Store)(nil)
	_ store.Scheme = Open

	_ filestore.Editor = editor("")
)

// Open is New as a store.Scheme.
func Open(ref store.Ref, opt store.Options) (store.Store, error) { return New(ref, opt) }

// New opens dotenv:PATH[#NAME]. The file is not read, and may be missing.
func New(ref store.Ref, opt store.Options) (*Store, error) {
	ref.Field = cmp.Or(ref.Field, opt.DefaultField, DefaultName)
	if !run.IsVariable(ref.Field) {
		return nil, fmt.Errorf("%q cannot be the name of a variable", ref.Field)
	}
	s, err := filestore.New(ref, opt, ref.Field, editor(ref.Field))
	if err != nil {
		return nil, err
	}
	return &Store{s}, nil
}
