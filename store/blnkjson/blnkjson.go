// Package blnkjson is a store in one string value of a Blnk configuration file
// (blnk.json), and edits that value so that every other byte stays.
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
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// Scheme is what references to this store start with.
const Scheme = "blnkjson"

// DefaultField is where Blnk's master key stands (Blnk config/config.go,
// ServerConfig.SecretKey).
const DefaultField = "server.secret_key"

// A Store is one value of one file.
type Store struct {
	file  *textfile.File
	field string   // as in the reference
	path  []string // field, taken apart
}

var (
	_ store.Store      = (*Store)(nil)
	_ store.Checker    = (*Store)(nil)
	_ store.Locker     = (*Store)(nil)
	_ store.Repairer   = (*Store)(nil)
	_ store.Identifier = (*Store)(nil)
	_ store.Scheme     = Open
)

// Open is New as a store.Scheme.
func Open(ref store.Ref, opt store.Options) (store.Store, error) { return New(ref, opt) }

// New opens blnkjson:PATH[#FIELD]. FIELD is a path of names with dots between
// them; a backslash makes the character behind it, a dot for one, part of the
// name. The file is not read, and may be missing.
func New(ref store.Ref, opt store.Options) (*Store, error) {
	if ref.Place == "" {
		return nil, fmt.Errorf("reference %q: no file named", ref)
	}
	for option := range ref.Options {
		return nil, fmt.Errorf("reference %q: unknown option %q", ref, option)
	}
	place := ref.Place
	if !filepath.IsAbs(place) {
		place = filepath.Join(opt.Dir, place)
	}
	if strings.ContainsAny(place, "#?") {
		// String could not be read back as the same reference.
		return nil, fmt.Errorf("reference %q: the absolute path %q holds a '#' or '?'", ref, place)
	}
	field := ref.Field
	if field == "" {
		field = opt.DefaultField
	}
	if field == "" {
		field = DefaultField
	}
	path, err := splitField(field)
	if err != nil {
		return nil, fmt.Errorf("reference %q: %w", ref, err)
	}
	file, err := textfile.Open(place, opt.SpareDir)
	if err != nil {
		return nil, fmt.Errorf("reference %q: %w", ref, err)
	}
	return &Store{file: file, field: field, path: path}, nil
}

func splitField(field string) ([]string, error) {
	var path []string
	var name strings.Builder
	for i := 0; i < len(field); i++ {
		switch c := field[i]; {
		case c == '\\' && i+1 < len(field):
			i++
			name.WriteByte(field[i])
		case c == '.':
			path = append(path, name.String())
			name.Reset()
		default:
			name.WriteByte(c)
		}
	}
	path = append(path, name.String())
	for _, name := range path {
		if name == "" || !utf8.ValidString(name) {
			return nil, fmt.Errorf("field %q: want names with dots between them", field)
		}
	}
	return path, nil
}

// Path is the file's absolute path.
func (s *Store) Path() string { return s.file.Path() }

// String is the reference with the absolute path and the field.
func (s *Store) String() string {
	return store.Ref{Scheme: Scheme, Place: s.file.Path(), Field: s.field}.String()
}

// Identity tells files apart by device and inode, and fields as Blnk does:
// whatever the letter case.
func (s *Store) Identity() string {
	return s.file.Identity() + "#" + strings.ToLower(strings.Join(s.path, "\x00"))
}

// LockPath is the real folder that holds the file.
func (s *Store) LockPath() (string, error) { return s.file.Folder() }

// Repair mends what a crashed Put left; see textfile.File.Repair.
func (s *Store) Repair(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.file.Repair()
}

// Config returns the whole file, for a look at its other settings; nil where
// there is no file, from which Blnk starts too. It may hold keys.
func (s *Store) Config(ctx context.Context) ([]byte, error) {
	data, err := s.read(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Get returns the key as Blnk would read it. A missing file, object or value
// and an empty string are no key.
func (s *Store) Get(ctx context.Context) (secret.Key, store.Version, error) {
	data, err := s.read(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return secret.Key{}, "", fmt.Errorf("%s: %w: there is no such file", s.file.Path(), store.ErrNotFound)
	}
	if err != nil {
		return secret.Key{}, "", err
	}
	doc, err := s.parse(data)
	if err != nil {
		return secret.Key{}, "", err
	}
	if doc.key.IsZero() {
		return secret.Key{}, "", fmt.Errorf("%s: %w: no %s", s.file.Path(), store.ErrNotFound, s.field)
	}
	return doc.key, versionOf(doc.key), nil
}

// versionOf is that of the key alone. The SHA-256 of a weak key gives it away
// to who guesses: a Version is compared, never shown.
func versionOf(key secret.Key) store.Version {
	if key.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(key.Reveal()))
	return store.Version(hex.EncodeToString(sum[:]))
}

func (s *Store) read(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := s.file.Read()
	if errors.Is(err, textfile.ErrNotSafe) {
		return nil, fmt.Errorf("%w: %w", store.ErrNotSafe, err)
	}
	return data, err
}

func (s *Store) parse(data []byte) (*document, error) {
	doc, err := parse(data, s.path)
	if err != nil {
		var bad *badJSON
		if errors.As(err, &bad) {
			return nil, fmt.Errorf("%s:%d: %w: %s", s.file.Path(), bad.line, store.ErrNotSafe, bad.why)
		}
		return nil, fmt.Errorf("%s: %w", s.file.Path(), err)
	}
	return doc, nil
}
