// Package blnkjson is a store in one string value of a Blnk configuration file
// (blnk.json), or one that is true or false, and edits that value so that every other
// byte stays.
//
// It reads the file as Blnk does, with the rules of Go's encoding/json: names
// match whatever their letter case. Where Blnk would guess, it refuses: a name
// that is there twice on the way to the key, data behind the JSON value, a
// value that is not a string.
//
// It does not promise that a running server uses the value: Blnk reads the
// file once, at its start, and its environment wins over the file. What package
// textfile does not promise, this package does not either.
package blnkjson

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/filestore"
)

// Scheme is what references to this store start with.
const Scheme = "blnkjson"

// DefaultField is where Blnk's master key stands (Blnk config/config.go,
// ServerConfig.SecretKey).
const DefaultField = "server.secret_key"

// A Store is one value of one file.
type Store struct{ *filestore.Store }

var (
	_ store.Store  = (*Store)(nil)
	_ store.Scheme = Open

	_ filestore.Editor = editor{}
)

// Open is New as a store.Scheme.
func Open(ref store.Ref, opt store.Options) (store.Store, error) { return New(ref, opt) }

// New opens blnkjson:PATH[#FIELD]. FIELD is a path of names with dots between
// them: no name of Blnk's has a dot. The file is not read, and may be missing.
func New(ref store.Ref, opt store.Options) (*Store, error) {
	ref.Field = cmp.Or(ref.Field, opt.DefaultField, DefaultField)
	path, err := splitField(ref.Field)
	if err != nil {
		return nil, err
	}
	// Blnk matches names whatever their letter case.
	truth := slices.ContainsFunc(blnk.Settings(), func(s blnk.Setting) bool { return s.Bool && strings.EqualFold(string(s.Name), ref.Field) })
	s, err := filestore.New(ref, opt, strings.ToLower(strings.Join(path, "\x00")), editor{path, truth})
	if err != nil {
		return nil, err
	}
	return &Store{s}, nil
}

func splitField(field string) ([]string, error) {
	path := strings.Split(field, ".")
	if slices.Contains(path, "") || !utf8.ValidString(field) {
		return nil, fmt.Errorf("field %q: want names with dots between them", field)
	}
	return path, nil
}

// Config returns the whole file, for a look at its other settings; nil where
// there is no file, from which Blnk starts too. It may hold keys.
func (s *Store) Config(ctx context.Context) ([]byte, error) { return s.Text(ctx) }

// An editor knows the way to the value in a JSON text. A missing object or value
// and an empty string are no key.
type editor struct {
	path []string
	// truth: it is true or false (a setting that Blnk reads as one), and stands for
	// the texts of that name.
	truth bool
}

// Value reads the key as Blnk would.
func (e editor) Value(text []byte) (secret.Key, error) {
	doc, err := e.parse(text)
	if err != nil {
		return secret.Key{}, err
	}
	return doc.key, nil
}

// Set puts next in the place of the value, or adds it.
func (e editor) Set(text []byte, next secret.Key) ([]byte, error) {
	if e.truth && next.Reveal() != "true" && next.Reveal() != "false" {
		return nil, &filestore.LineError{Why: "the value of " + strings.Join(e.path, ".") + " can be true or false only"}
	}
	if text == nil {
		return e.newText(next), nil
	}
	doc, err := e.parse(text)
	if err != nil {
		return nil, err
	}
	return doc.set(next)
}
