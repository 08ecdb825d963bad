// Package ref reads and writes references, the way in which a person names a
// store or what restarts a server, and guesses what was meant by a text that is
// none.
package ref

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/secret"
)

// A Ref is a reference as a person writes it:
//
//	SCHEME:PLACE[#FIELD][?OPTION=VALUE&…]
//
// In PLACE, %23, %3F and %25 stand for '#', '?' and '%'; any other '%' is itself,
// so that nearly every path needs no quoting of its own. VALUE is percent-decoded
// as in a URL query. OPTION is made of small letters, '-' and '_'.
type Ref struct {
	Scheme  string
	Place   string // decoded
	Field   string // "" where the reference names none
	Options url.Values
}

// Parse reads a reference. It checks its form only, not that the scheme is known.
func Parse(text string) (Ref, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || scheme == "" || strings.ContainsAny(scheme, "/.#?") {
		return Ref{}, Malformed("reference", text)
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	place, field, hasField := strings.Cut(rest, "#")
	if hasField && field == "" {
		return Ref{}, fmt.Errorf("reference %q: nothing behind '#'", redact(text))
	}
	r := Ref{Scheme: scheme, Place: decode(place), Field: field}
	if hasQuery {
		options, err := parseOptions(query)
		if err != nil {
			return Ref{}, fmt.Errorf("reference %q: options: %w", redact(text), err)
		}
		r.Options = options
	}
	return r, nil
}

// Malformed is the error for a text that is no reference. One that may be a key is
// not repeated.
func Malformed(kind, text string) error {
	if mayBeKey(text) {
		return fmt.Errorf("%s: want SCHEME:PLACE, and never a key", kind)
	}
	return fmt.Errorf("%s %q: want SCHEME:PLACE", kind, redact(text))
}

func mayBeKey(text string) bool {
	return secret.New(text).Bits() >= secret.MinBits && !strings.ContainsAny(text, ":/. ?")
}

// decode and encode are the escapes of a place. Only a '%' that would be read as
// the beginning of one is written as %25: references that are older than the escapes
// stay as they were.
func decode(place string) string {
	return strings.NewReplacer("%23", "#", "%3F", "?", "%3f", "?", "%25", "%").Replace(place)
}

func encode(place string) string {
	return strings.NewReplacer("#", "%23", "?", "%3F", "%23", "%2523", "%25", "%2525", "%3F", "%253F", "%3f", "%253f").Replace(place)
}

// Verbatim is a reference without escapes, as a target is named after it.
func Verbatim(text string) string {
	head, query, ok := strings.Cut(text, "?")
	if head = decode(head); ok {
		head += "?" + query
	}
	return head
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
	return fmt.Errorf("unknown option %q", slices.Min(slices.Collect(maps.Keys(r.Options))))
}

// String writes the reference so that Parse reads the same.
func (r Ref) String() string {
	s := r.Scheme + ":" + encode(r.Place)
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

// CheckValue refuses a value of a setting, whatever it is for, that has a key in it,
// or a path that begins with "~": a shell replaces that at the beginning of a word
// only, and nobody else does. The key is not repeated.
func CheckValue(value string) error {
	if secret.Holds(value) {
		return hint.Add(errors.New("a key stands in it; keys are read from stores, files and pipes only"),
			"name the place that holds the key, as blnkjson:./blnk.json; where others may have seen the line, rotate --compromised")
	}
	scheme, place, ok := strings.Cut(value, ":")
	if !ok {
		scheme, place = "", value
	}
	name, rest, folder := strings.Cut(place, "/")
	if scheme == "sh" || !strings.HasPrefix(name, "~") || strings.Contains(name, " ") || !folder && name != "~" {
		return nil
	}
	if ok {
		scheme += ":"
	}
	return hint.Add(fmt.Errorf("the shell did not replace the %q in it: it does so at the beginning of a word only", name),
		`write the path out, or: "%s$HOME/%s"`, scheme, rest)
}
