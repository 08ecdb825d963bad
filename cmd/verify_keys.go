package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A suspect is a key in question, and where it was found.
type suspect struct {
	key  secret.Key
	from []string
}

// suspects collects keys; one that several places hold is one key.
type suspects []suspect

func (s *suspects) add(key secret.Key, from string) {
	for i := range *s {
		if (*s)[i].key.Equal(key) {
			(*s)[i].from = append((*s)[i].from, from)
			return
		}
	}
	*s = append(*s, suspect{key, []string{from}})
}

// keys are the keys alone.
func (s suspects) keys() []secret.Key {
	var keys []secret.Key
	for _, one := range s {
		keys = append(keys, one.key)
	}
	return keys
}

// readSuspects reads the keys of the stores and of --key-file; with neither it
// asks for one.
func readSuspects(ctx context.Context, a *app, opt *verifyOptions, stores []store.Store) (suspects, error) {
	all, err := readStores(ctx, stores)
	if err != nil || (opt.keyFile == "" && len(stores) > 0) {
		return all, err
	}
	text, from, err := readSecret(ctx, a, opt.keyFile)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fail(exitUsage, fmt.Errorf("key from %s: %w", from, err), "")
	}
	all.add(key, from)
	return all, nil
}

func readStores(ctx context.Context, stores []store.Store) (suspects, error) {
	var all suspects
	for _, s := range stores {
		key, _, err := s.Get(ctx)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fail(exitCheck, err, "")
		}
		if err != nil {
			return nil, err
		}
		if !blnk.Sendable(key) {
			return nil, fail(exitCheck, fmt.Errorf("key in %s: %w", s, probe.ErrUnsendable), "")
		}
		all.add(key, s.String())
	}
	return all, nil
}

// readSecret reads the text of a key from a file, from stdin ("-") or, without
// either, from a person at the terminal. It says where the text came from.
func readSecret(ctx context.Context, a *app, file string) (text, from string, err error) {
	switch {
	case file == "" && !a.canAsk():
		return "", "", usage("read it from a file or a pipe with --key-file FILE or --key-file -",
			"no --store and no --key-file, and no terminal to ask for a key")
	case file == "", file == "-" && a.canAsk():
		text, err = a.askHidden(ctx, "Key (it is not shown): ")
		return text, "the terminal", err
	case file == "-":
		text, err = await(ctx, func() (string, error) { return readShort(a.env.Stdin) })
		return text, "stdin", wrapRead("stdin", err)
	}
	path, err := a.abs(file)
	if err != nil {
		return "", "", err
	}
	// Opening a FIFO waits for who writes into it.
	text, err = await(ctx, func() (string, error) { return readFile(path) })
	if opening, ok := errors.AsType[*fs.PathError](err); ok && opening.Op == "open" {
		// Somebody may have taken the flag for the key itself.
		if len(file) > maxShown || strings.Contains(file, secret.Prefix) {
			err = errors.New("no such file (the flag wants the name of a file, not a key)")
		}
		return "", "", fail(exitUsage, fmt.Errorf("--key-file: %w", err), "")
	}
	return text, file, wrapRead(file, err)
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readShort(f)
}

func wrapRead(from string, err error) error {
	if err != nil {
		return fmt.Errorf("read the key from %s: %w", from, err)
	}
	return nil
}

// readShort reads at most what a header line could carry; more is no key.
func readShort(r io.Reader) (string, error) {
	const limit = 64 << 10
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && len(data) > limit {
		err = errors.New("too long for a key")
	}
	return string(data), err
}

// parseKey strips one trailing newline, which editors and echo leave, and
// refuses what no key that was copied whole holds: other control characters
// and white space.
func parseKey(text string) (secret.Key, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	switch {
	case text == "":
		return secret.Key{}, errors.New("it is empty")
	case strings.ContainsFunc(text, unicode.IsControl):
		return secret.Key{}, errors.New("it holds a line break or another control character")
	case strings.ContainsFunc(text, unicode.IsSpace):
		return secret.Key{}, errors.New("it holds white space")
	}
	return secret.New(text), nil
}
