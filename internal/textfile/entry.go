package textfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/secret"
)

// putTries is how often Put starts again when the file changes under its
// hands. An editor saves once; what changes the file five times within
// milliseconds will not stop soon.
const putTries = 5

// keyRoom is how many bytes CheckPut allows for a key and what stands around
// it: the longest that keygen makes has some 200 characters.
const keyRoom = 1024

// probe is the key that CheckPut sets in a copy of the text. It stands nowhere.
const probe = "blnkctl-looks-whether-a-key-can-be-set"

// An Editor knows one format of text, and where in it one value stands. It is
// pure. What it refuses is a *LineError.
type Editor interface {
	// Value returns the value in text; the zero Key where it holds none.
	Value(text []byte) (secret.Key, error)
	// Set returns text with next as the value, and every byte around it as it
	// was. A nil text is that of a file that does not exist yet.
	Set(text []byte, next secret.Key) ([]byte, error)
}

// A LineError says why a text is refused, and on which line. It never holds a
// part of the text: that may be the key.
type LineError struct {
	Line int // from 1; 0 where no line is to blame
	Why  string
}

// Error names the line, not the file.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Why) }

// LineOf is the number of the line, from 1, in which text[at] stands.
func LineOf(text []byte, at int) int {
	return 1 + bytes.Count(text[:min(max(at, 0), len(text))], []byte("\n"))
}

// Terms are what an Entry takes from package store, on whose floor this
// package stands, so that it cannot import it.
type Terms[V ~string] struct {
	NotFound, Conflict, NotSafe error // wrapped
	Version                     func(secret.Key) V
}

// An Entry is one value in a file that is not ours: all of a store in a file
// but the format. V is the type of its versions; see store.Version.
//
// Its methods keep the contract of store.Store and of the interfaces beside
// it. They may be called from one goroutine at a time.
type Entry[V ~string] struct {
	file *File
	name string
	edit Editor
	as   Terms[V]
}

// NewEntry names a value; nothing is read yet. place is the path of the file,
// relative to dir; spareDir is as in Open. name is what a person calls the
// value.
func NewEntry[V ~string](dir, place, spareDir, name string, edit Editor, as Terms[V]) (*Entry[V], error) {
	if place == "" {
		return nil, errors.New("no file named")
	}
	if !filepath.IsAbs(place) {
		place = filepath.Join(dir, place)
	}
	if strings.ContainsAny(place, "#?") {
		// The reference with this path could not be read back as the same.
		return nil, fmt.Errorf("the absolute path %q holds a '#' or '?'", place)
	}
	file, err := Open(place, spareDir)
	if err != nil {
		return nil, err
	}
	return &Entry[V]{file, name, edit, as}, nil
}

// Path is the file's absolute path.
func (e *Entry[V]) Path() string { return e.file.Path() }

// FileIdentity is File.Identity.
func (e *Entry[V]) FileIdentity() string { return e.file.Identity() }

// LockPath is the real folder that holds the file.
func (e *Entry[V]) LockPath() (string, error) { return e.file.Folder() }

// Repair mends what a crashed Put left; see File.Repair.
func (e *Entry[V]) Repair(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.file.Repair()
}

// Text is the whole file; nil where there is none. It may hold keys.
func (e *Entry[V]) Text(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := e.file.Read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if data == nil && err == nil {
		data = []byte{} // empty is not missing
	}
	return data, e.fault(err)
}

// Get returns the value. A missing file and an empty value are none.
func (e *Entry[V]) Get(ctx context.Context) (secret.Key, V, error) {
	text, err := e.Text(ctx)
	if err != nil {
		return secret.Key{}, "", err
	}
	if text == nil {
		return secret.Key{}, "", fmt.Errorf("%s: %w: there is no such file", e.Path(), e.as.NotFound)
	}
	key, err := e.edit.Value(text)
	if err != nil {
		return secret.Key{}, "", e.fault(err)
	}
	if key.IsZero() {
		return secret.Key{}, "", fmt.Errorf("%s: %w: no %s", e.Path(), e.as.NotFound, e.name)
	}
	return key, e.as.Version(key), nil
}

// Put writes next if the value is still that of version at. Somebody else's
// edit of another part of the file, made up to the last moment, is kept: the
// file is read again, and the value set in what stands there then.
func (e *Entry[V]) Put(ctx context.Context, next secret.Key, at V) (V, error) {
	if next.IsZero() || !utf8.ValidString(next.Reveal()) {
		return "", fmt.Errorf("set %s in %s: the new key is empty or not valid UTF-8", e.name, e.Path())
	}
	for range putTries {
		err := e.put(ctx, next, at)
		if err == nil {
			return e.as.Version(next), nil
		}
		if !errors.Is(err, ErrChanged) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: %w: it does not stop changing", e.Path(), e.as.Conflict)
}

func (e *Entry[V]) put(ctx context.Context, next secret.Key, at V) error {
	old, err := e.Text(ctx)
	if err != nil {
		return err
	}
	var now secret.Key
	if old != nil {
		if now, err = e.edit.Value(old); err != nil {
			return e.fault(err)
		}
	}
	switch {
	case e.as.Version(now) == at:
	case old == nil:
		return fmt.Errorf("%s: %w: the file is gone", e.Path(), e.as.Conflict)
	default:
		return fmt.Errorf("%s: %w", e.Path(), e.as.Conflict)
	}
	text, err := e.edit.Set(old, next)
	if err != nil {
		return e.fault(err)
	}
	return e.fault(e.file.Write(old, text))
}

// CheckPut says, without any effect, whether a Put would find a file that it
// can edit, may write it, and has room; and whether the value that stands there
// could be put back.
func (e *Entry[V]) CheckPut(ctx context.Context) error {
	text, err := e.Text(ctx)
	if err != nil {
		return err
	}
	if text != nil {
		now, err := e.edit.Value(text)
		if err == nil && !now.IsZero() {
			_, err = e.edit.Set(text, now)
		}
		if err != nil {
			return e.fault(err)
		}
	}
	next, err := e.edit.Set(text, secret.New(probe))
	if err != nil {
		return e.fault(err)
	}
	return e.fault(e.file.Check(len(next) + keyRoom))
}

// fault gives an error the sentinel that callers of a store know.
func (e *Entry[V]) fault(err error) error {
	var line *LineError
	switch {
	case errors.Is(err, e.as.NotSafe):
		return err
	case errors.As(err, &line) && line.Line > 0:
		return fmt.Errorf("%s:%d: %w: %s", e.Path(), line.Line, e.as.NotSafe, line.Why)
	case errors.As(err, &line):
		return fmt.Errorf("%s: %w: %s", e.Path(), e.as.NotSafe, line.Why)
	case errors.Is(err, ErrNotSafe):
		return fmt.Errorf("%w: %w", e.as.NotSafe, err)
	}
	return err
}
