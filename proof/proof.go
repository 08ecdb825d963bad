// Package proof asks a Blnk server many questions and gives one verdict: the
// vocabulary of what a server accepts, the same in every command.
//
// Every question goes over a fresh connection, and a random key that was never
// issued is the control of every proof: a server that lets it in lets in
// anything. Behind one address several servers may take turns, so that a
// verdict rests on many connections that agree.
//
// It does not promise that every server behind an address was met: where there
// may be several (Server.Sampled), the verdict is a sample.
package proof

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/secret"
)

// An Asker asks one address which key it accepts, on a fresh connection each
// time. An Answer of blnk.Nothing comes with the reason as its error, which
// names the address. Several goroutines may ask at once.
type Asker interface {
	Ask(ctx context.Context, key secret.Key) (blnk.Answer, error)
	String() string
}

// A Server is one address of a Blnk server.
type Server struct {
	Asker
	several bool
	mixed   atomic.Bool
	// AtOnce is how many questions may be under way at a time; 0 is one.
	AtOnce int
}

// atOnce is how many questions a server is asked at a time. Blnk's rate limiter,
// where it is on, allows bursts of that size and more.
const atOnce = 5

// NewServer is the address that an Asker asks. several says that more than one
// process may stand behind it.
func NewServer(asker Asker, several bool) *Server {
	return &Server{Asker: asker, several: several, AtOnce: atOnce}
}

// Sampled says that several processes may stand behind the address, so that even
// answers that all agree are a sample and no proof of each of them: it was said
// to NewServer, or was seen since.
func (s *Server) Sampled() bool { return s.several || s.mixed.Load() }

// SeenMixed says that the address has answered in two ways: in an earlier run.
func (s *Server) SeenMixed() { s.mixed.Store(true) }

// Agreeing is how many fresh connections must agree before anything counts as
// proved: twenty, and three times as many where different answers have been seen.
func (s *Server) Agreeing() int {
	if s.mixed.Load() {
		return 3 * Agreeing
	}
	return Agreeing
}

// Agreeing is Server.Agreeing of an address that has not been seen to differ.
const Agreeing = 20

// A Verdict is what a server's answers, taken together, prove about a key.
type Verdict string

const (
	Unknown  Verdict = "unknown"  // nothing is proved: silence, a rate limit, a failing server
	Live     Verdict = "live"     // this is the master key
	Rejected Verdict = "rejected" // no key at all
	Scoped   Verdict = "scoped"   // let in, but not as the master key
	Mixed    Verdict = "mixed"    // different answers on different connections
	Open     Verdict = "open"     // a random key is let in: secure mode is off, and no other answer counts

	// Of a key that replaces another one (Server.Prove):

	OtherScoped Verdict = "other_scoped" // it is live, and the other lives on as a scoped key
	OtherLive   Verdict = "other_live"   // the other one is live: an old process, or no restart yet
)

// Proves says that the key is the live master key, whatever became of another.
func (v Verdict) Proves() bool { return v == Live || v == OtherScoped }

// A question is put to a server once.
type question func(ctx context.Context) (blnk.Answer, error)

func (s *Server) about(key secret.Key) question {
	return func(ctx context.Context) (blnk.Answer, error) { return s.Ask(ctx, key) }
}

// askRandom asks for a key that was never issued. What only an issued one can be told
// comes from something that stands before the server.
func (s *Server) askRandom(ctx context.Context) (blnk.Answer, error) {
	answer, err := s.Ask(ctx, secret.New(rand.Text()+rand.Text()))
	if answer == blnk.Scoped || answer == blnk.Expired {
		return blnk.Nothing, hint.Add(fmt.Errorf("ask %s: a random key is %s, which no Blnk server says: something in front of it answered", s, answer),
			"name the server itself with --server")
	}
	return answer, err
}

// patience is how long a server that has answered before may keep back its next
// answer: a rate limiter lets a few questions through at a time, and a proof
// that began anew each time would never come to its end.
const patience = 10 * time.Second

// Pause is the waiting between two questions to a server that has not given the
// answer yet: soon at first, because a server is back within some 50 ms, and then
// ever later, because a slow one is not to be pestered. The zero Pause is ready.
type Pause struct{ next time.Duration }

// Wait waits; false when that would be of no use any more, because ctx or the
// time until the deadline ends before.
func (p *Pause) Wait(ctx context.Context, deadline time.Time) bool {
	const first, last = 2 * time.Millisecond, time.Second
	p.next = min(max(p.next*3/2, first), last)
	return !time.Now().Add(p.next).After(deadline) && interrupt.Sleep(ctx, p.next) == nil
}

// insist asks a server that has answered before, and again where it only limits how
// often it is asked, until patience or ctx is at its end. Any other silence counts:
// who answers in the server's place may stand before a part of the connections, and
// what comes back after a restart is another process.
func (s *Server) insist(ctx context.Context, ask question) (blnk.Answer, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(patience)
	}
	for pause := (Pause{}); ; {
		answer, err := ask(ctx)
		if !errors.Is(err, blnk.ErrLimited) || !pause.Wait(ctx, deadline) {
			return answer, err
		}
	}
}

// sample asks n times, AtOnce at a time, which also spreads the
// questions over the servers behind a balancer. It ends early with an answer that
// is no other but blnk.Nothing, or one that enough says is enough.
func (s *Server) sample(ctx context.Context, n int, q question, enough func(blnk.Answer) bool) (t Tally, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	var mu sync.Mutex
	var asked atomic.Int64
	done := false
	ask := func() {
		for asked.Add(1) <= int64(n) {
			answer, why := s.insist(ctx, q)
			mu.Lock()
			if !done {
				t.count(answer)
				if done = answer == blnk.Nothing || enough(answer); done {
					err = why
					cancel() // the others need not go on
				}
			}
			stop := done
			mu.Unlock()
			if stop {
				return
			}
		}
	}
	for range min(max(s.AtOnce, 1), n) - 1 {
		workers.Go(ask)
	}
	ask()
	workers.Wait()
	return t, err
}

// A Tally counts what a server answered to a key.
type Tally struct{ live, rejected, scoped int }

func (t *Tally) count(a blnk.Answer) {
	switch a {
	case blnk.Live:
		t.live++
	case blnk.Rejected, blnk.Expired:
		t.rejected++
	case blnk.Lesser, blnk.Scoped:
		t.scoped++
	}
}

// Total is the number of answers.
func (t Tally) Total() int { return t.live + t.rejected + t.scoped }

// verdict says what n answers prove; fewer prove nothing.
func (t Tally) verdict(n int) Verdict {
	switch {
	case t.Total() < n:
		return Unknown
	case t.live == t.Total():
		return Live
	case t.rejected == t.Total():
		return Rejected
	case t.scoped == t.Total():
		return Scoped
	}
	return Mixed
}
