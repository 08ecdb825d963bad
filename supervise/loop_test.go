package supervise

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

const (
	first  = "1mQ8xT2vLr5ZkY0bNc7WdJ4hSg9PfE3uAqXoR6iVtKz"
	second = "2cV7nB4mLk1JhG9fDs6AqW3eRt8YuI5oPzX0vCbNxMa"
	third  = "3pO6iU9yTr2EwQ5aSd8FgH1jKl4ZxC7vBnM0qWeRtYu"
)

// A fakeChild writes down what is done to it.
type fakeChild struct {
	key     secret.Key
	status  chan int
	ended   *int
	changed chan os.Signal
	signals []syscall.Signal
	onTerm  func(*fakeChild) // nil: nothing
	group   atomic.Bool      // somebody is left in it
	hangs   bool             // SIGKILL has no effect
	killed  bool
}

// end ends the child as far as it has not ended yet.
func (c *fakeChild) end(status int) {
	select {
	case c.status <- status:
		c.changed <- syscall.SIGCHLD
	default:
	}
}

func (c *fakeChild) wait() (int, bool) {
	select {
	case status := <-c.status:
		c.ended = &status
	default:
	}
	if c.ended == nil {
		return 0, false
	}
	return *c.ended, true
}

func (c *fakeChild) remains() bool { return c.group.Load() }

func (c *fakeChild) signal(sig syscall.Signal) {
	c.signals = append(c.signals, sig)
	if sig == syscall.SIGTERM && c.onTerm != nil {
		c.onTerm(c)
	}
}

func (c *fakeChild) kill() {
	c.killed = true
	if c.hangs {
		return
	}
	c.group.Store(false)
	if c.ended == nil {
		c.end(137)
	}
}

// named is a source that is only named.
type named string

func (n named) String() string { return string(n) }

func (named) Get(context.Context) (secret.Key, store.Version, error) { panic("not read here") }

// A world is a supervisor with its surroundings.
type world struct {
	*supervisor
	mu       sync.Mutex // of children and lines
	signals  chan os.Signal
	changed  chan os.Signal
	found    chan secret.Key
	children []*fakeChild
	prepare  func(*fakeChild) // each new child
	fails    error            // of the next start
	lines    []string
	cancel   context.CancelFunc
	status   chan int
	err      error
}

func (w *world) start(key secret.Key) (child, error) {
	if w.fails != nil {
		return nil, w.fails
	}
	c := &fakeChild{key: key, status: make(chan int, 1), changed: w.changed}
	if w.prepare != nil {
		w.prepare(c)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.children = append(w.children, c)
	return c, nil
}

// begin runs a supervisor inside a bubble.
func begin(t *testing.T, prepare func(*fakeChild)) *world {
	w := &world{signals: make(chan os.Signal), changed: make(chan os.Signal, 1), found: make(chan secret.Key), prepare: prepare, status: make(chan int, 1)}
	say := func(line string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lines = append(w.lines, line)
	}
	w.supervisor = &supervisor{
		Options: Options{Source: named("blnkjson:/k.json"), KillTimeout: 100 * time.Second, Say: say, Warn: say},
		start:   w.start, signals: w.signals, changed: w.changed, found: w.found,
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.cancel = cancel
	go func() {
		status, err := w.run(ctx, secret.New(first))
		w.err = err
		w.status <- status
	}()
	synctest.Wait()
	return w
}

func (w *world) all() []*fakeChild {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.children)
}

func (w *world) now() *fakeChild {
	all := w.all()
	return all[len(all)-1]
}

func (w *world) said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines)
}

func (w *world) send(sig syscall.Signal) { w.signals <- sig; synctest.Wait() }

func (w *world) learns(key string) { w.found <- secret.New(key); synctest.Wait() }

// over wants the end of the run with a status.
func (w *world) over(t *testing.T, want int) {
	t.Helper()
	select {
	case got := <-w.status:
		if got != want || w.err != nil {
			t.Errorf("ended with %d, %v, want %d", got, w.err, want)
		}
	default:
		t.Fatal("still running")
	}
}

func (w *world) goesOn(t *testing.T, children int) {
	t.Helper()
	select {
	case got := <-w.status:
		t.Fatalf("ended with %d", got)
	default:
	}
	if n := len(w.all()); n != children {
		t.Fatalf("%d children, want %d", n, children)
	}
}

func (c *fakeChild) got(t *testing.T, want ...syscall.Signal) {
	t.Helper()
	if !slices.Equal(c.signals, want) {
		t.Errorf("the child got %v, want %v", c.signals, want)
	}
}

// later lets time pass inside a bubble.
func later(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// obedient ends at SIGTERM.
func obedient(c *fakeChild) { c.onTerm = func(c *fakeChild) { c.end(0) } }

func TestChildEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(c *fakeChild) { c.group.Store(true) }) // a daemon, left alone
		w.now().end(7)
		synctest.Wait()
		w.over(t, 7)
		w.now().got(t)
	})
}

func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		w.send(syscall.SIGUSR1)
		w.send(syscall.SIGUSR1) // of these, two are two
		w.send(syscall.SIGHUP)
		w.send(syscall.SIGINT)
		w.send(syscall.SIGINT) // timeout(1) sends one twice, as without blnkctl
		w.send(syscall.SIGTERM)
		w.goesOn(t, 1)
		w.now().got(t, syscall.SIGUSR1, syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGINT, syscall.SIGINT, syscall.SIGTERM)
		later(time.Hour) // whoever asked has a clock of its own
		if w.now().killed {
			t.Error("killed for a signal from outside")
		}
		w.now().end(143)
		synctest.Wait()
		w.over(t, 143)
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, obedient)
		w.learns(second)
		w.goesOn(t, 2)
		w.all()[0].got(t, syscall.SIGTERM)
		if w.all()[0].killed || !w.all()[1].key.Equal(secret.New(second)) {
			t.Error("killed, or not the new key")
		}
		w.learns(second) // it runs with that
		w.goesOn(t, 2)
		w.send(syscall.SIGTERM)
		w.over(t, 0)
		if len(w.said()) != 1 || strings.Contains(w.said()[0], second) {
			t.Errorf("lines %q", w.said())
		}
	})
}

func TestRestartKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		w.learns(second)
		later(99 * time.Second)
		w.learns(third) // the newest counts, the clock goes on
		w.goesOn(t, 1)
		later(time.Second)
		w.goesOn(t, 2)
		w.all()[0].got(t, syscall.SIGTERM)
		if !w.all()[0].killed || !w.now().key.Equal(secret.New(third)) {
			t.Error("not killed, or not the newest key")
		}
		later(time.Hour)
		w.goesOn(t, 2)
		if w.now().killed {
			t.Error("the next one was killed, too")
		}
		w.cancel()
		synctest.Wait()
		w.now().got(t, syscall.SIGTERM)
		w.now().end(1)
		synctest.Wait()
		w.over(t, 1)
	})
}

// A shell that was told to end leaves the server it started, which has the port
// still: the next one waits for it.
func TestRestartWaitsForTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(c *fakeChild) {
			c.group.Store(true)
			c.onTerm = func(c *fakeChild) { c.end(143); c.onTerm = nil }
		})
		shell := w.now()
		w.learns(second)
		shell.got(t, syscall.SIGTERM, syscall.SIGTERM) // the second is for the rest
		later(30 * time.Second)
		w.goesOn(t, 1)
		shell.group.Store(false)
		later(groupPoll)
		w.goesOn(t, 2)
		if shell.killed {
			t.Error("killed")
		}
		w.now().group.Store(false)
		w.send(syscall.SIGTERM)
		w.over(t, 143)
	})
}

func TestEndKillsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(c *fakeChild) { c.group.Store(true) })
		c := w.now()
		w.send(syscall.SIGTERM)
		c.end(143)
		synctest.Wait()
		w.goesOn(t, 1)
		w.learns(second) // too late
		later(100*time.Second + groupPoll)
		w.over(t, 143)
		if !c.killed {
			t.Error("not killed")
		}
	})
}

func TestEndDuringRestart(t *testing.T) {
	for _, c := range []struct {
		sig  syscall.Signal
		want []syscall.Signal
	}{
		{syscall.SIGTERM, []syscall.Signal{syscall.SIGTERM}}, // it got that already
		{syscall.SIGINT, []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}},
		{syscall.SIGHUP, []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP}},
		{syscall.SIGQUIT, []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, nil)
			w.learns(second)
			w.send(syscall.SIGUSR2)
			w.send(c.sig)
			w.now().got(t, slices.Insert(c.want, 1, syscall.SIGUSR2)...)
			w.now().end(5)
			synctest.Wait()
			w.over(t, 5)
			w.onlyOne(t)
		})
	}
}

func (w *world) onlyOne(t *testing.T) {
	t.Helper()
	if n := len(w.all()); n != 1 {
		t.Errorf("started again: %d children", n)
	}
}

// A command that was told to end for good is not restarted while it drains.
func TestNoRestartAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, nil)
		w.send(syscall.SIGTERM)
		w.learns(second)
		w.now().got(t, syscall.SIGTERM)
		w.now().end(0)
		synctest.Wait()
		w.over(t, 0)
		w.onlyOne(t)
	})
}

// A command that took SIGHUP as a word to read its files goes on, and is
// watched on.
func TestRestartAfterHangup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, obedient)
		w.send(syscall.SIGHUP)
		w.learns(second)
		w.goesOn(t, 2)
		w.send(syscall.SIGTERM)
		w.over(t, 0)
	})
}

func TestStartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, obedient)
		w.fails = ErrNotFound
		w.learns(second)
		<-w.status
		if !errors.Is(w.err, ErrNotFound) {
			t.Errorf("error %v", w.err)
		}
	})
}

// What does not even end when it is killed hangs in the kernel: no second one
// is started beside it.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(c *fakeChild) { c.hangs = true })
		w.learns(second)
		later(time.Hour)
		w.goesOn(t, 1)
		if len(w.said()) != 3 || !strings.Contains(w.said()[2], "hangs in the kernel") {
			t.Errorf("lines %q", w.said())
		}
		w.now().end(137)
		synctest.Wait()
		w.goesOn(t, 2)
		w.send(syscall.SIGTERM)
		w.now().end(0)
		synctest.Wait()
		w.over(t, 0)
	})
}

// What is only left of its group does not keep exec from its end.
func TestGroupHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, func(c *fakeChild) { c.hangs = true; c.group.Store(true) })
		w.send(syscall.SIGTERM)
		w.now().end(3)
		synctest.Wait()
		later(100*time.Second + lastWait)
		w.over(t, 3)
	})
}

func TestWeakKeyIsToldAtEachStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, obedient)
		w.learns("your_strong_secret_key")
		w.goesOn(t, 2)
		if len(w.said()) != 2 || !strings.Contains(w.said()[0], "now a weak key") ||
			!strings.HasPrefix(w.said()[1], "the key in blnkjson:/k.json ") || strings.Contains(strings.Join(w.said(), ""), "strong_secret") {
			t.Errorf("lines %q", w.said())
		}
		w.send(syscall.SIGTERM)
		w.over(t, 0)
	})
}
