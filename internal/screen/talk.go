package screen

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A Talk is what is told to a person: lines, and on a terminal, below them, the one
// line of the step that is at work, with the time since it began. Several goroutines
// may use it.
type Talk struct {
	W    io.Writer
	Look Look
	Edit func(text string) string // of what is told; nil changes nothing

	mu     sync.Mutex
	step   string // at work, and shown; "" for none
	detail string // what it does right now
	since  time.Time
	timer  *time.Timer
}

// Write writes lines above the step at work; what is no whole line (a question)
// takes its place.
func (t *Talk) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replace(string(p), strings.HasSuffix(string(p), "\n"))
	return len(p), nil // nobody could be told
}

// Tell writes a clean text behind a name. Its further lines are indented, which keeps
// it apart from the next one.
func (t *Talk) Tell(c Colour, name, text string) {
	text = strings.ReplaceAll(strings.TrimRight(t.clean(text), "\n"), "\n", "\n  ")
	_, _ = fmt.Fprintln(t, t.Look.Paint(c, name)+t.Look.Fold(name + " " + text)[len(name):])
}

// Say writes a clean text.
func (t *Talk) Say(text string) { _, _ = fmt.Fprintln(t, t.Look.Fold(t.clean(text))) }

func (t *Talk) clean(text string) string {
	if t.Edit != nil {
		text = t.Edit(text)
	}
	return Clean(text)
}

// Begin shows a step at work, End writes its last line, as it is, and Pause clears
// it. Elsewhere than on a terminal only the last line is written.
func (t *Talk) Begin(step string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.replace("", false); t.Look.moves() {
		t.step, t.detail, t.since = step, "", time.Now()
		t.show()
	}
}

// End is described at Begin.
func (t *Talk) End(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replace(text+"\n", false)
}

// Pause is described at Begin.
func (t *Talk) Pause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replace("", false)
}

// Detail says what the step at work does right now.
func (t *Talk) Detail(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.step != "" && text != t.detail {
		t.detail = text
		t.show()
	}
}

// replace writes a text in place of the step's line, and that again where it stays.
func (t *Talk) replace(text string, stays bool) {
	if t.step != "" {
		t.timer.Stop()
		text = "\r\x1b[K" + text
	}
	if text != "" {
		_, _ = io.WriteString(t.W, text)
	}
	if t.step != "" && stays {
		t.show()
	} else {
		t.step = ""
	}
}

// show writes the line of the step, and again with the next second. It is cut where
// the terminal would go on in the next line, which nobody could take back.
func (t *Talk) show() {
	since := time.Since(t.since)
	passed := "…"
	if since >= time.Second {
		passed = since.Truncate(time.Second).String()
	}
	line := fmt.Sprintf("  %-12s %s", t.step, passed)
	if t.detail != "" {
		line += "  " + strings.ReplaceAll(CleanLine(t.detail), `\x09`, " ")
	}
	_, _ = io.WriteString(t.W, "\r"+Cut(line, t.Look.columns()-1)+"\x1b[K")
	if t.timer != nil {
		t.timer.Stop()
	}
	t.timer = time.AfterFunc(time.Second-since%time.Second, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.step != "" {
			t.show()
		}
	})
}
