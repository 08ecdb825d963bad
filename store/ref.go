package store

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"sort"
	"strings"
)

// A Ref is a reference as a person writes it:
//
//	SCHEME:PLACE[#FIELD][?OPTION=VALUE&…]
//
// VALUE is percent-decoded as in a URL query; PLACE is taken as it is, so that a
// path needs no quoting of its own. A PLACE cannot hold '#' or '?'. OPTION is
// made of small letters, '-' and '_'.
type Ref struct {
	Scheme  string
	Place   string
	Field   string // "" where the reference names none
	Options url.Values
}

// ParseRef reads a reference. It checks its form only, not that the scheme is
// known.
func ParseRef(text string) (Ref, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || scheme == "" || strings.ContainsAny(scheme, "/.#?") {
		return Ref{}, fmt.Errorf("reference %q: want SCHEME:PLACE", redact(text))
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	place, field, hasField := strings.Cut(rest, "#")
	if hasField && field == "" {
		return Ref{}, fmt.Errorf("reference %q: nothing behind '#'", redact(text))
	}
	r := Ref{Scheme: scheme, Place: place, Field: field}
	if hasQuery {
		options, err := parseOptions(query)
		if err != nil {
			return Ref{}, fmt.Errorf("reference %q: options: %w", redact(text), err)
		}
		r.Options = options
	}
	return r, nil
}

// parseOptions refuses what has no name, or one that no scheme could know. Its
// errors quote nothing: url.ParseQuery's show the value that they are about.
func parseOptions(query string) (url.Values, error) {
	for option := range strings.SplitSeq(query, "&") {
		if name, _, ok := strings.Cut(option, "="); option != "" && (!ok || !isOptionName(name)) {
			return nil, errors.New("want NAME=VALUE&…, each NAME of small letters and '-'")
		}
	}
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("want NAME=VALUE&…, each VALUE percent-encoded")
	}
	return options, nil
}

// isOptionName is strict because names are shown: a secret that was put in the
// place of one has hardly ever this form.
func isOptionName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-_") == ""
}

// Redacted writes the reference for an error: with the names of its options but
// not their values, since somebody could have put a secret there.
func (r Ref) Redacted() string { return redact(r.String()) }

// redact is Redacted for a text that may be no reference.
func redact(text string) string {
	head, query, ok := strings.Cut(text, "?")
	if !ok {
		return text
	}
	var shown []string
	for option := range strings.SplitSeq(query, "&") {
		name, _, ok := strings.Cut(option, "=")
		switch {
		case ok && isOptionName(name):
			shown = append(shown, name+"=…")
		case option != "":
			shown = append(shown, "…")
		}
	}
	return head + "?" + strings.Join(shown, "&")
}

// NoOptions refuses options, for a scheme that has none.
func (r Ref) NoOptions() error {
	if len(r.Options) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(r.Options)))
	return fmt.Errorf("reference %q: unknown option %q", r.Redacted(), first)
}

// String writes the reference so that ParseRef reads the same.
func (r Ref) String() string {
	s := r.Scheme + ":" + r.Place
	if r.Field != "" {
		s += "#" + r.Field
	}
	if len(r.Options) > 0 {
		// A URL's query may hold these as they are (RFC 3986 section 3.4), and
		// an address or a path is easier to read so.
		s += "?" + strings.NewReplacer("%3A", ":", "%2F", "/").Replace(r.Options.Encode())
	}
	return s
}

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

// Open reads text as a reference and opens its store.
func (s Schemes) Open(text string, opt Options) (Store, error) {
	ref, err := ParseRef(text)
	if err != nil {
		return nil, err
	}
	open, ok := s[ref.Scheme]
	if !ok {
		return nil, fmt.Errorf("reference %q: unknown scheme %q (known: %s)", redact(text), ref.Scheme, s.names())
	}
	return open(ref, opt)
}

func (s Schemes) names() string {
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}
