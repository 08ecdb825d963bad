// Package probe asks a Blnk server over HTTP what it thinks of a key.
//
// Every question goes over a connection of its own: a server that is shutting
// down still answers on open connections as its old self. The key goes to the
// server that was named and to nobody else: no redirect is followed, no proxy
// of the environment is used, plain http leaves this machine only where the
// caller allows it. No error holds the key, nor any text that a server sent,
// since that could be the key again.
//
// It does not promise that two questions reach the same process: one address
// may be a balancer. It does not repeat a question either; who waits for a
// server asks again.
package probe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// DefaultTimeout is how long a question may take in all where Options say
// nothing else.
const DefaultTimeout = 10 * time.Second

// Errors that a caller takes a decision on.
var (
	// ErrPlaintext: the address would carry the key in clear over a network.
	ErrPlaintext = errors.New("plain http to another machine would show the key to the network")
	// ErrUntrusted: whoever answers over TLS cannot show that it is the server.
	ErrUntrusted = errors.New("TLS: the certificate was signed by an unknown authority")
	// ErrUnsendable: no HTTP header can carry the key as it is, so no client
	// could ever use it. The server was not asked.
	ErrUnsendable = errors.New("an HTTP header cannot carry this key (white space at an end, or a control character)")
)

// Options is how a server may be reached.
type Options struct {
	// CACert is a file of PEM certificates that are trusted instead of the
	// system's. "" trusts the system's.
	CACert string
	// Proxy is the URL of a proxy (http, https or socks5). "" uses none,
	// whatever the environment says. A server on this machine is asked
	// without it.
	Proxy string
	// AllowPlaintext permits plain http to another machine.
	AllowPlaintext bool
	// Timeout limits one question, from the dial to the end of the answer.
	// 0 is DefaultTimeout.
	Timeout time.Duration
}

// A Server is one address that is asked. It may be used by several goroutines
// at once.
type Server struct {
	base *url.URL
	// transport is used without an http.Client, which would follow redirects.
	transport *http.Transport
	timeout   time.Duration
}

// New takes rawURL as http(s)://HOST[:PORT][/BASE]. It reads the CACert file
// but does not reach for the server. ErrPlaintext (wrapped) where the key
// would travel in clear.
func New(rawURL string, opt Options) (*Server, error) {
	base, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	local := isLoopback(base.Hostname())
	if base.Scheme == "http" && !local && !opt.AllowPlaintext {
		return nil, fmt.Errorf("server %s: %w", base, ErrPlaintext)
	}
	roots, err := readRoots(opt.CACert)
	if err != nil {
		return nil, err
	}
	timeout := opt.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	transport := &http.Transport{
		DialContext:         dialer(base.Scheme == "http" && !opt.AllowPlaintext),
		DisableKeepAlives:   true, // see the package comment
		DisableCompression:  true, // what counts against maxBody is what is sent
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: timeout,
	}
	if opt.Proxy != "" && !local {
		proxy, err := parseProxy(opt.Proxy)
		if err != nil {
			return nil, err
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	return &Server{base: base, transport: transport, timeout: timeout}, nil
}

// String returns the URL without a trailing slash.
func (s *Server) String() string { return s.base.String() }

// Loopback says whether the address names this machine itself: localhost,
// 127.0.0.0/8 or ::1.
func (s *Server) Loopback() bool { return isLoopback(s.base.Hostname()) }

// Port returns the TCP port, the scheme's own where the URL names none.
func (s *Server) Port() int {
	if n, err := strconv.Atoi(s.base.Port()); err == nil {
		return n
	}
	if s.base.Scheme == "https" {
		return 443
	}
	return 80
}

// parseURL never shows what stands before an '@': it may be a password.
func parseURL(raw string) (*url.URL, error) {
	if strings.Contains(raw, "@") {
		return nil, errors.New("server URL: a user name or password in it is not supported")
	}
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, fmt.Errorf("server %q: want http://HOST:PORT or https://HOST", raw)
	}
	if strings.ContainsAny(raw, "?#") {
		return nil, fmt.Errorf("server %q: want no query and no fragment", raw)
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("server %q: want a port from 1 to 65535", raw)
		}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// parseProxy never shows the address: a proxy's URL may hold a password.
func parseProxy(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("proxy: want http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT")
	}
	switch u.Scheme {
	case "http", "https", "socks5":
		return u, nil
	}
	return nil, fmt.Errorf("proxy: unknown scheme %q (known: http, https, socks5)", u.Scheme)
}

// isLoopback judges the name alone. That localhost leads to this machine is
// checked once more at the dial.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// readRoots returns nil, which is the system's, where no file is named.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("CA certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA certificates: %s holds no PEM certificate", path)
	}
	return pool, nil
}
