package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
)

// A pipeListener serves connections that are pipes of this process, so that time is
// the bubble's.
type pipeListener struct{ conns chan net.Conn }

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// paced runs a test in a bubble with a server that a handler plays.
func paced(t *testing.T, h http.HandlerFunc, test func(t *testing.T, s *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := pipeListener{make(chan net.Conn)}
		server := &http.Server{Handler: h}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(l) })
		s := open(t, "http://127.0.0.1:1", Options{})
		s.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			here, there := net.Pipe()
			l.conns <- there
			return here, nil
		}
		test(t, s)
		close(l.conns)
		_ = server.Close()
		serving.Wait()
	})
}

// A bucket is Blnk's own limiter (tollbooth): so many questions a second, and at most
// so many at once.
type bucket struct {
	mu          sync.Mutex
	rate, burst float64
	tokens      float64
	at          time.Time
	refused     int
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.tokens = b.burst
	} else {
		b.tokens = min(b.burst, b.tokens+b.rate*time.Since(b.at).Seconds())
	}
	b.at = time.Now()
	w.Header().Set("RateLimit-Limit", fmt.Sprintf("%.0f", b.rate))
	w.Header().Set("RateLimit-Reset", "1")
	w.Header().Set("RateLimit-Remaining", fmt.Sprint(max(int(b.tokens)-1, 0)))
	if b.tokens < 1 {
		b.refused++
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"error":"You have reached maximum request limit."}`))
		return
	}
	b.tokens--
	_, _ = w.Write([]byte("[]"))
}

// Questions keep to the rate that the server tells, five at a time, and hardly any is
// refused.
func TestPaceOfBlnk(t *testing.T) {
	for _, b := range []*bucket{{rate: 1, burst: 2}, {rate: 5, burst: 5}, {rate: 10, burst: 1}} {
		paced(t, b.ServeHTTP, func(t *testing.T, s *Server) {
			var told, live atomic.Int64
			s.Waiting = func(string) { told.Add(1) }
			begun := time.Now()
			var asking sync.WaitGroup
			for range 5 {
				asking.Go(func() {
					for range 5 {
						for {
							answer, err := s.Ask(t.Context(), testKey)
							if answer == blnk.Live {
								live.Add(1)
								break
							}
							if !errors.Is(err, blnk.ErrLimited) {
								t.Error(err)
								return
							}
						}
					}
				})
			}
			asking.Wait()
			took := time.Since(begun)
			if least := time.Duration(25 / b.rate * float64(time.Second)); live.Load() != 25 || took > least+3*time.Second || b.refused > 8 {
				t.Errorf("%v a second: %d of 25 answered in %v, %d refused", b.rate, live.Load(), took, b.refused)
			}
			if told.Load() > 1 {
				t.Errorf("%v a second: told %d times", b.rate, told.Load())
			}
		})
	}
}

func TestPaceOfOthers(t *testing.T) {
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for name, c := range map[string]struct {
		status int
		header func() map[string]string
		want   time.Duration // until the next question
	}{
		"seconds":      {429, func() map[string]string { return map[string]string{"Retry-After": "30"} }, 30 * time.Second},
		"a date":       {429, func() map[string]string { return map[string]string{"Retry-After": at(20 * time.Second)} }, 20 * time.Second},
		"busy":         {503, func() map[string]string { return map[string]string{"Retry-After": "3600"} }, time.Second},
		"only failing": {503, func() map[string]string { return nil }, 0},
		"no headers":   {429, func() map[string]string { return nil }, time.Second},
		"a window": {429, func() map[string]string {
			return map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}
		}, 12 * time.Second},
		"a clock": {429, func() map[string]string {
			return map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(time.Now().Add(15 * time.Second).Unix())}
		}, 15 * time.Second},
		"the newer form": {429, func() map[string]string { return map[string]string{"RateLimit": `"default";r=0;t=7`} }, 7 * time.Second},
		"none left": {200, func() map[string]string {
			return map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3600"}
		}, longWait},
		"many left": {200, func() map[string]string {
			return map[string]string{"RateLimit-Remaining": "99", "RateLimit-Reset": "60"}
		}, 0},
		"nonsense":            {429, func() map[string]string { return map[string]string{"Retry-After": "-5", "RateLimit-Remaining": "x"} }, time.Second},
		"a date that is past": {429, func() map[string]string { return map[string]string{"Retry-After": at(-time.Hour)} }, time.Second},
	} {
		asked := 0
		paced(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked == 1 {
				for k, v := range c.header() {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
			}
			_, _ = w.Write([]byte("[]"))
		}, func(t *testing.T, s *Server) {
			_, _ = s.Ask(t.Context(), testKey)
			begun := time.Now()
			answer, err := s.Ask(t.Context(), testKey)
			if took := time.Since(begun); answer != blnk.Live || took != c.want {
				t.Errorf("%s: %v, %v after %v; want to wait %v", name, answer, err, took, c.want)
			}
		})
	}
}

// What would wait longer than there is time is not asked, and said at once.
func TestPaceTooLong(t *testing.T) {
	asked := 0
	paced(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
	}, func(t *testing.T, s *Server) {
		_ = wantNothing(t, s, testKey, "429 rate limited")
		begun := time.Now()
		err := wantNothing(t, s, testKey, "429 rate limited: it asks to wait 1h0m0s")
		if !errors.Is(err, blnk.ErrLimited) || asked != 1 || time.Since(begun) > 0 || !strings.Contains(err.Error(), s.String()) {
			t.Errorf("%v after %v, asked %d times", err, time.Since(begun), asked)
		}
	})
}
