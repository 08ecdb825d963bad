package run

import (
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/blnkctl/blnkctl/secret"
)

const (
	// keep is how much output a Result holds: enough for what a failing command
	// says last, little enough for a log. It is far more than a key.
	keep = 64 << 10
	// half is the shortest beginning of a key that is masked at the very end of
	// an output: as short as the shortest shape that is masked at all.
	half = 4
)

// Mask replaces every shape of every key (secret.Key.Encodings) in text by
// "[redacted]". Shapes that overlap or touch become one. It does not find a
// key that is spread over lines, compressed or encrypted.
func Mask(text string, keys ...secret.Key) string {
	return cover(text, 0, find(text, shapes(keys)))
}

// Last is the end of an output on one line, so many lines and bytes at most: what a
// command says last is mostly the reason.
func Last(output string, lines, most int) string {
	var all []string
	for line := range strings.FieldsFuncSeq(output, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	said := strings.Join(all[max(0, len(all)-lines):], "; ")
	if len(said) > most {
		said = "…" + strings.ToValidUTF8(said[len(said)-most:], "")
	}
	return said
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
	hidden := find(text, forms)
	for _, form := range forms {
		for n := len(form) - 1; n >= half; n-- {
			if strings.HasSuffix(text, form[:n]) {
				hide(hidden, len(text)-n, n)
				break
			}
		}
	}
	return cover(text, max(0, len(text)-keep), hidden), nil
}

// follow tells Show what the last line is, until stop.
func (c Cmd) follow(f *os.File, keys []secret.Key) (stop func()) {
	if c.Show == nil {
		return func() {}
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(glance)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			if text, err := tail(f, keys); err == nil && strings.TrimSpace(text) != "" {
				c.Show(Last(text, 1, keep))
			}
		}
	}()
	return func() { close(ended); <-done }
}

func shapes(keys []secret.Key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, k.Encodings()...)
	}
	return all
}

// find says of each byte whether it belongs to a shape, those that overlap
// another one too: replacing one after the other would leave the rest of an
// overlapped one.
func find(text string, forms []string) (hidden []bool) {
	hidden = make([]bool, len(text))
	for _, form := range forms {
		for at := 0; ; at++ {
			i := strings.Index(text[at:], form)
			if i < 0 {
				break
			}
			at += i
			hide(hidden, at, len(form))
		}
	}
	return hidden
}

func hide(hidden []bool, at, n int) {
	for i := range n {
		hidden[at+i] = true
	}
}

// cover returns text from the byte cut on, with each row of hidden bytes
// redacted as one.
func cover(text string, cut int, hidden []bool) string {
	var b strings.Builder
	for i := cut; i < len(text); i++ {
		switch {
		case !hidden[i]:
			b.WriteByte(text[i])
		case i == cut || !hidden[i-1]:
			b.WriteString(secret.Redacted)
		}
	}
	return b.String()
}

// A feed is a pipe that holds a text for a command to read.
type feed struct {
	from *os.File
	done chan struct{}
}

func newFeed(text string) (*feed, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	f := &feed{from, make(chan struct{})}
	go func() {
		// It cannot fail: this process keeps the other end open too.
		_, _ = io.WriteString(to, text)
		_ = to.Close()
		close(f.done)
	}()
	return f, nil
}

// rest takes what the command left of the text, if anything. It does not wait
// for long: nobody else can write to the pipe.
func (f *feed) rest() bool {
	rest, err := io.ReadAll(f.from)
	<-f.done
	_ = f.from.Close()
	return len(rest) > 0 || err != nil
}

// printed is what a command wrote to its stdout. What is too long is taken all
// the same: a command that cannot get rid of its output would never end. One that
// hangs in the kernel may still write when it is given up.
type printed struct {
	mu      sync.Mutex
	most    int
	data    []byte
	tooLong bool
}

// Write takes all.
func (p *printed) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	room := p.most - len(p.data)
	p.tooLong = p.tooLong || len(data) > room
	p.data = append(p.data, data[:min(len(data), room)]...)
	return len(data), nil
}

// key is what must not show in other output, however the command ended.
func (p *printed) key() secret.Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return secret.New(strings.TrimSpace(string(p.data)))
}

// privateFile makes a file that only this process and its children can reach:
// 0600 and without a name. It appends, so that a command that truncates it by
// opening /dev/stdout leaves no hole in front of what it writes next.
func privateFile() (*os.File, error) {
	dir := os.TempDir()
	if f, err := nameless(dir); err == nil {
		return f, nil
	}
	name := filepath.Join(dir, "blnkctl-run-"+rand.Text())
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(name); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
