// Package filestore is all of a store in a file that is not ours but the format:
// one value of one file, whose format an Editor knows.
//
// What package textfile does not promise, this package does not either.
package filestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// putTries is how often Put starts again when the file changes under its
// hands. An editor saves once; what changes the file five times within
// milliseconds will not stop soon.
const putTries = 5

// probe is the key that CheckPut sets in a copy of the text. It stands nowhere.
const probe = "blnkctl-looks-whether-a-key-can-be-set"

// Empty is the Editor's Absence of a value that is there, and empty.
const Empty = "empty"

// An Editor knows one format of text, and where in it one value stands. It is
// pure. What it refuses is a *LineError.
type Editor interface {
	// Value returns the value in text; the zero Key where it holds none.
	Value(text []byte) (secret.Key, error)
	// Set returns text with next as the value, and every byte around it as it
	// was. A nil text is that of a file that does not exist yet.
	Set(text []byte, next secret.Key) ([]byte, error)
	// Absence says how a text looks that holds no value: Empty, where an empty one stands
	// there; else in words of the format's own.
	Absence(text []byte) string
	// Unset returns texts without the value to which Set may have added it, or an empty
	// one, the likeliest first; everything else in them is as it was.
	Unset(text []byte) [][]byte
}

// A LineError says why a text is refused, and on which line. It never holds a
// part of the text: that may be the key.
type LineError struct {
	Line  int // from 1; 0 where no line is to blame
	Why   string
	Field string // the value comes from this field of the same file
}

// Error names the line, not the file.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Why) }

// LineOf is the number of the line, from 1, in which text[at] stands.
func LineOf(text []byte, at int) int {
	return 1 + bytes.Count(text[:min(max(at, 0), len(text))], []byte("\n"))
}

// A Store is one value of one file.
type Store struct {
	file  *textfile.File
	ref   store.Ref // with the absolute path
	field string    // as Identity compares it
	edit  Editor
}

var (
	_ store.Store      = (*Store)(nil)
	_ store.Checker    = (*Store)(nil)
	_ store.Locker     = (*Store)(nil)
	_ store.Repairer   = (*Store)(nil)
	_ store.Identifier = (*Store)(nil)
	_ store.Eraser     = (*Store)(nil)
)

// New names the value that ref says, whose field is written out. Nothing is read
// yet, and the file may be missing. field tells fields of one file apart.
func New(ref store.Ref, opt store.Options, field string, edit Editor) (*Store, error) {
	if err := ref.NoOptions(); err != nil {
		return nil, err
	}
	if ref.Place == "" {
		return nil, errors.New("no file named")
	}
	place := ref.Place
	if !filepath.IsAbs(place) {
		place = filepath.Join(opt.Dir, place)
	}
	file := textfile.Open(place, opt.CopyDir)
	ref.Place = file.Path()
	return &Store{file, ref, field, edit}, nil
}

// Path is the file's absolute path.
func (s *Store) Path() string { return s.file.Path() }

// String is the reference with the absolute path and the field.
func (s *Store) String() string { return s.ref.String() }

// Identity tells files apart by device and inode.
func (s *Store) Identity() string { return s.file.Identity() + "#" + s.field }

// LockPath is the real folder that holds the file.
func (s *Store) LockPath() (string, error) { return s.file.Folder() }

// Repair mends what a crashed Put left; see textfile.File.Repair.
func (s *Store) Repair(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.file.Repair()
}

// Text is the whole file; nil where there is none. It may hold keys.
func (s *Store) Text(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := s.file.Read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if data == nil && err == nil {
		data = []byte{} // empty is not missing
	}
	return data, s.fault(err)
}

// Get returns the value. A missing file and an empty value are none.
func (s *Store) Get(ctx context.Context) (secret.Key, store.Version, error) {
	text, err := s.Text(ctx)
	if err != nil {
		return secret.Key{}, "", err
	}
	if text == nil {
		return secret.Key{}, "", hint.Add(fmt.Errorf("%s: %w: there is no such file", s.Path(), store.ErrNotFound),
			"name the file that the server reads with --store, or cd to its folder")
	}
	key, err := s.edit.Value(text)
	if err != nil {
		return secret.Key{}, "", s.fault(err)
	}
	if key.IsZero() {
		return secret.Key{}, "", fmt.Errorf("%s: %w: no %s", s.Path(), store.ErrNotFound, s.ref.Field)
	}
	return key, store.VersionOf(key), nil
}

// Put writes next if the value is still that of version at. Somebody else's
// edit of another part of the file, made up to the last moment, is kept: the
// file is read again, and the value set in what stands there then.
func (s *Store) Put(ctx context.Context, next secret.Key, at store.Version) (store.Version, error) {
	if next.IsZero() || !utf8.ValidString(next.Reveal()) {
		return "", fmt.Errorf("set %s in %s: the new key is empty or not valid UTF-8", s.ref.Field, s.Path())
	}
	set := func(text []byte) ([]byte, error) { return s.edit.Set(text, next) }
	if err := s.change(ctx, at, set); err != nil {
		return "", err
	}
	return store.VersionOf(next), nil
}

// Absence says how the file looks where it holds no value; "" where it holds one.
func (s *Store) Absence(ctx context.Context) (string, error) {
	text, err := s.Text(ctx)
	if err != nil {
		return "", err
	}
	if key, err := s.edit.Value(text); text != nil && (err != nil || !key.IsZero()) {
		return "", s.fault(err)
	}
	return s.edit.Absence(text), nil
}

// Erase takes the value out again, so that the file looks as absence says: byte for byte
// as it was, where nobody else has changed it.
func (s *Store) Erase(ctx context.Context, at store.Version, absence string) error {
	return s.change(ctx, at, func(text []byte) ([]byte, error) {
		now, err := s.edit.Value(text)
		if err != nil {
			return nil, err
		}
		var best []byte
		rank := 0
		for _, before := range s.edit.Unset(text) {
			form := s.edit.Absence(before)
			if (form == Empty) != (absence == Empty) {
				continue
			}
			again, err := s.edit.Set(before, now)
			worth := 1
			if err == nil && bytes.Equal(again, text) {
				worth = 2
			}
			if form == absence {
				worth += 2
			}
			if worth > rank {
				best, rank = before, worth
			}
		}
		if key, err := s.edit.Value(best); rank == 0 || err != nil || !key.IsZero() {
			return nil, &LineError{Why: "the value cannot be taken out without a change to something else"}
		}
		return best, nil
	})
}

// change edits the text that holds the value of version at, again where somebody else
// changes something beside it meanwhile.
func (s *Store) change(ctx context.Context, at store.Version, edit func([]byte) ([]byte, error)) error {
	for range putTries {
		if err := s.changeOnce(ctx, at, edit); !errors.Is(err, textfile.ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("%s: %w: it does not stop changing", s.Path(), store.ErrConflict)
}

func (s *Store) changeOnce(ctx context.Context, at store.Version, edit func([]byte) ([]byte, error)) error {
	old, err := s.Text(ctx)
	if err != nil {
		return err
	}
	var now secret.Key
	if old != nil {
		if now, err = s.edit.Value(old); err != nil {
			return s.fault(err)
		}
	}
	switch {
	case store.VersionOf(now) == at:
	case old == nil:
		return fmt.Errorf("%s: %w: the file is gone", s.Path(), store.ErrConflict)
	default:
		return fmt.Errorf("%s: %w", s.Path(), store.ErrConflict)
	}
	text, err := edit(old)
	if err != nil {
		return s.fault(err)
	}
	return s.fault(s.file.Write(old, text))
}

// CheckPut says, without any effect, whether a Put would find a file that it
// can edit and may write; and whether the value that stands there could be put
// back.
func (s *Store) CheckPut(ctx context.Context) error {
	text, err := s.Text(ctx)
	if err != nil {
		return err
	}
	if text != nil {
		now, err := s.edit.Value(text)
		if err == nil && !now.IsZero() {
			_, err = s.edit.Set(text, now)
		}
		if err != nil {
			return s.fault(err)
		}
	}
	_, err = s.edit.Set(text, secret.New(probe))
	if err != nil { // a setting that is true or false
		_, err = s.edit.Set(text, secret.New("true"))
	}
	if err != nil {
		return s.fault(err)
	}
	return s.fault(s.file.Check())
}

// fault gives an error the sentinel that callers of a store know, and the file
// to its line.
func (s *Store) fault(err error) error {
	line, ok := errors.AsType[*LineError](err)
	switch {
	case !ok && errors.Is(err, textfile.ErrNotSafe):
		return fmt.Errorf("%w: %w", store.ErrNotSafe, err)
	case !ok:
		return err
	case line.Line == 0:
		return fmt.Errorf("%s: %w: %s", s.Path(), store.ErrNotSafe, line.Why)
	}
	err = fmt.Errorf("%s:%d: %w: %s", s.Path(), line.Line, store.ErrNotSafe, line.Why)
	if line.Field != "" {
		there := s.ref
		there.Field = line.Field
		return hint.Add(err, "name the field that holds the key: %s", hint.Command("--store", there.String()))
	}
	return err
}
