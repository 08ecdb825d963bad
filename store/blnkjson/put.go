package blnkjson

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// putTries is how often Put starts again when the file changes under its
// hands. An editor saves once; what changes the file five times within
// milliseconds will not stop soon.
const putTries = 5

// keyRoom is how many bytes CheckPut allows for a key and what stands around
// it: the longest that keygen makes has some 200 characters.
const keyRoom = 1024

// Put writes next if the key is still that of version at. Somebody else's edit
// of another part of the file, made up to the last moment, is kept: the file
// is read again, and the value set in what stands there then.
func (s *Store) Put(ctx context.Context, next secret.Key, at store.Version) (store.Version, error) {
	if next.IsZero() || !utf8.ValidString(next.Reveal()) {
		return "", fmt.Errorf("set %s in %s: the new key is empty or not valid UTF-8", s.field, s.file.Path())
	}
	for range putTries {
		err := s.put(ctx, next, at)
		if err == nil {
			return versionOf(next), nil
		}
		if !errors.Is(err, textfile.ErrChanged) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: %w: it does not stop changing", s.file.Path(), store.ErrConflict)
}

func (s *Store) put(ctx context.Context, next secret.Key, at store.Version) error {
	data, text, err := s.edit(ctx, next, at)
	if err != nil {
		return err
	}
	return s.notSafe(s.file.Write(data, text))
}

// edit returns what stands in the file, nil where there is none, and what is
// to stand there.
func (s *Store) edit(ctx context.Context, next secret.Key, at store.Version) (data, text []byte, err error) {
	data, err = s.read(ctx)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, nil, err
	}
	if missing {
		if at != "" {
			return nil, nil, fmt.Errorf("%s: %w: the file is gone", s.file.Path(), store.ErrConflict)
		}
		return nil, newText(s.path, next), nil
	}
	doc, err := s.parse(data)
	if err != nil {
		return nil, nil, err
	}
	if versionOf(doc.key) != at {
		return nil, nil, fmt.Errorf("%s: %w", s.file.Path(), store.ErrConflict)
	}
	text, err = doc.set(next)
	if err != nil {
		return nil, nil, fmt.Errorf("%s:%d: %w: %w", s.file.Path(), doc.line(doc.at()), store.ErrNotSafe, err)
	}
	return data, text, nil
}

// CheckPut says, without any effect, whether a Put would find a file that it
// can edit, may write it, and has room.
func (s *Store) CheckPut(ctx context.Context) error {
	data, err := s.read(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		if _, err := s.parse(data); err != nil {
			return err
		}
	}
	return s.notSafe(s.file.Check(len(data) + keyRoom))
}

func (s *Store) notSafe(err error) error {
	if errors.Is(err, textfile.ErrNotSafe) {
		return fmt.Errorf("%w: %w", store.ErrNotSafe, err)
	}
	return err
}
