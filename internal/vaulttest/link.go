package vaulttest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// A Fate is what a Link does with a request.
type Fate int

// What can happen to a request on its way.
const (
	Pass       Fate = iota // it is answered
	LoseAnswer             // the server does it, and the connection breaks before the answer is back
	LoseAsk                // the connection breaks before the server sees it
	Echo                   // a gateway in front answers 502, with all that was sent on its page
)

// A Link stands between a client and a Vault server, as an unreliable network
// does.
type Link struct {
	Address string

	mu   sync.Mutex
	fate func(method, path string) Fate
	seen []string
}

// NewLink stands in front of the server at address until the test ends. It
// speaks plain http.
func NewLink(t testing.TB, address string) *Link {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch l.meet(r) {
		case Pass:
			proxy.ServeHTTP(w, r)
		case LoseAnswer:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case LoseAsk:
			panic(http.ErrAbortHandler)
		case Echo:
			echo(w, r)
		}
	}))
	t.Cleanup(front.Close)
	l.Address = front.URL
	return l
}

func echo(w http.ResponseWriter, r *http.Request) {
	var page bytes.Buffer
	_ = r.Header.Write(&page)
	_, _ = io.Copy(&page, r.Body)
	w.WriteHeader(http.StatusBadGateway)
	_, _ = w.Write(page.Bytes())
}

// meet notes the request and asks for its fate.
func (l *Link) meet(r *http.Request) Fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	path := r.URL.Path
	l.seen = append(l.seen, r.Method+" "+path)
	if l.fate == nil {
		return Pass
	}
	return l.fate(r.Method, path)
}

// Strike lets fate decide from now on what happens to each request; nil lets
// all pass. It is called with the method and the path, by one request at a
// time, before the server sees that one.
func (l *Link) Strike(fate func(method, path string) Fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fate, l.seen = fate, nil
}

// Seen returns the requests since the last Strike, as "GET /v1/sys/health".
func (l *Link) Seen() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seen)
}
