package blnktest

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the ways in which the stand-in is told to differ from a healthy
// server of today. The zero Options is that server. Each has a variable; see
// `blnk-standin help`.
type Options struct {
	// Version is the Blnk version to behave like, as "0.14.2". "" is 0.15.0.
	Version string
	// StartDelay passes before the port opens.
	StartDelay time.Duration
	// Die ends the process with status 1 before the port opens.
	Die bool
	// IgnoreTerm makes SIGTERM and SIGINT do nothing, as for a shell that runs
	// as process 1 of a container.
	IgnoreTerm bool
	// Drain is how long open connections are still answered after SIGTERM,
	// when the port is closed already. Blnk itself answers only requests that
	// are under way; a proxy before it may hold more.
	Drain time.Duration
	// DrainLimit is how long requests that are being answered may take at the
	// end, before the process gives up and exits 1. 0 is Blnk's 30 s.
	DrainLimit time.Duration
	// Linger is how long everything goes on after SIGTERM, new connections
	// too: an orchestrator that still routes to the old process.
	Linger time.Duration
	// Answer replaces answers: an HTTP status, "hang" (none, until the client
	// leaves), "close" (the connection ends) or "garbage" (no HTTP).
	Answer string
	// AnswerCount is how many requests get Answer, from the first on. 0: all.
	AnswerCount int
	// Hold is a file: while it is there no request is answered, and beside it
	// Hold.asked tells that one has come. "" holds nothing.
	Hold string
}

// optionsFrom reads the STANDIN_* variables.
func optionsFrom(getenv func(string) string) (Options, error) {
	o := Options{
		Version:    getenv("STANDIN_VERSION"),
		Die:        getenv("STANDIN_DIE") != "",
		IgnoreTerm: getenv("STANDIN_IGNORE_TERM") != "",
		Answer:     getenv("STANDIN_ANSWER"),
		Hold:       getenv("STANDIN_HOLD"),
	}
	for name, at := range map[string]*time.Duration{
		"STANDIN_START_DELAY": &o.StartDelay, "STANDIN_DRAIN": &o.Drain, "STANDIN_LINGER": &o.Linger,
		"STANDIN_DRAIN_LIMIT": &o.DrainLimit,
	} {
		value := getenv(name)
		if value == "" {
			continue
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			return o, fmt.Errorf("%s: want a duration such as 2s", name)
		}
		*at = d
	}
	if n := getenv("STANDIN_ANSWER_COUNT"); n != "" {
		count, err := strconv.Atoi(n)
		if err != nil || count < 1 {
			return o, fmt.Errorf("STANDIN_ANSWER_COUNT: want a number from 1")
		}
		o.AnswerCount = count
	}
	return o, o.check()
}

func (o Options) check() error {
	if o.Version != "" {
		if _, err := minor(o.Version); err != nil {
			return err
		}
	}
	switch o.Answer {
	case "", "hang", "close", "garbage":
		return nil
	}
	if n, err := strconv.Atoi(o.Answer); err != nil || n < 200 || n > 599 {
		return fmt.Errorf("STANDIN_ANSWER: want an HTTP status, hang, close or garbage")
	}
	return nil
}

// A version is what differs between Blnk's versions.
type version struct {
	details         bool // error_detail, since 0.15.0
	hooksNeedMaster bool // since 0.14.3
}

func (o Options) version() version {
	n, err := minor(o.Version)
	if err != nil {
		return version{details: true, hooksNeedMaster: true}
	}
	return version{details: n >= 15_000, hooksNeedMaster: n >= 14_003}
}

// minor turns "0.14.3" into 14003.
func minor(v string) (int, error) {
	parts := strings.Split(v, ".")
	if len(parts) == 3 && parts[0] == "0" {
		mid, err1 := strconv.Atoi(parts[1])
		low, err2 := strconv.Atoi(parts[2])
		if err1 == nil && err2 == nil {
			return mid*1000 + low, nil
		}
	}
	return 0, fmt.Errorf("STANDIN_VERSION: want a version such as 0.14.3")
}

// oddities gives the wrong and late answers that Options ask for.
type oddities struct {
	hold    string
	wrong   string
	limited bool
	left    atomic.Int64
}

func newOddities(o Options) *oddities {
	odd := &oddities{hold: o.Hold, wrong: o.Answer, limited: o.AnswerCount > 0}
	odd.left.Store(int64(o.AnswerCount))
	return odd
}

// answer returns false where the server is to answer as it should.
func (o *oddities) answer(w http.ResponseWriter, r *http.Request) bool {
	o.wait(r.Context())
	if o.wrong == "" || (o.limited && o.left.Add(-1) < 0) {
		return false
	}
	switch o.wrong {
	case "hang":
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case "close":
		panic(http.ErrAbortHandler)
	case "garbage":
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = conn.Write([]byte("this is not HTTP\r\n\r\n"))
			conn.Close()
		}
		return true
	}
	status, _ := strconv.Atoi(o.wrong) // looked at by check
	reply(w, status, map[string]string{"error": http.StatusText(status)})
	return true
}

// wait returns when the file that holds answers back is gone, or the client.
func (o *oddities) wait(ctx context.Context) {
	if o.hold == "" {
		return
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Lstat(o.hold); err != nil || ctx.Err() != nil {
			return
		}
		_ = os.WriteFile(o.hold+".asked", nil, 0o600) // a script that waits for it fails
		<-tick.C
	}
}

// limiter is Blnk's rate limiter (tollbooth): a bucket of Burst requests for
// each path, which fills by RequestsPerSecond. Blnk's has one for each client
// address too; here all clients are this machine.
type limiter struct {
	rate, burst float64

	mu      sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	has  float64
	last time.Time
}

// newLimiter returns nil, which allows everything, where nothing is limited.
func newLimiter(c RateLimitConfig) *limiter {
	if c.RequestsPerSecond == nil && c.Burst == nil {
		return nil
	}
	l := &limiter{buckets: map[string]bucket{}}
	if c.RequestsPerSecond != nil {
		l.rate = *c.RequestsPerSecond
		l.burst = 2 * l.rate
	}
	if c.Burst != nil {
		l.burst = float64(*c.Burst)
		if c.RequestsPerSecond == nil {
			l.rate = l.burst / 2
		}
	}
	return l
}

// allow says in the headers what is left, as tollbooth does.
func (l *limiter) allow(path string, header http.Header) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	b, ok := l.buckets[path]
	if !ok {
		b = bucket{has: l.burst, last: now}
	}
	b.has = min(l.burst, b.has+l.rate*now.Sub(b.last).Seconds())
	b.last = now
	allowed := b.has >= 1
	if allowed {
		b.has--
	}
	l.buckets[path] = b
	header.Set("RateLimit-Limit", strconv.Itoa(int(math.Round(l.rate))))
	header.Set("RateLimit-Reset", "1")
	header.Set("RateLimit-Remaining", strconv.Itoa(int(b.has)))
	return allowed
}
