package cmd

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/blnkctl/blnkctl/rotate"
)

// A progress shows the steps on stderr while they happen: on a terminal a line
// that grows, elsewhere plain lines when something is known.
type progress struct {
	app *app
	mu  sync.Mutex
	// pending is the step whose line has begun and lacks its end.
	pending string
}

func newProgress(a *app) *progress { return &progress{app: a} }

func (p *progress) tty() bool { return p.app.env.StderrTTY && p.app.env.Getenv("TERM") != "dumb" }

// event takes what the engine tells.
func (p *progress) event(e rotate.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := e.Step
	if e.Undo {
		name = "undo " + e.Step
	}
	switch e.Kind {
	case rotate.Started:
		if p.tty() && !p.app.global.quiet {
			p.pending = name
			_, _ = fmt.Fprintf(p.app.env.Stderr, "  %-12s …", name)
		}
	case rotate.Done:
		p.line(fmt.Sprintf("%-12s %s", name, ms(e.Duration)))
	case rotate.Failed:
		p.line(fmt.Sprintf("%-12s %s after %s", name, p.app.paint(red, "failed"), ms(e.Duration)))
	case rotate.Note:
		p.note(e.Text)
	}
}

// line ends the pending line, or prints one of its own.
func (p *progress) line(text string) {
	p.clear()
	p.pending = ""
	if !p.app.global.quiet {
		_, _ = fmt.Fprintf(p.app.env.Stderr, "  %s\n", text)
	}
}

// note prints a line above the pending one.
func (p *progress) note(text string) {
	pending := p.pending
	p.clear()
	p.app.say("  %s", text)
	if pending != "" {
		_, _ = fmt.Fprintf(p.app.env.Stderr, "  %-12s …", pending)
	}
}

func (p *progress) clear() {
	if p.pending != "" {
		_, _ = fmt.Fprint(p.app.env.Stderr, "\r\x1b[K")
	}
}

// pause makes room for something else on the terminal.
func (p *progress) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.pending = ""
}

// instruct tells a person what to do; -q does not silence it, for nothing goes
// on until it is done.
func (p *progress) instruct(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pending := p.pending
	p.clear()
	_, _ = fmt.Fprintf(p.app.env.Stderr, "%s %s\n", p.app.paint(bold, "now:"), clean(line))
	if pending != "" {
		_, _ = fmt.Fprintf(p.app.env.Stderr, "  %-12s …", pending)
	}
}

// ms shows a short time as people compare them.
func ms(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	default:
		return d.Round(100 * time.Millisecond).String()
	}
}
