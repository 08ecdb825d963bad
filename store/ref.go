package store

import (
	"fmt"
	"io"
	"net/url"
	"sort"
	"strings"
)

// A Ref is a reference as a person writes it:
//
//	SCHEME:PLACE[#FIELD][?OPTION=VALUE&…]
//
// FIELD and OPTION are percent-decoded as in a URL query; PLACE is taken as it
// is, so that a path needs no quoting of its own. A PLACE cannot hold '#' or
// '?'.
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
		return Ref{}, fmt.Errorf("reference %q: want SCHEME:PLACE", text)
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	place, field, hasField := strings.Cut(rest, "#")
	if hasField && field == "" {
		return Ref{}, fmt.Errorf("reference %q: nothing behind '#'", text)
	}
	r := Ref{Scheme: scheme, Place: place, Field: field}
	if hasQuery {
		options, err := url.ParseQuery(query)
		if err != nil {
			return Ref{}, fmt.Errorf("reference %q: options: %w", text, err)
		}
		r.Options = options
	}
	return r, nil
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
	// SpareDir is a private folder (0700) in which a store may keep the copy
	// of a file that it must write in place. It may not exist yet.
	SpareDir string
	// DefaultField replaces the scheme's own default field: keygen --for
	// chooses another one. "" leaves the scheme's.
	DefaultField string
	// Env is the environment ("NAME=value", of a repeated name the last) for
	// a place that is found through variables, as Vault is. nil is an empty
	// one: a store reads no variable of this process by itself.
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
		return nil, fmt.Errorf("reference %q: unknown scheme %q (known: %s)", text, ref.Scheme, s.names())
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

// SamePlace returns the first two stores that are the same place, or "", "".
func SamePlace(stores []Store) (a, b string) {
	seen := map[string]string{}
	for _, s := range stores {
		id := Identity(s)
		if first, ok := seen[id]; ok {
			return first, s.String()
		}
		seen[id] = s.String()
	}
	return "", ""
}
