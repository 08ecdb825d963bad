package probe

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

var testKey = secret.New(`blnk_sk_mB3"k/+VqR7tYz0 WcXd&eFgHjKl?nPs=Tu%UvAaDd`)

func newServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func open(t *testing.T, url string, opt Options) *Server {
	t.Helper()
	s, err := New(url, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantNothing checks that the error says why, and holds no key.
func wantNothing(t *testing.T, s *Server, key secret.Key, why string) error {
	t.Helper()
	answer, err := s.Ask(t.Context(), key)
	if answer != blnk.Nothing || err == nil {
		t.Fatalf("Ask = %v, %v; want nothing proved", answer, err)
	}
	if !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), s.String()) {
		t.Errorf("error %q, want it to name %s and say %q", err, s, why)
	}
	noKey(t, err, key)
	return err
}

// noKey looks at the error as people and loggers print it, and at everything
// that it wraps.
func noKey(t *testing.T, err error, key secret.Key) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, shape := range append(key.Encodings(), "canary") {
			if strings.Contains(e.Error(), shape) {
				t.Errorf("error %T holds what the server sent back", e)
			}
		}
	}
}

func TestAskAnswers(t *testing.T) {
	const unauthorized = `{"error":"Invalid API key","error_detail":{"code":"AUTH_INVALID_API_KEY","message":"Invalid API key"}}`
	tests := []struct {
		name   string
		status int
		body   string
		want   blnk.Answer
		why    string
	}{
		{"list", 200, `[]`, blnk.Live, ""},
		{"no list yet", 200, `null`, blnk.Live, ""},
		{"rejected", 401, unauthorized, blnk.Rejected, ""},
		{"rejected before 0.15", 401, `{"error":"Invalid API key"}`, blnk.Rejected, ""},
		{"not the master key", 403, `{"error":"hook management requires master key"}`, blnk.Lesser, ""},
		{"rate limit", 429, `{"error":"rate limit exceeded canary"}`, blnk.Nothing, "429 rate limited"},
		{"failing", 503, `canary`, blnk.Nothing, "HTTP 503"},
		{"failing with Blnk's body", 500, `{"error":"canary"}`, blnk.Nothing, "HTTP 500"},
		{"not found", 404, `canary`, blnk.Nothing, "HTTP 404"},
		{"somebody's page", 200, `<html>canary</html>`, blnk.Nothing, "is this a Blnk server?"},
		{"somebody's object", 200, `{"canary":1}`, blnk.Nothing, "is this a Blnk server?"},
		{"proxy's 401", 401, `<html>canary</html>`, blnk.Nothing, "something in front"},
		{"proxy's 403", 403, `canary`, blnk.Nothing, "something in front"},
		{"no content", 204, ``, blnk.Nothing, "HTTP 204"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})
			s := open(t, server.URL, Options{})
			if tt.want == blnk.Nothing {
				_ = wantNothing(t, s, testKey, tt.why)
				return
			}
			answer, err := s.Ask(t.Context(), testKey)
			if answer != tt.want || err != nil {
				t.Errorf("Ask = %v, %v; want %v", answer, err, tt.want)
			}
		})
	}
}

func TestAskSendsKeyAsItIs(t *testing.T) {
	type seen struct {
		method, path string
		keys         []string
	}
	var got seen
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		got = seen{r.Method, r.URL.Path, r.Header.Values(blnk.KeyHeader)}
		_, _ = w.Write([]byte("[]"))
	})
	for _, key := range []string{testKey.Reveal(), "with space inside", "tab\tinside", "ünïcödé", "\xff\xfe"} {
		if _, err := open(t, server.URL+"/base/", Options{}).Ask(t.Context(), secret.New(key)); err != nil {
			t.Fatal(err)
		}
		if got.method != "GET" || got.path != "/base/hooks" || len(got.keys) != 1 || got.keys[0] != key {
			t.Errorf("server saw %q, want key %q", got, key)
		}
	}
	if _, err := open(t, server.URL, Options{}).Ask(t.Context(), secret.Key{}); err != nil || len(got.keys) != 0 {
		t.Errorf("without a key: %v, header %q", err, got.keys)
	}
}

func TestAskRefusesKeyThatNoHeaderCarries(t *testing.T) {
	var asked atomic.Int32
	server := newServer(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	s := open(t, server.URL, Options{})
	for _, key := range []string{"canary ", " canary", "canary\t", "canary\n", "can\nary", "can\x00ary", "canary\r", "can\x7fary"} {
		if err := wantNothing(t, s, secret.New(key), "header cannot carry"); !errors.Is(err, blnk.ErrUnsendable) {
			t.Errorf("%v is not ErrUnsendable", err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestAskUsesFreshConnections(t *testing.T) {
	var fresh atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("[]"))
	}))
	server.Config.ConnState = connCounter(&fresh)
	server.Start()
	t.Cleanup(server.Close)
	s := open(t, server.URL, Options{})
	for range 3 {
		if _, err := s.Ask(t.Context(), testKey); err != nil {
			t.Fatal(err)
		}
	}
	if n := fresh.Load(); n != 3 {
		t.Errorf("3 questions over %d connections", n)
	}
}

func TestAskOfNobody(t *testing.T) {
	server := newServer(t, nil)
	url := server.URL
	server.Close()
	if err := wantNothing(t, open(t, url, Options{}), testKey, "connection refused"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v does not wrap ECONNREFUSED", err)
	}
	_ = wantNothing(t, open(t, "https://blnk.invalid", Options{}), testKey, "host name not found")
}

func TestAskOfHangingServer(t *testing.T) {
	server := newServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := open(t, server.URL, Options{Timeout: 50 * time.Millisecond})
	// The caller's own deadline has not passed: that is another error.
	if err := wantNothing(t, s, testKey, "no answer within 50ms"); errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v looks like the end of the caller's context", err)
	}
}

// A listener that takes connections and says nothing, with and without TLS.
func TestAskOfDeafServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	for _, scheme := range []string{"http://", "https://"} {
		s := open(t, scheme+listener.Addr().String(), Options{Timeout: 50 * time.Millisecond})
		_ = wantNothing(t, s, testKey, "no answer within 50ms")
	}
}

func TestAskOfServerThatHangsInTheBody(t *testing.T) {
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("["))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	_ = wantNothing(t, open(t, server.URL, Options{Timeout: 50 * time.Millisecond}), testKey, "no answer within 50ms")
}

func TestAskEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	answer, err := open(t, server.URL, Options{}).Ask(ctx, testKey)
	if answer != blnk.Nothing || !errors.Is(err, context.Canceled) {
		t.Errorf("Ask = %v, %v; want context.Canceled", answer, err)
	}
}

func TestAskReadsNoEndlessBody(t *testing.T) {
	var ended atomic.Bool
	done := make(chan struct{})
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(done)
		block := []byte(strings.Repeat("[", 1<<16))
		for range 1 << 12 { // 256 MiB, if somebody took them
			if _, err := w.Write(block); err != nil {
				ended.Store(true)
				return
			}
		}
	})
	_ = wantNothing(t, open(t, server.URL, Options{}), testKey, "larger than 1 MiB")
	<-done
	if !ended.Load() {
		t.Error("the whole body was taken")
	}
}

// No two questions are alike, so that no cache has the answer, and one that
// answers all the same is not the server.
func TestAskOfCache(t *testing.T) {
	seen := map[string]bool{}
	header := http.Header{}
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if seen[r.URL.String()] || !strings.Contains(r.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("asked as before, or without no-store: %s", r.URL)
		}
		seen[r.URL.String()] = true
		maps.Copy(w.Header(), header)
		_, _ = w.Write([]byte("[]"))
	})
	s := open(t, server.URL, Options{})
	for _, c := range []struct {
		name, value string
		hit         bool
	}{
		{"Age", "0", true}, {"X-Cache", "HIT", true}, {"X-Cache", "Hit from cloudfront", true}, {"X-Cache", "Miss from cloudfront", false},
		{"Cf-Cache-Status", "HIT", true}, {"Cf-Cache-Status", "DYNAMIC", false}, {"X-Proxy-Cache", "STALE", true}, {"X-Cache-Status", "UPDATING", true}, {"X-Cache-Hits", "0", false}, {"X-Varnish", "32770 3", true}, {"X-Varnish", "32770", false}, {"Cache-Status", "edge; hit", true}, {"Cache-Control", "no-store", false},
	} {
		header = http.Header{c.name: {c.value}}
		if c.hit {
			_ = wantNothing(t, s, testKey, "a cache in front of the server answered")
		} else if answer, err := s.Ask(t.Context(), testKey); answer != blnk.Live {
			t.Errorf("%v: %v, %v", header, answer, err)
		}
	}
}

func TestHooks(t *testing.T) {
	body := `[{"id":"hk_1","name":"audit","type":"POST_TRANSACTION","url":"https://u:p@a.example:8443/in?token=t#f","active":true},
		{"id":"hk_2","name":"check","type":"PRE_TRANSACTION","url":"://"}]`
	status := 200
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		if kind := r.URL.Query().Get("type"); kind == "" || strings.HasPrefix(body, "[{") && kind == "PRE_TRANSACTION" {
			_, _ = w.Write([]byte("[]"))
			return
		}
		_, _ = w.Write([]byte(body))
	})
	s := open(t, server.URL, Options{})
	hooks, err := s.Hooks(t.Context(), testKey)
	want := []Hook{
		{ID: "hk_1", Name: "audit", Type: "POST_TRANSACTION", URL: "https://a.example:8443/in"},
		{ID: "hk_2", Name: "check", Type: "PRE_TRANSACTION", URL: "(not a URL)"},
	}
	if err != nil || len(hooks) != 2 || hooks[0] != want[0] || hooks[1] != want[1] {
		t.Errorf("Hooks = %+v, %v; want %+v", hooks, err, want)
	}
	body = "null"
	if hooks, err := s.Hooks(t.Context(), testKey); err != nil || len(hooks) != 0 {
		t.Errorf("Hooks of null = %v, %v", hooks, err)
	}
	for _, odd := range []string{`[1]`, `["canary"]`} {
		body = odd
		_, err := s.Hooks(t.Context(), testKey)
		if err == nil || !strings.Contains(err.Error(), "no list of hooks") {
			t.Errorf("Hooks of %s: %v", odd, err)
		}
		noKey(t, err, testKey)
	}
	status, body = 403, `{"error":"insufficient permissions canary"}`
	_, err = s.Hooks(t.Context(), testKey)
	if err == nil || !strings.Contains(err.Error(), "as a scoped key") {
		t.Errorf("Hooks with a lesser key: %v", err)
	}
	noKey(t, err, testKey)
}
