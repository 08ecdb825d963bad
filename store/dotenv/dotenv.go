// Package dotenv is a store in one variable of an env file (.env), and edits
// that variable so that every other byte stays.
//
// It reads the file as docker compose does (compose-go's package dotenv):
// quotes, escapes, "$" interpolation, inline comments, values over several
// lines, the last of a repeated name. What compose takes but no person means
// (a name without a value at the end of the file, something behind a closing
// quote) is refused, and so is a value that the file alone does not tell: one
// with a variable that stands nowhere in front of it in the file.
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
	"fmt"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/store"
)

// Scheme is what references to this store start with.
const Scheme = "dotenv"

// DefaultName is the variable from which Blnk takes its master key (Blnk
// config/config.go, ServerConfig.SecretKey).
const DefaultName = "BLNK_SERVER_SECRET_KEY"

// A Store is one variable of one file. The methods that it does not have
// itself are those of an entry in any file.
type Store struct {
	entry
	name string
}

type entry = textfile.Entry[store.Version]

var (
	_ store.Store      = (*Store)(nil)
	_ store.Checker    = (*Store)(nil)
	_ store.Locker     = (*Store)(nil)
	_ store.Repairer   = (*Store)(nil)
	_ store.Identifier = (*Store)(nil)
	_ store.Scheme     = Open

	_ textfile.Editor = editor("")
)

// Open is New as a store.Scheme.
func Open(ref store.Ref, opt store.Options) (store.Store, error) { return New(ref, opt) }

// New opens dotenv:PATH[#NAME]. The file is not read, and may be missing.
func New(ref store.Ref, opt store.Options) (*Store, error) {
	if err := ref.NoOptions(); err != nil {
		return nil, err
	}
	name := ref.Field
	if name == "" {
		name = opt.DefaultField
	}
	if name == "" {
		name = DefaultName
	}
	if !run.IsVariable(name) {
		return nil, fmt.Errorf("reference %q: %q cannot be the name of a variable", ref, name)
	}
	e, err := textfile.NewEntry(opt.Dir, ref.Place, opt.SpareDir, name, editor(name), textfile.Terms[store.Version]{
		NotFound: store.ErrNotFound, Conflict: store.ErrConflict, NotSafe: store.ErrNotSafe, Version: store.VersionOf,
	})
	if err != nil {
		return nil, fmt.Errorf("reference %q: %w", ref, err)
	}
	return &Store{*e, name}, nil
}

// String is the reference with the absolute path and the name.
func (s *Store) String() string {
	return store.Ref{Scheme: Scheme, Place: s.Path(), Field: s.name}.String()
}

// Identity tells files apart by device and inode, and names by every letter.
func (s *Store) Identity() string { return s.FileIdentity() + "#" + s.name }
