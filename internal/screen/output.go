package screen

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
)

// An Output is one that remembers its first failure, so that a command may
// print without looking each time.
type Output struct {
	io.Writer
	err error
}

// Write writes.
func (s *Output) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	s.err = cmp.Or(s.err, err)
	return n, err
}

// Failed returns the first failure.
func (s *Output) Failed() error {
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("write the output: %w", s.err)
}

// Lost is Failed, but for a reader who left early (`| head -1`).
func (s *Output) Lost() error {
	if errors.Is(s.err, syscall.EPIPE) {
		return nil
	}
	return s.Failed()
}

// Steps are the lines of steps while they happen: on a terminal the last one grows,
// elsewhere there are plain lines when something is known. Several goroutines may
// use them.
type Steps struct {
	W        io.Writer
	Terminal bool

	mu      sync.Mutex
	pending string // the step whose line has begun and lacks its end
}

// Begin begins the line of a step.
func (s *Steps) Begin(step string) {
	if s.Terminal {
		s.line("", step)
	}
}

// End writes a line in place of the one that has begun.
func (s *Steps) End(text string) { s.line(text+"\n", "") }

// Pause clears the line that has begun for something else.
func (s *Steps) Pause() { s.line("", "") }

// Add writes a line above the one that has begun.
func (s *Steps) Add(text string) { s.line(text+"\n", s.pending) }

func (s *Steps) line(text, pending string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != "" {
		text = "\r\x1b[K" + text
	}
	if s.pending = pending; pending != "" {
		text += fmt.Sprintf("  %-12s …", pending)
	}
	_, _ = io.WriteString(s.W, text)
}
