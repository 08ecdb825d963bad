package keygen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/secret"
)

// ErrNoKey: a text is no key that was copied whole. Its errors never show the text.
var ErrNoKey = errors.New("no key")

// Read reads a key as Parse does. What is longer than any header line is not read
// to its end.
func Read(r io.Reader) (secret.Key, error) {
	const limit = 64 << 10
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return secret.Key{}, err
	case len(data) > limit:
		return secret.Key{}, errors.New("too long for a key")
	}
	return Parse(string(data))
}

// ErrNoFile: the file with a key cannot be opened.
var ErrNoFile = errors.New("cannot be opened")

// ReadFile reads the key in a file. Somebody may have taken its name for the key
// itself: then it is not repeated.
func ReadFile(path string) (secret.Key, error) {
	f, err := os.Open(path)
	if err != nil {
		if secret.Shown(filepath.Base(path)) == "" {
			err = errors.New("no such file (a file is wanted, not a key)")
		}
		return secret.Key{}, fmt.Errorf("%w: %w", ErrNoFile, err)
	}
	defer f.Close()
	return Read(f)
}

// A Source is where a key is read from: a file, standard input ("-") or, without either,
// a person.
type Source struct {
	File  string
	Stdin io.Reader
	// Ask asks a person without showing the answer; nil: nobody is there. It is asked
	// also where standard input is a terminal.
	Ask func(ctx context.Context) (string, error)
}

// ErrNoSource: nothing says where the key is, and nobody can be asked.
var ErrNoSource = hint.Add(errors.New("no --store and no --key-file, and no terminal to ask for a key"),
	"read it from a file or a pipe with --key-file FILE or --key-file -")

// Read reads the key, and says where it came from; "" where it did not come to that. The
// end of ctx ends the wait for who writes into a pipe.
func (s Source) Read(ctx context.Context) (key secret.Key, from string, err error) {
	switch {
	case s.File == "" && s.Ask == nil:
		return key, "", ErrNoSource
	case s.File == "", s.File == "-" && s.Ask != nil:
		text, err := s.Ask(ctx)
		if err != nil {
			return key, "", err
		}
		key, err = Parse(text)
		return key, "the terminal", err
	case s.File == "-":
		key, err = interrupt.Await(ctx, func() (secret.Key, error) { return Read(s.Stdin) })
		return key, "stdin", err
	}
	key, err = interrupt.Await(ctx, func() (secret.Key, error) { return ReadFile(s.File) })
	return key, s.File, err
}

// Parse takes a text for a key, without the one line end that editors and echo
// leave. What gets lost or is added on the way is ErrNoKey: what is not seen, white
// space, quotes around it, a name before it, a mask. A server refuses a key with that,
// and who asks whether a leaked one is still alive would hold it for dead.
func Parse(text string) (secret.Key, error) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	why := ""
	switch {
	case text == "":
		why = "it is empty"
	case !utf8.ValidString(text):
		why = "it is not valid UTF-8"
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }):
		why = "it holds a line break or another character that is not seen"
	case strings.ContainsFunc(text, unicode.IsSpace):
		why = "it holds white space"
	case strings.Contains("\"'`", text[:1]) && strings.HasSuffix(text, text[:1]) || strings.HasPrefix(text, "“"):
		why = "it has quotes around it"
	case named(text):
		why = "it has a name before it"
	case strings.Contains(text, "***") || strings.Contains(text, "…"):
		why = "it is masked or cut short"
	}
	if why != "" {
		return secret.Key{}, hint.As(ErrNoKey, "%s", why)
	}
	return secret.New(text), nil
}

// named says whether a text is a line of an env file, of JSON or of an HTTP header.
func named(text string) bool {
	name := text[:max(0, strings.IndexAny(text, "=:"))]
	name = strings.ReplaceAll(strings.ToUpper(strings.Trim(name, `"'`)), "-", "_")
	return strings.HasSuffix(name, "_KEY") || strings.HasSuffix(name, "_SECRET") || strings.HasSuffix(name, "_TOKEN")
}
