package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/blnkctl/blnkctl/secret"
)

// ErrTooLong: a command printed more on its stdout than Cmd.Most.
var ErrTooLong = errors.New("too much on its stdout")

// defaultMost is far more than a key.
const defaultMost = 64 << 10

// drain is how long stdout may stay open behind a command that ended: what
// it wrote is read at once, and only a daemon that it left behind keeps the
// pipe open.
const drain = time.Second

// connect gives a command the pipes that it needs. finish is called when it
// has ended, or could not be started: it closes them, and returns the keys that
// went through them and whether a part of Input was left unread.
func (c Cmd) connect(cmd *exec.Cmd, stdout *capture) (finish func() ([]secret.Key, bool), err error) {
	var in *feed
	if !c.Input.IsZero() {
		if in, err = newFeed(c.Input); err != nil {
			return nil, err
		}
		cmd.Stdin = in.from
	}
	if stdout != nil {
		if err := stdout.open(); err != nil {
			if in != nil {
				in.rest()
			}
			return nil, err
		}
		cmd.Stdout = stdout.to
	}
	return func() (keys []secret.Key, unread bool) {
		if in != nil {
			unread = in.rest()
			keys = append(keys, c.Input)
		}
		if stdout != nil {
			stdout.end()
			keys = append(keys, secret.New(string(bytes.TrimSpace(stdout.data))))
		}
		return keys, unread
	}, nil
}

// A feed is a pipe that holds a key for a command to read.
type feed struct {
	from *os.File
	done chan struct{}
}

func newFeed(key secret.Key) (*feed, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for its input: %w", err)
	}
	f := &feed{from, make(chan struct{})}
	go func() {
		// It cannot fail: this process keeps the other end open too.
		_, _ = io.WriteString(to, key.Reveal())
		_ = to.Close()
		close(f.done)
	}()
	return f, nil
}

// rest takes what the command left of the key, if anything. It does not wait
// for long: nobody else can write to the pipe.
func (f *feed) rest() bool {
	rest, err := io.ReadAll(f.from)
	<-f.done
	_ = f.from.Close()
	return len(rest) > 0 || err != nil
}

// A capture is a pipe for what a command prints, and what it printed.
type capture struct {
	most int // bytes that are kept
	data []byte
	over bool // there was more

	from, to *os.File
	done     chan struct{}
}

func (c *capture) open() error {
	var err error
	if c.from, c.to, err = os.Pipe(); err != nil {
		return fmt.Errorf("make a pipe for its output: %w", err)
	}
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		c.data, _ = io.ReadAll(io.LimitReader(c.from, int64(c.most)+1))
		c.over = len(c.data) > c.most
		// A command that cannot get rid of its output would never end.
		_, _ = io.Copy(io.Discard, c.from)
	}()
	return nil
}

// end waits until all that was printed is read.
func (c *capture) end() {
	_ = c.to.Close()
	_ = c.from.SetReadDeadline(time.Now().Add(drain))
	<-c.done
	_ = c.from.Close()
}
