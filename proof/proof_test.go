package proof

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

var (
	oldKey = secret.New("old-4fW8kZpQ2mX7vB1nR5tY9cL3hD6jS0gA")
	newKey = secret.New("new-9aK2jH5gF8dS1qW4eR7tY0uI3oP6zXcV")
)

const ok, no, half, none = blnk.Live, blnk.Rejected, blnk.Lesser, blnk.Nothing
const scoped, expired = blnk.Scoped, blnk.Expired

// An address gives the answers of one server as a function of the key, or of
// several that take turns.
type address struct {
	turns []func(secret.Key) blnk.Answer
	asked int
}

func (a *address) String() string { return "http://address" }

func (a *address) Ask(_ context.Context, key secret.Key) (blnk.Answer, error) {
	answer := a.turns[a.asked%len(a.turns)](key)
	a.asked++
	if answer == blnk.Nothing {
		return answer, errors.New("HTTP 503")
	}
	return answer, nil
}

// one makes a server that is asked one question at a time.
func one(turns ...func(secret.Key) blnk.Answer) *Server {
	return &Server{Asker: &address{turns: turns}}
}

// answers is a server that gives these answers to the new key, the old key and
// any other.
func answers(toNew, toOld, toRandom blnk.Answer) func(secret.Key) blnk.Answer {
	return func(key secret.Key) blnk.Answer {
		switch {
		case key.Equal(newKey):
			return toNew
		case key.Equal(oldKey):
			return toOld
		default:
			return toRandom
		}
	}
}

// The table "What an answer means after the restart" of the design, and what
// stands between its lines.
func TestProve(t *testing.T) {
	type turns = []func(secret.Key) blnk.Answer
	onNew, onOld := answers(ok, no, no), answers(no, ok, no)
	for _, c := range []struct {
		name  string
		turns turns
		want  Verdict
	}{
		{"the new key alone", turns{onNew}, Live},
		{"the old key alone", turns{onOld}, OtherLive},
		{"neither", turns{answers(no, no, no)}, Rejected},
		{"the new key as a scoped one", turns{answers(half, no, no)}, Rejected},
		{"open, as 0.14.3 says it", turns{answers(half, half, half)}, Open},
		{"open, as 0.13 says it", turns{answers(ok, ok, ok)}, Open},
		{"open but for the new key", turns{answers(no, no, half)}, Open},
		{"the old key lives on as a scoped one", turns{answers(ok, half, no)}, OtherScoped},
		{"a random key as a scoped one: a middleman", turns{answers(ok, no, scoped)}, Unknown},
		{"a random key as an expired one", turns{answers(no, ok, expired)}, Unknown},
		{"everything as a scoped one", turns{answers(scoped, scoped, scoped)}, Unknown},
		{"the new key as a living scoped one", turns{answers(scoped, no, no)}, Rejected},
		{"the old key as a living scoped one", turns{answers(ok, scoped, no)}, OtherScoped},
		{"the old key as an expired scoped one", turns{answers(ok, expired, no)}, Live},
		{"both", turns{answers(ok, ok, no)}, Mixed},
		{"a rate limit", turns{answers(none, none, none)}, Unknown},
		{"a rate limit for the control", turns{answers(ok, no, none)}, Unknown},
		{"a rate limit for the old key", turns{answers(ok, none, no)}, Unknown},
		{"one replica of two is old", turns{onNew, onOld}, Mixed},
		{"three replicas, of which the second is old", turns{onNew, onOld, onNew}, Mixed},
		{"two replicas, of which each is asked every second question", turns{onOld, onNew, onNew, onOld}, Mixed},
		// Good enough: it is waited for either way.
		{"one replica of two is new", turns{onOld, onNew}, OtherLive},
		{"one replica of ten is old", slices.Concat(slices.Repeat(turns{onNew}, 9), turns{onOld}), Mixed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := one(c.turns...)
				got, err := s.Prove(t.Context(), newKey, oldKey)
				if got != c.want || (got == Unknown) != (err != nil) || s.Sampled() != (got == Mixed) {
					t.Errorf("%s, %v, sampled %v; want %s", got, err, s.Sampled(), c.want)
				}
			})
		})
	}
}

// An address that has answered in two ways is a sample from then on: one that
// differs only now and then is met by more questions, and nothing forgets it.
func TestMixedOnceIsSampledForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		onNew, onOld := answers(ok, no, no), answers(no, ok, no)
		a := &address{turns: []func(secret.Key) blnk.Answer{onNew, onOld}}
		s := &Server{Asker: a}
		if v, _ := s.Prove(t.Context(), newKey, oldKey); v != Mixed || !s.Sampled() {
			t.Fatalf("%s, sampled %v", v, s.Sampled())
		}
		// One in forty: twenty connections could agree.
		a.turns, a.asked = slices.Concat(slices.Repeat([]func(secret.Key) blnk.Answer{onNew}, 39), []func(secret.Key) blnk.Answer{onOld}), 0
		if v, _ := s.Prove(t.Context(), newKey, oldKey); v != Mixed {
			t.Errorf("one of forty is old: %s", v)
		}
		a.turns, a.asked = []func(secret.Key) blnk.Answer{onNew}, 0
		if v, _ := s.Prove(t.Context(), newKey, oldKey); v != Live || !s.Sampled() || a.asked != 62 {
			t.Errorf("in the end: %s, sampled %v, %d asked", v, s.Sampled(), a.asked)
		}
	})
}

// A process that went away in the middle of the questions and one that came in
// its place are not two servers behind one address.
func TestARestartBetweenTwoQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Asker: &restarting{}}
		if v, err := s.Prove(t.Context(), newKey, oldKey); v != Unknown || err == nil || s.Sampled() {
			t.Errorf("while it restarts: %s, %v, sampled %v", v, err, s.Sampled())
		}
		if v, err := s.Prove(t.Context(), newKey, oldKey); v != Live || s.Sampled() {
			t.Errorf("afterwards: %s, %v, sampled %v", v, err, s.Sampled())
		}
	})
}

// A restarting server answers once as the old one, is gone for a question, and
// is the new one.
type restarting struct{ asked int }

func (*restarting) String() string { return "http://restarting" }

func (r *restarting) Ask(_ context.Context, key secret.Key) (blnk.Answer, error) {
	switch r.asked++; r.asked {
	case 1:
		return answers(no, ok, no)(key), nil
	case 2:
		return none, fmt.Errorf("ask: %w", syscall.ECONNREFUSED)
	default:
		return answers(ok, no, no)(key), nil
	}
}

// A crowd answers like the new server, but for one question.
type crowd struct {
	asked, under, most atomic.Int32
	odd                int32
	oddly              blnk.Answer
	meet               *sync.WaitGroup // nil: nobody waits for the others
}

func (*crowd) String() string { return "http://crowd" }

func (c *crowd) Ask(ctx context.Context, _ secret.Key) (blnk.Answer, error) {
	c.most.Store(max(c.most.Load(), c.under.Add(1)))
	defer c.under.Add(-1)
	n := c.asked.Add(1)
	if c.meet != nil && n <= 4 {
		c.meet.Done()
		c.meet.Wait()
	}
	switch {
	case ctx.Err() != nil:
		return blnk.Nothing, ctx.Err()
	case n == c.odd && c.oddly == blnk.Nothing:
		return blnk.Nothing, fmt.Errorf("HTTP 429: %w", blnk.ErrLimited)
	case n == c.odd:
		return c.oddly, nil
	default:
		return blnk.Live, nil
	}
}

func (c *crowd) sample(ctx context.Context, atOnce int) (Tally, error) {
	s := &Server{Asker: c, AtOnce: atOnce}
	return s.sample(ctx, 19, s.about(newKey), func(a blnk.Answer) bool { return a != blnk.Live })
}

func TestSampleAsksSeveralAtATime(t *testing.T) {
	c := &crowd{meet: &sync.WaitGroup{}}
	c.meet.Add(4) // the test hangs unless four questions are under way at once
	found, err := c.sample(t.Context(), 4)
	if found.live != 19 || err != nil || c.asked.Load() != 19 || c.most.Load() > 4 {
		t.Errorf("%+v, %v; %d asked, %d at once", found, err, c.asked.Load(), c.most.Load())
	}
}

func TestSampleFindsTheOneThatDiffers(t *testing.T) {
	for _, atOnce := range []int{0, 1, 5, 50} {
		for _, odd := range []int32{1, 10, 19} {
			for _, answer := range []blnk.Answer{blnk.Rejected, blnk.Lesser} {
				c := &crowd{odd: odd, oddly: answer}
				if found, err := c.sample(t.Context(), atOnce); found.rejected+found.scoped != 1 || err != nil {
					t.Errorf("%d at once, odd one %d, %v: %+v, %v", atOnce, odd, answer, found, err)
				}
			}
		}
	}
	// A limit is waited for.
	c := &crowd{odd: 7}
	if found, err := c.sample(t.Context(), 5); found.live != 19 || err != nil || c.asked.Load() != 20 {
		t.Errorf("limited once: %+v, %v, %d asked", found, err, c.asked.Load())
	}
}

func TestSampleEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if found, err := (&crowd{}).sample(ctx, 5); found.Total() != 0 || err == nil {
		t.Errorf("%+v, %v", found, err)
	}
}

// A counting asker knows how often it was asked for each key.
type counting struct {
	mu     sync.Mutex
	counts map[string]int
	answer func(key string, n int) blnk.Answer
	none   error // with blnk.Nothing
}

func (*counting) String() string { return "http://counting" }

func (c *counting) Ask(_ context.Context, key secret.Key) (blnk.Answer, error) {
	name := key.Reveal()
	if name != "live" && name != "scoped" && name != "dead" {
		name = "random"
	}
	c.mu.Lock()
	c.counts[name]++
	n := c.counts[name]
	c.mu.Unlock()
	answer := c.answer(name, n)
	if answer == blnk.Nothing {
		return answer, c.none
	}
	return answer, nil
}

func TestAskAll(t *testing.T) {
	limited := fmt.Errorf("HTTP 429: %w", blnk.ErrLimited)
	healthy := func(key string, _ int) blnk.Answer {
		switch key {
		case "live":
			return ok
		case "scoped":
			return half
		}
		return no
	}
	odd := func(key string, at int, then blnk.Answer) func(string, int) blnk.Answer {
		return func(k string, n int) blnk.Answer {
			if k == key && n == at {
				return then
			}
			return healthy(k, n)
		}
	}
	for name, c := range map[string]struct {
		answer                func(key string, n int) blnk.Answer
		want                  []Verdict // of the keys live, scoped, dead
		open, failed, sampled bool
		none                  error
	}{
		"healthy": {healthy, []Verdict{Live, Scoped, Rejected}, false, false, false, limited},
		"one answer in twenty is another server's": {odd("live", 20, no), []Verdict{Mixed, Scoped, Rejected}, false, false, true, limited},
		"one server of several is open":            {odd("random", 7, half), []Verdict{Unknown, Unknown, Unknown}, true, false, false, limited},
		"a limit is waited for":                    {odd("live", 3, none), []Verdict{Live, Scoped, Rejected}, false, false, false, limited},
		// Something else stands before the server, or beside it: no answers of one.
		"a gateway speaks up once":        {odd("live", 3, none), []Verdict{Unknown, Unknown, Unknown}, false, true, false, errors.New("HTTP 503")},
		"a gateway drops the header once": {odd("dead", 18, none), []Verdict{Live, Scoped, Unknown}, false, true, false, errors.New("the server saw no key")},
		"no answer at all":                {func(string, int) blnk.Answer { return none }, []Verdict{Unknown, Unknown, Unknown}, false, true, false, limited},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewServer(&counting{counts: map[string]int{}, answer: c.answer, none: c.none}, false)
				got := s.askAll(t.Context(), Questions{{Key: secret.New("live")}, {Key: secret.New("scoped")}, {Key: secret.New("dead")}}, Agreeing)
				open := got.Secure != nil && !*got.Secure
				if !slices.Equal(got.Keys, c.want) || open != c.open || (got.Error != "") != c.failed || got.Sampled != c.sampled {
					t.Errorf("%+v, open %v", got, open)
				}
				if !c.failed && got.Connections != Agreeing {
					t.Errorf("%d connections", got.Connections)
				}
			})
		})
	}
	one := &counting{counts: map[string]int{}, answer: healthy}
	r := Verify(t.Context(), []*Server{NewServer(one, false)}, Questions{{Key: secret.New("live"), From: []string{"a"}}, {Key: secret.New("scoped"), From: []string{"b"}}}, Accepted, 1)
	if says := r.Servers[0]; !slices.Equal(says.Keys, []Verdict{Live, Scoped}) || says.Connections != 1 || says.Error != "" || !maps.Equal(one.counts, map[string]int{"live": 1, "scoped": 1, "random": 1}) {
		t.Errorf("once: %+v of %v", says, one.counts)
	}
}

// A slow is an address that may be asked now and then.
type slow struct {
	address
	every time.Duration
}

func (s *slow) Ask(ctx context.Context, key secret.Key) (blnk.Answer, error) {
	<-time.After(s.every)
	return s.address.Ask(ctx, key)
}

// Whoever checks a key does not wait for hours.
func TestVerifyEnds(t *testing.T) {
	for every, done := range map[time.Duration]bool{time.Second: true, 100 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			s := &Server{Asker: &slow{address{turns: []func(secret.Key) blnk.Answer{answers(no, ok, no)}}, every}}
			r := Verify(t.Context(), []*Server{s}, Questions{{Key: oldKey, From: []string{"here"}}}, Accepted, Agreeing)
			if took := time.Since(began); (r.Result == "passed") != done || took > Longest+every {
				t.Errorf("one question in %s: %+v after %s", every, r, took)
			}
			if says := r.Servers[0]; !done && (says.Keys[0] != Unknown || !strings.Contains(says.Error, "429 rate limited: no verdict within 5m0s") || says.Hint == "") {
				t.Errorf("%+v", says)
			}
		})
	}
}
