package probe

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/interrupt"
)

// mostWait is how long a question waits for its turn where its context sets no time.
const mostWait = 2 * time.Minute

// longWait is told each time; shorter ones, which may be one for each question, once.
const longWait = 5 * time.Second

// A pace keeps to the rate that a server, or what stands before it, says in its
// answers: Retry-After, and the RateLimit headers that Blnk's own limiter sends.
type pace struct {
	mu    sync.Mutex
	known bool          // an answer told
	left  int           // questions that are free
	next  time.Time     // when the next one is, if none is
	every time.Duration // from then on
	told  bool
}

// turn is how long the next question has to wait; an error where that is too long.
func (p *pace) turn(ctx context.Context) (rest time.Duration, tell bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known || p.left > 0 {
		p.left--
		return 0, false, nil
	}
	at := time.Now()
	last, ok := ctx.Deadline()
	if !ok {
		last = at.Add(mostWait)
	}
	if p.next.After(at) {
		rest, at = p.next.Sub(at), p.next
	}
	switch {
	case at.After(last) && rest < longWait:
		return 0, false, blnk.ErrLimited
	case at.After(last):
		return 0, false, fmt.Errorf("%w: it asks to wait %s", blnk.ErrLimited, rest.Round(time.Second))
	}
	p.next = at.Add(p.every)
	tell = rest >= time.Second/2 && !p.told || rest > longWait
	p.told = p.told || tell
	return rest, tell, nil
}

// wait waits for the turn of a question. Where that comes too late, nobody is asked.
func (s *Server) wait(ctx context.Context) error {
	rest, tell, err := s.pace.turn(ctx)
	if rest == 0 {
		return err
	}
	if tell && s.Waiting != nil {
		s.Waiting(fmt.Sprintf("%s limits how often it is asked: waiting %s", s, rest.Round(time.Second)))
	}
	if interrupt.Sleep(ctx, rest) != nil {
		return ctx.Err()
	}
	return nil
}

// heard takes what an answer says of the rate.
func (p *pace) heard(status int, h http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit, left, reset := rateOf(h)
	limited := status == http.StatusTooManyRequests
	if after, ok := seconds(h.Get("Retry-After")); ok && limited {
		reset = after
	} else if ok && status == http.StatusServiceUnavailable {
		limited, reset = true, min(after, time.Second) // a server that restarts is back before anybody thinks
	} else if !limited && left < 0 {
		return // it says nothing
	}
	if reset <= 0 {
		reset = time.Second
	}
	p.every = 0
	if limit > 0 {
		p.every = reset / time.Duration(limit)
	}
	if p.known, p.left = true, left; limited || left == 0 {
		if p.left = 0; !limited { // nothing was refused yet
			reset = min(cmp.Or(p.every, reset), longWait)
		}
		if next := time.Now().Add(reset); next.After(p.next) {
			p.next = next
		}
	}
}

// rateOf reads RateLimit headers, in their older form and the newer one, and those
// with "X-"; left is -1 where none is there.
func rateOf(h http.Header) (limit, left int, reset time.Duration) {
	left = -1
	for _, prefix := range []string{"Ratelimit-", "X-Ratelimit-", "X-Rate-Limit-"} {
		n, err := strconv.Atoi(h.Get(prefix + "Remaining"))
		if err != nil {
			continue
		}
		limit, _ = strconv.Atoi(h.Get(prefix + "Limit"))
		reset, _ = seconds(h.Get(prefix + "Reset"))
		return limit, n, reset
	}
	for param := range strings.SplitSeq(h.Get("Ratelimit"), ";") { // "NAME";r=LEFT;t=SECONDS
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if n, err := strconv.Atoi(value); err == nil && name == "r" {
			left = n
		} else if err == nil && name == "t" {
			reset = time.Duration(n) * time.Second
		}
	}
	return limit, left, reset
}

// seconds reads a number of seconds from now, the time of a clock, or a date.
func seconds(text string) (time.Duration, bool) {
	if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 0 {
		const clock = 9e8 // no server wants us to wait for thirty years
		if n >= clock {
			return max(time.Until(time.Unix(int64(n), 0)), 0), n < 1e11
		}
		return time.Duration(n * float64(time.Second)), true
	}
	at, err := http.ParseTime(text)
	return max(time.Until(at), 0), err == nil
}
