// Package probe asks a Blnk server over HTTP what it thinks of a key, and makes the
// requests of a person (Request).
//
// Every question goes over a connection of its own: a server that is shutting
// down still answers on open connections as its old self. The key goes to the
// server that was named and to nobody else: no redirect is followed, and what
// package https promises holds. What a cache answers counts for nothing.
//
// It does not promise that two questions reach the same process: one address
// may be a balancer. It repeats no question, but lets each one wait for its turn
// where the server says how many it takes.
package probe

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/secret"
)

// DefaultTimeout is how long a question may take in all where Options say
// nothing else.
const DefaultTimeout = 10 * time.Second

// maxBody bounds an answer, in bytes. A hook is some hundred.
const maxBody = 1 << 20

// Options is how a server may be reached; a Timeout of 0 is DefaultTimeout.
type Options = https.Options

// A Server is one address, for any number of goroutines.
type Server struct {
	base      *url.URL
	transport *http.Transport // without an http.Client, which would follow redirects
	timeout   time.Duration
	pace      pace
	owner     atomic.Pointer[int] // see Owner
	// Waiting is told, in a line for a person, what a question waits for.
	Waiting func(line string)
}

// New takes rawURL as http(s)://HOST[:PORT][/BASE], and does not reach for the
// server. https.ErrPlaintext (wrapped) where the key would travel in clear.
func New(rawURL string, opt Options) (*Server, error) {
	base, err := https.ParseURL(rawURL)
	if err != nil {
		err = fmt.Errorf("server: %w", err)
		host := rawURL
		if port := strings.TrimLeft(host, ":"); strings.Trim(port, "0123456789") == "" {
			host = "127.0.0.1:" + port
		}
		if _, wrong := https.ParseURL("http://" + host); wrong == nil && secret.Shown(host) != "" {
			err = hint.Add(err, "did you mean --server %s?", hint.Command("http://"+host))
		}
		return nil, err
	}
	opt.Timeout = cmp.Or(opt.Timeout, DefaultTimeout)
	transport, err := https.New(base, opt)
	if err != nil {
		return nil, err
	}
	transport.DisableKeepAlives = true  // see the package comment
	transport.DisableCompression = true // what counts against maxBody is what is sent
	s, dial := &Server{base: base, transport: transport, timeout: opt.Timeout}, transport.DialContext
	transport.DialContext = func(ctx context.Context, network, at string) (net.Conn, error) {
		return s.known(dial(ctx, network, at))
	}
	return s, nil
}

// Owner is the ID of the user who listened for the server when it was connected to first,
// or the one of Expect; nil where nobody was seen to, as where it is another host's.
func (s *Server) Owner() *int { return s.owner.Load() }

// Expect has only this user be sent a key; with nil it is whoever is met next.
func (s *Server) Expect(owner *int) { s.owner.Store(owner) }

var errOwner = errors.New("no key is sent there")

// known closes a connection to who is not the Owner, nor root or whoever runs this: a port
// above 1023 is anybody's while its server is stopped.
func (s *Server) known(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	to, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	if !to.Addr().IsLoopback() {
		return conn, nil
	}
	uid, seen := listener.Owner(to)
	if seen {
		s.owner.CompareAndSwap(nil, &uid)
	}
	met := s.owner.Load()
	if met == nil || seen && slices.Contains([]int{*met, 0, os.Geteuid()}, uid) {
		return conn, nil
	}
	_ = conn.Close()
	who := "nobody who is seen"
	if seen {
		who = fmt.Sprint("user ", uid)
	}
	return nil, hint.Add(fmt.Errorf("%s listens there, and user %d did before: %w", who, *met, errOwner),
		"sudo ss -ltnp 'sport = :%d' names the process: end it; where the server is to run as that user from now on, --server-down compares nothing", to.Port())
}

func (s *Server) String() string { return s.base.String() }

// Loopback: no other machine can be the server, nor hear what is asked.
func (s *Server) Loopback() bool { return https.Loopback(s.base) }

// Port is where the server listens, the one of its scheme included.
func (s *Server) Port() int { return https.Port(s.base) }

// TLS says whether it is asked over https.
func (s *Server) TLS() bool { return s.base.Scheme == "https" }

// CertificateEnd is the moment until which the certificates that the server shows are
// trusted: the end of the first of its chain to end. It sends no key. https.ErrTLS
// (wrapped) where they are not trusted now.
func (s *Server) CertificateEnd(ctx context.Context) (end time.Time, err error) {
	within, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	response, err := s.transport.RoundTrip(s.request(within, http.MethodHead, "/", "", http.Header{}))
	if err != nil {
		return end, https.Reason(err, s.timeout)
	}
	_ = response.Body.Close()
	for _, chain := range response.TLS.VerifiedChains {
		first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if first.NotAfter.After(end) {
			end = first.NotAfter
		}
	}
	return end, nil
}

// request is for a path and a query of this server, escaped as they are.
func (s *Server) request(ctx context.Context, method, path, query string, header http.Header) *http.Request {
	u := *s.base
	u.RawPath, u.RawQuery = u.EscapedPath()+path, query
	u.Path, _ = url.PathUnescape(u.RawPath) // looked at, or our own
	return (&http.Request{Method: method, URL: &u, Header: header}).WithContext(ctx)
}

// Ask sends key to the oracle once, on a fresh connection, and says what the
// answer proves. The zero Key asks without a key. blnk.Nothing always comes
// with an error that says why, every other answer with nil. A cancelled ctx is
// an error that wraps ctx.Err().
func (s *Server) Ask(ctx context.Context, key secret.Key) (blnk.Answer, error) {
	answer, _, err := s.ask(ctx, key, url.Values{})
	return answer, err
}

func (s *Server) ask(ctx context.Context, key secret.Key, query url.Values) (blnk.Answer, []byte, error) {
	if !key.IsZero() && !blnk.Sendable(key) {
		return blnk.Nothing, nil, hint.Add(fmt.Errorf("ask %s: %w", s, blnk.ErrUnsendable),
			"no client can use this key; rotate --server-down replaces it without asking for it")
	}
	if err := s.wait(ctx); err != nil {
		return blnk.Nothing, nil, fmt.Errorf("ask %s: %w", s, err)
	}
	response, body, err := s.get(ctx, blnk.OraclePath, key, query) //nolint:bodyclose // get has read and closed it
	if err == nil {
		answer := blnk.Judge(response.StatusCode, body)
		if answer != blnk.Nothing {
			return answer, body, nil
		}
		err = fmt.Errorf("ask %s: %w", s, s.odd(response, body))
	}
	return blnk.Nothing, nil, err
}

// Read asks for another resource of the server with a key, once, and returns the
// status and the body as they came: they may hold secrets. The error says why there is
// no answer of Blnk's.
func (s *Server) Read(ctx context.Context, key secret.Key, path string, query url.Values) (status int, body []byte, err error) {
	soon, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.wait(soon); err != nil {
		return 0, nil, fmt.Errorf("ask %s: %w", s, err)
	}
	response, body, err := s.get(ctx, path, key, query) //nolint:bodyclose // get has read and closed it
	if err != nil {
		return 0, nil, err
	}
	return response.StatusCode, body, nil
}

// reason is https.Reason, with what helps.
func (s *Server) reason(err error, within time.Duration) error {
	if errors.Is(err, errOwner) {
		return err
	}
	switch err = https.Reason(err, within); {
	case errors.Is(err, https.ErrUntrusted):
		return hint.Add(err, "name the file of the CA that signed it with --ca-cert")
	case errors.Is(err, https.ErrNotTLS):
		return hint.Add(err, "it seems to speak plain http: --server http://%s", s.base.Host)
	}
	return err
}

const direct = "name the server itself with --server"

// get makes one request and reads the whole answer. No two are alike, so that
// no cache has the answer; one that has is an error.
func (s *Server) get(ctx context.Context, path string, key secret.Key, query url.Values) (response *http.Response, body []byte, err error) {
	within, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	query.Set("blnkctl", rand.Text())
	header := http.Header{"Accept": {"application/json"}, "Cache-Control": {"no-cache, no-store"}, "User-Agent": {"blnkctl"}}
	if !key.IsZero() {
		header.Set(blnk.KeyHeader, key.Reveal())
	}
	response, err = s.transport.RoundTrip(s.request(within, http.MethodGet, path, query.Encode(), header))
	if err == nil {
		defer response.Body.Close()
		s.pace.heard(response.StatusCode, response.Header)
		body, err = io.ReadAll(https.Limit(response.Body, maxBody))
	}
	switch {
	case ctx.Err() != nil:
		err = ctx.Err() // the caller's own end, not the server's slowness
	case err != nil:
		err = s.reason(err, s.timeout)
	case isCached(response.Header):
		err = hint.Add(errors.New("a cache in front of the server answered, not the server"), direct)
	default:
		return response, body, nil
	}
	return nil, nil, fmt.Errorf("ask %s: %w", s, err)
}

// odd says what is wrong with an answer that proves nothing, and what helps.
func (s *Server) odd(r *http.Response, body []byte) error {
	location, code := r.Header.Get("Location"), blnk.CodeOf(body)
	switch {
	case r.StatusCode == http.StatusTooManyRequests:
		return blnk.ErrLimited
	case r.StatusCode >= 300 && r.StatusCode < 400 && location != "":
		return hint.Add(fmt.Errorf("redirect to %s, not followed with the key", s.redirectTarget(location)), "name where it leads with --server")
	case r.StatusCode == http.StatusOK:
		return hint.Add(errors.New("HTTP 200, but no list of hooks: is this a Blnk server?"), direct)
	case r.StatusCode == http.StatusUnauthorized && blnk.SawNoKey(body):
		return hint.Add(fmt.Errorf("the server saw no key: something in front of it drops the header %s", blnk.KeyHeader), "let that pass the header on, or "+direct)
	case r.StatusCode < 500 && code != "":
		return hint.Add(fmt.Errorf("HTTP %d %s, which says nothing about the key", r.StatusCode, code), direct)
	case r.StatusCode == http.StatusUnauthorized, r.StatusCode == http.StatusForbidden:
		return hint.Add(fmt.Errorf("HTTP %d, but not in Blnk's words: is something in front of it?", r.StatusCode), direct)
	case r.StatusCode < 500:
		return hint.Add(fmt.Errorf("HTTP %d", r.StatusCode), direct)
	}
	return fmt.Errorf("HTTP %d", r.StatusCode)
}

// isCached: a cache says so with Age (RFC 9111), with Cache-Status (RFC 9211)
// or, under one of many names (X-Cache, CF-Cache-Status), that it had a hit, or
// something older.
func isCached(h http.Header) bool {
	for name, values := range h {
		value := strings.ToLower(strings.Join(values, ","))
		has := func(word string) bool { return strings.Contains(value, word) }
		switch {
		case name == "Age", strings.Contains(name, "Cache") && slices.ContainsFunc([]string{"hit", "stale", "updating"}, has):
			return true
		case name == "X-Varnish" && len(strings.Fields(value)) > 1: // the request that filled it, too
			return true
		}
	}
	return false
}

// redirectTarget shows a place on the host that was asked, which is the usual
// case (http to https). The rest of a Location is the server's free text.
func (s *Server) redirectTarget(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(u.Hostname(), s.base.Hostname()) {
		return "another place"
	}
	return u.Scheme + "://" + s.base.Hostname()
}

// A Hook is a webhook receiver that the server knows: somebody else who holds
// the key, since it signs what the hook is sent (Blnk internal/hooks).
type Hook struct {
	ID, Name string
	Type     string // when it is called: PRE_TRANSACTION or POST_TRANSACTION
	URL      string // without user name, query and fragment, which may hold a secret of the receiver
}

// Hooks lists the transaction hooks of the server. It needs the live master
// key; any other answer is an error. It does not know the global webhook,
// which stands in the server's configuration.
func (s *Server) Hooks(ctx context.Context, key secret.Key) ([]Hook, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout) // a plan waits for no rate
	defer cancel()
	var hooks []Hook
	// Without a type the list is empty up to Blnk 0.15.2, whatever there is.
	for _, kind := range []string{"PRE_TRANSACTION", "POST_TRANSACTION"} {
		answer, body, err := s.ask(ctx, key, url.Values{"type": {kind}})
		if err != nil {
			return nil, err
		}
		if answer != blnk.Live {
			return nil, fmt.Errorf("list hooks of %s: key %s", s, answer)
		}
		var listed []Hook
		if err := json.Unmarshal(body, &listed); err != nil {
			return nil, fmt.Errorf("list hooks of %s: the answer is not a list of hooks", s)
		}
		for _, h := range listed {
			if h.URL = publicURL(h.URL); !slices.Contains(hooks, h) {
				hooks = append(hooks, h)
			}
		}
	}
	return hooks, nil
}

// publicURL leaves what may be shown.
func publicURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a URL)"
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}
