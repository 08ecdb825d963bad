package probe

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/secret"
)

// A stream writes what a server sent, as Send says. It holds back as many bytes as a
// shape of the key has, and on a terminal what may be a part of a word.
type stream struct {
	to       io.Writer
	terminal bool
	key      secret.Key
	shapes   [][]byte // none: nothing is masked
	ahead    int
	held     []byte
	line     bool  // the last byte that was written ended a line
	echoed   bool  // the key was in it
	err      error // of to
}

func newStream(to io.Writer, terminal bool, key secret.Key) *stream {
	s := &stream{to: to, terminal: terminal, key: key, line: true}
	if key.Bits() >= secret.MinBits {
		for _, shape := range key.Encodings() {
			s.shapes = append(s.shapes, []byte(shape))
			s.ahead = max(s.ahead, len(shape)-1)
		}
	}
	return s
}

// head writes the status line and the headers, sorted, and a blank line.
func (s *stream) head(r *http.Response) {
	_, _ = fmt.Fprintf(s, "%s %s\n", r.Proto, r.Status)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			_, _ = fmt.Fprintf(s, "%s: %s\n", name, value)
		}
	}
	_, _ = io.WriteString(s, "\n")
}

// Write takes all, or returns the first error of the output.
func (s *stream) Write(p []byte) (int, error) {
	s.held = append(s.held, p...)
	cut := len(s.held) - s.ahead
	const longest = 64 << 10 // of a word
	if s.terminal && cut > 0 {
		if end := bytes.LastIndexAny(s.held[:cut], " \n\r\t\",:;<>{}[]()") + 1; end > 0 || cut < longest {
			cut = end
		}
	}
	s.write(cut)
	return len(p), s.err
}

// write writes the first bytes of what is held. No shape of the key may lie on both
// sides of the cut.
func (s *stream) write(cut int) {
	if cut <= 0 || s.err != nil {
		return
	}
	for _, shape := range s.shapes {
		from := max(0, cut-len(shape)+1)
		if i := bytes.Index(s.held[from:min(len(s.held), cut+len(shape)-1)], shape); i >= 0 {
			cut = max(cut, from+i+len(shape))
		}
	}
	text := s.held[:cut]
	if slices.ContainsFunc(s.shapes, func(shape []byte) bool { return bytes.Contains(text, shape) }) {
		text, s.echoed = []byte(run.Mask(string(text), s.key)), true
	}
	if s.terminal {
		text = []byte(screen.Clean(string(text)))
	}
	s.line = bytes.HasSuffix(text, []byte("\n"))
	_, s.err = s.to.Write(text)
	s.held = append(s.held[:0], s.held[cut:]...)
}

// close writes the rest, and on a terminal the end of the line.
func (s *stream) close() error {
	s.write(len(s.held))
	if s.terminal && !s.line && s.err == nil {
		_, s.err = io.WriteString(s.to, "\n")
	}
	return s.err
}
