package run

import (
	"io"
	"os"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// keep is how much output a Result holds: enough for what a failing command
// says last, little enough for a log.
const keep = 64 << 10

// half is the shortest beginning of a key that is masked at the very end of
// an output: as short as the shortest shape that is masked at all.
const half = 4

// Mask replaces every shape of every key (secret.Key.Encodings) in text by
// "[redacted]". Shapes that overlap or touch become one. It does not find a
// key that is spread over lines, compressed or encrypted.
func Mask(text string, keys ...secret.Key) string {
	return cover(text, 0, spans(text, shapes(keys)))
}

// tail reads the end of f. It masks before it cuts, and reads as far ahead of
// the cut as the longest shape, so that no half of a key is left at the
// beginning. At the very end, the half of a key that a killed command did not
// come to finish is masked too.
func tail(f *os.File, keys []secret.Key) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	forms := shapes(keys)
	ahead := 0
	for _, s := range forms {
		ahead = max(ahead, len(s))
	}
	from := max(0, info.Size()-int64(keep+ahead))
	// What a daemon writes from now on is not this command's.
	data, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return "", err
	}
	text := string(data)
	covered := spans(text, forms)
	if n := unfinished(text, forms); n > 0 {
		covered = append(covered, span{len(text) - n, len(text)})
	}
	return cover(text, max(0, len(text)-keep), covered), nil
}

// A span is a piece of a text, from the first byte to behind the last.
type span struct{ from, to int }

func shapes(keys []secret.Key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, k.Encodings()...)
	}
	return all
}

// spans finds every occurrence, those that overlap another one too: replacing
// one shape after the other would leave the rest of an overlapped one.
func spans(text string, forms []string) []span {
	var found []span
	for _, form := range forms {
		for at := 0; ; at++ {
			i := strings.Index(text[at:], form)
			if i < 0 {
				break
			}
			at += i
			found = append(found, span{at, at + len(form)})
		}
	}
	return found
}

// unfinished returns how many bytes at the end of text are the beginning of a
// shape.
func unfinished(text string, forms []string) int {
	longest := 0
	for _, form := range forms {
		for n := len(form) - 1; n >= half && n > longest; n-- {
			if strings.HasSuffix(text, form[:n]) {
				longest = n
			}
		}
	}
	return longest
}

// cover returns text from the byte cut on, with the spans redacted. A span
// that the cut goes through is redacted as a whole.
func cover(text string, cut int, covered []span) string {
	slices.SortFunc(covered, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	at, end := cut, -1 // end: where the last redacted piece ends
	for _, s := range covered {
		if s.to <= at {
			continue
		}
		if s.from > end || end < 0 {
			b.WriteString(text[at:max(at, s.from)])
			b.WriteString(secret.Redacted)
		}
		at, end = s.to, s.to
	}
	b.WriteString(text[at:])
	return b.String()
}
