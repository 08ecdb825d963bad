// Package hint lets an error carry what helps: it is born where the cause is
// known, and printed by package cmd alone. And it lets one say in its own words
// which error it is.
package hint

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

type hinted struct {
	error
	hint string
}

func (e *hinted) Hint() string  { return e.hint }
func (e *hinted) Unwrap() error { return e.error }

// Add gives an error a hint; "" and a nil error change nothing.
func Add(err error, format string, args ...any) error {
	if err == nil || format == "" {
		return err
	}
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// Of returns the hint of an error: the outermost of those that it wraps, since
// whoever added that one knew more. "" where there is none. It is one line, best a
// command that can be typed as it stands; never a key.
func Of(err error) string {
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return h.Hint()
	}
	return ""
}

// Detail gives an error lines of its own, shown below it; none change nothing.
func Detail(err error, lines ...string) error {
	if err == nil || len(lines) == 0 {
		return err
	}
	return &detailed{err, lines}
}

type detailed struct {
	error
	lines []string
}

func (e *detailed) Unwrap() error { return e.error }

func (e *detailed) Lines() (head string, more []string) {
	head, more = Lines(e.error)
	return head, slices.Concat(e.lines, more)
}

// Lines is an error for a person: a text, and below it those of Detail, or of an error
// that has this method.
func Lines(err error) (head string, more []string) {
	if l, ok := errors.AsType[interface {
		error
		Lines() (head string, more []string)
	}](err); ok {
		return l.Lines()
	}
	return err.Error(), nil
}

type kindred struct {
	error
	kind error
}

func (e *kindred) Unwrap() []error { return []error{e.kind, e.error} }

// As is an error that is kind, too (errors.Is), without its text.
func As(kind error, format string, args ...any) error {
	return &kindred{fmt.Errorf(format, args...), kind}
}

// Quote writes a word in single quotes, so that every shell reads it as it is.
func Quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// Command writes an argument list as a line for a shell; what no shell changes
// stays without quotes.
func Command(args ...string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"
	words := make([]string, len(args))
	for i, word := range args {
		if words[i] = word; word == "" || strings.Trim(word, plain) != "" {
			words[i] = Quote(word)
		}
	}
	return strings.Join(words, " ")
}

// Flags are values behind a flag each, ready for a shell; a URL mostly as it is.
func Flags(flag string, values []string) (args string) {
	for _, value := range values {
		word := Quote(value)
		if strings.Contains(value, "://") {
			word = Command(value)
		}
		args += " " + flag + " " + word
	}
	return args
}

// WithFlags gives the commands of blnkctl in a text more flags, but for those that are
// about help or name another process.
func WithFlags(text, flags string) string {
	if flags == "" {
		return text
	}
	command := regexp.MustCompile(`\bblnkctl (api|audit|config|doctor|due|exec|init|keygen|notify|retire|rollback|rotate|schedule|status|sync|verify)\b( …| --help| \S+ --help)?`)
	return command.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasSuffix(found, " …") || strings.HasSuffix(found, " --help") {
			return found
		}
		return found + flags
	})
}

// Nearest returns the known word that was probably meant by another, or "": one
// that it begins, or differs from in two characters at most. Three are another
// word.
func Nearest(word string, known []string) string {
	best, found := 3, ""
	for _, k := range known {
		d := distance(word, k)
		if strings.HasPrefix(k, word) && len(word) > 1 {
			d = 1
		}
		if d < best && d < len(word) {
			best, found = d, k
		}
	}
	return found
}

// distance is the Levenshtein distance: the inserted, deleted and replaced bytes
// between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// Unquoted is the hint where the value of a flag was typed with spaces in it and
// without quotes, so that stray, its second word, stands alone; "" where that is not
// so. The value ends at the next word that isFlag says is one.
func Unquoted(typed []string, stray string, isFlag func(word string) bool) string {
	given := func(word string) bool { return strings.HasPrefix(word, "-") && isFlag(word) }
	i := 1 + slices.Index(typed[min(1, len(typed)):], stray)
	if i < 1 || i == len(typed) {
		return ""
	}
	flag, value, joined := strings.Cut(typed[i-1], "=")
	if !joined || !given(typed[i-1]) {
		if flag, value = typed[max(i-2, 0)], typed[i-1]; i < 2 || !given(flag) || strings.Contains(flag, "=") {
			return ""
		}
	}
	for _, word := range typed[i:] {
		if given(word) {
			break
		}
		value += " " + word
	}
	return "quote what has spaces in it: " + flag + " " + Quote(value)
}
