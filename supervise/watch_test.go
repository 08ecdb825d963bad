package supervise

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A fakeSource holds a key, or an error, and writes down when it was read.
// The lock stands for what a real source has: nothing else orders a timer
// behind a line of the test.
type fakeSource struct {
	mu    sync.Mutex
	key   string
	err   error
	reads int
	at    store.Version
	times []time.Time
	slow  bool // until the context ends
}

func (s *fakeSource) Get(ctx context.Context) (secret.Key, store.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	s.times = append(s.times, time.Now())
	if s.slow {
		<-ctx.Done()
		return secret.Key{}, "", ctx.Err()
	}
	return secret.New(s.key), s.at, s.err
}

// set changes what the source holds.
func (s *fakeSource) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *fakeSource) String() string { return "vault:secret/blnk" }

// observe runs a watcher inside a bubble until the test ends.
func observe(t *testing.T, s *fakeSource, interval time.Duration) (found chan secret.Key, lines *[]string) {
	found, lines = make(chan secret.Key, 10), &[]string{}
	opt := Options{
		Source: s, Interval: interval,
		Say:  func(line string) { *lines = append(*lines, "say "+line) },
		Warn: func(line string) { *lines = append(*lines, "warn "+line) },
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { opt.look(ctx, secret.New(first), found, &sync.Mutex{}); close(over) }()
	t.Cleanup(func() { cancel(); <-over })
	return found, lines
}

func TestOnlyAnotherKeyIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSource{key: first, at: "1"}
		found, lines := observe(t, s, 30*time.Second)
		later(5 * time.Minute)
		s.set(func() { s.at = "2" }) // somebody changed another field of the secret
		later(5 * time.Minute)
		if len(found) != 0 || s.reads < 15 {
			t.Fatalf("%d keys found in %d reads", len(found), s.reads)
		}
		s.set(func() { s.key = second })
		later(5 * time.Minute)
		if len(found) != 1 || !(<-found).Equal(secret.New(second)) || len(*lines) != 0 {
			t.Fatalf("not found once; lines %q", *lines)
		}
		s.set(func() { s.key = first }) // a rotation was undone
		later(33 * time.Second)
		if len(found) != 1 || !(<-found).Equal(secret.New(first)) {
			t.Fatal("the way back was not found")
		}
	})
}

func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSource{key: first}
		observe(t, s, 30*time.Second)
		later(time.Hour)
		different := map[time.Duration]bool{}
		for i := range s.times[1:] {
			d := s.times[i+1].Sub(s.times[i])
			if d < 27*time.Second || d > 33*time.Second {
				t.Errorf("%v between two reads", d)
			}
			different[d] = true
		}
		if len(different) < 50 || s.times[0].Equal(s.times[1]) {
			t.Errorf("no jitter: %d different times", len(different))
		}
	})
}

func TestStatesAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSource{key: first}
		found, lines := observe(t, s, 30*time.Second)
		n := 0
		s.set(func() { s.err = errors.New("connection refused") })
		for range 20 {
			n++
			s.set(func() { s.err = fmt.Errorf("connection refused, attempt %d", n) }) // its text is no state
			later(5 * time.Minute)
		}
		s.set(func() { s.err = fmt.Errorf("deleted: %w", store.ErrNotFound) })
		later(5 * time.Minute)
		s.set(func() { s.key, s.err = second+"\n", nil })
		later(10 * time.Minute)
		s.set(func() { s.key = first })
		later(10 * time.Minute)
		want := []string{"warn the command keeps the key that it has: connection refused, attempt 1",
			"warn the command keeps the key that it has: vault:secret/blnk: the key cannot be used: ",
			"say vault:secret/blnk can be read again"}
		if len(*lines) != len(want) {
			t.Fatalf("lines %q", *lines)
		}
		for i, w := range want {
			if !strings.HasPrefix((*lines)[i], w) || strings.Contains((*lines)[i], second) {
				t.Errorf("line %q, want %q", (*lines)[i], w)
			}
		}
		if len(found) != 0 {
			t.Error("a restart for an outage")
		}
	})
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		interval time.Duration
		want     []time.Duration
	}{
		{30 * time.Second, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 4 * time.Minute}},
		{10 * time.Minute, []time.Duration{10 * time.Minute, 10 * time.Minute}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeSource{err: errors.New("sealed")}
			found, _ := observe(t, s, c.interval)
			later(2 * time.Hour)
			for i, want := range c.want {
				if d := s.times[i+1].Sub(s.times[i]); d < want*9/10 || d > want*11/10 {
					t.Errorf("%v: read %d came %v after the one before, want about %v", c.interval, i+1, d, want)
				}
			}
			// After the first success the looks are as close as before.
			s.set(func() { s.key, s.err = second, nil })
			later(11 * time.Minute)
			if len(found) != 1 {
				t.Error("the new key was not found")
			}
			s.set(func() { s.times = nil })
			later(time.Hour)
			if d := s.times[1].Sub(s.times[0]); d > c.interval*11/10 {
				t.Errorf("still %v between two reads", d)
			}
		})
	}
}

// A store that never answers is one that cannot be read.
func TestLookIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeSource{slow: true}
		_, lines := observe(t, s, time.Second)
		later(2*time.Second + readLimit)
		if len(*lines) != 1 || !strings.Contains((*lines)[0], context.DeadlineExceeded.Error()) {
			t.Errorf("lines %q", *lines)
		}
	})
}

func TestRead(t *testing.T) {
	for key, usable := range map[string]bool{first: true, "weak": true, "": false, " x": false, "a\nb": false, "a\x00b": false} {
		got, err := Read(t.Context(), &fakeSource{key: key})
		if usable != (err == nil) || usable != got.Equal(secret.New(key)) && key != "" || !usable && !errors.Is(err, errUnusable) {
			t.Errorf("%q: %v", key, err)
		}
	}
	gone := errors.New("gone")
	if _, err := Read(t.Context(), &fakeSource{key: first, err: gone}); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}
