// Package https makes the connections that carry a key or a token, and says
// why one failed.
//
// Plain http leaves this machine only where the caller allows it, whatever name
// or redirect leads elsewhere. No proxy of the environment is used. No error
// holds anything that the other side sent, since that could be the key again.
//
// It follows no redirect and repeats nothing: that is for who uses a transport.
package https

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/secret"
)

// Errors that a caller takes a decision on.
var (
	ErrPlaintext = hint.Add(errors.New("plain http to another machine would show the key to the network"),
		"use https, or --allow-plaintext where the network is trusted")
	// ErrTLS: nobody can be sure to talk to the right server. Two others are ErrTLS.
	ErrTLS       = errors.New("TLS")
	ErrUntrusted = fmt.Errorf("%w: the certificate was signed by an unknown authority", ErrTLS)
	ErrNotTLS    = fmt.Errorf("%w: the server does not speak TLS on this port", ErrTLS)
	ErrTooLarge  = errors.New("the answer is larger than")
)

// Options is how a server may be reached.
type Options struct {
	CACert         string        // a file of PEM certificates, instead of the system's
	Proxy          string        // URL of a proxy (http, https or socks5), for other machines
	AllowPlaintext bool          // plain http to another machine
	Timeout        time.Duration // of one question; 0 is the default of who asks
}

// New makes a transport for one server. It reads the CACert file, but does not
// reach for the server.
func New(server *url.URL, opt Options) (*http.Transport, error) {
	local, plain := Loopback(server), server.Scheme == "http" && !opt.AllowPlaintext
	if plain && !local {
		return nil, fmt.Errorf("server %s: %w", server, ErrPlaintext)
	}
	roots, err := readRoots(opt.CACert)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: opt.Timeout, KeepAlive: -1} // no question waits that long
	if plain {
		dialer.Control = onlyHere
	}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    opt.Timeout,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        time.Minute,
	}
	if opt.Proxy != "" && !local {
		proxy, err := parseProxy(opt.Proxy)
		if err != nil {
			return nil, err
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	return transport, nil
}

// onlyHere refuses an address that is not this machine's: somebody's resolver
// may send localhost elsewhere, and then the key would leave in clear.
func onlyHere(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return ErrPlaintext
	}
	return nil
}

// ParseURL takes http(s)://HOST[:PORT][/BASE], and cuts a slash at its end. It
// shows nothing that may be a password or a token.
func ParseURL(raw string) (*url.URL, error) {
	if strings.Contains(raw, "@") {
		return nil, errors.New("a user name or password in a URL is not supported")
	}
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		return nil, fmt.Errorf("%q: want no query and no fragment", raw[:i]+"…")
	}
	if !strings.Contains(raw, "://") && secret.Shown(raw) == "" { // it may be a key
		return nil, errors.New("want http://HOST:PORT or https://HOST:PORT")
	}
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, fmt.Errorf("%q: want http://HOST:PORT or https://HOST:PORT", raw)
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("%q: want a port from 1 to 65535", raw)
		}
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// Port returns the TCP port, the scheme's own where the URL names none.
func Port(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

// Loopback says whether the URL names this machine itself: localhost,
// 127.0.0.0/8 or ::1. That localhost leads here is checked again at the dial.
func Loopback(u *url.URL) bool {
	if strings.EqualFold(u.Hostname(), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && addr.Unmap().IsLoopback()
}

// parseProxy never shows the address: it may hold a password.
func parseProxy(raw string) (*url.URL, error) {
	switch u, err := url.Parse(raw); {
	case err != nil || u.Hostname() == "":
		return nil, errors.New("proxy: want http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT")
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5":
		return nil, fmt.Errorf("proxy: unknown scheme %q (known: http, https, socks5)", u.Scheme)
	default:
		return u, nil
	}
}

// readRoots returns nil, which is the system's, where no file is named.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := textfile.Glance(path, 8<<20) // more than all certificates of a system
	if err != nil {
		return nil, fmt.Errorf("CA certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA certificates: %s holds no PEM certificate", path)
	}
	return pool, nil
}

// Limit lets so many bytes of an answer through; more is ErrTooLarge to Reason.
func Limit(body io.ReadCloser, bytes int64) io.ReadCloser {
	return http.MaxBytesReader(nil, body, bytes)
}

// Reason turns a failed request into words. Errors of net/http quote what the
// server sent, and a server may send back what it got: so only errors that this
// machine made itself are passed on, all others become fixed words. within is
// how long the question was given.
func Reason(err error, within time.Duration) error {
	tooLarge, proxy, name := as[*http.MaxBytesError](err), as[*net.OpError](err), as[*net.DNSError](err)
	timeout, errno := as[net.Error](err), as[syscall.Errno](err)
	switch {
	case errors.Is(err, ErrPlaintext):
		return ErrPlaintext
	case tooLarge != nil:
		return fmt.Errorf("%w %d MiB", ErrTooLarge, tooLarge.Limit>>20)
	case proxy != nil && proxy.Op == "proxyconnect" && proxy.Err != nil:
		return fmt.Errorf("proxy: %w", Reason(proxy.Err, within))
	case errors.Is(err, syscall.ECONNREFUSED):
		return syscall.ECONNREFUSED // its text is the same on every system
	case errors.Is(err, context.DeadlineExceeded), timeout != nil && timeout.Timeout():
		return fmt.Errorf("no answer within %s", within)
	case name != nil:
		return fmt.Errorf("host name not found: %s", name.Name)
	case tlsReason(err) != nil:
		return tlsReason(err)
	case errno != 0:
		return errno
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed): // while the body was sent
		return errors.New("the connection ended before the answer did")
	}
	return errors.New("what answered is no HTTP server, or the proxy refused")
}

// tlsReason returns nil where the error is not about TLS. The texts of these
// errors speak of certificates only.
func tlsReason(err error) error {
	untrusted, alert, remote := as[*tls.CertificateVerificationError](err), as[tls.AlertError](err), as[*net.OpError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case authority:
		return ErrUntrusted
	case host:
		return fmt.Errorf("%w: the certificate is for another host name", ErrTLS)
	case untrusted != nil:
		return fmt.Errorf("%w: %w", ErrTLS, untrusted.Err)
	case record, errors.Is(err, http.ErrSchemeMismatch):
		return ErrNotTLS
	case alert != 0:
		return fmt.Errorf("%w: %w", ErrTLS, alert)
	case remote != nil && remote.Op == "remote error":
		return fmt.Errorf("%w: the server ended the handshake: %w", ErrTLS, remote.Err)
	}
	return nil
}

// as is the error of that type among those that err wraps; none is the zero one.
func as[T error](err error) T {
	found, _ := errors.AsType[T](err)
	return found
}
