package probe

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
	"strings"
	"syscall"
)

// dialer connects. With localOnly it refuses an address that is not this
// machine, whatever name led to it: somebody's resolver may send localhost
// elsewhere, and then the key would leave in clear.
func dialer(localOnly bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{}
	if localOnly {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !at.Addr().Unmap().IsLoopback() {
				return ErrPlaintext
			}
			return nil
		}
	}
	return d.DialContext
}

// reason turns a failed request into words. Errors of net/http quote what the
// server sent, and a server may send back what it got: so only errors that
// this machine made itself are passed on, all others become fixed words.
func (s *Server) reason(err error) error {
	for _, known := range []error{ErrPlaintext, errTooLarge} {
		if errors.Is(err, known) {
			return known
		}
	}
	var (
		name    *net.DNSError
		errno   syscall.Errno
		timeout net.Error
		proxy   *net.OpError
	)
	switch {
	case errors.As(err, &proxy) && proxy.Op == "proxyconnect" && proxy.Err != nil:
		return fmt.Errorf("proxy: %w", s.reason(proxy.Err))
	case errors.Is(err, syscall.ECONNREFUSED):
		return syscall.ECONNREFUSED // its text is the same on every system
	case errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer within %s", s.timeout)
	case errors.As(err, &name):
		return fmt.Errorf("host name not found: %s", name.Name)
	case tlsReason(err) != nil:
		return tlsReason(err)
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection ended before the answer did")
	default:
		return errors.New("what answered is no HTTP server, or the proxy refused")
	}
}

// tlsReason returns nil where the error is not about TLS. The texts of these
// errors speak of certificates only.
func tlsReason(err error) error {
	var (
		untrusted *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		remote    *net.OpError
	)
	switch {
	case errors.As(err, &authority):
		return ErrUntrusted
	case errors.As(err, &host):
		return errors.New("TLS: the certificate is for another host name")
	case errors.As(err, &untrusted):
		return fmt.Errorf("TLS: %w", untrusted.Err)
	case errors.As(err, &record):
		return errors.New("TLS: the server does not speak TLS on this port")
	case errors.As(err, &alert):
		return fmt.Errorf("TLS: %w", alert)
	case errors.As(err, &remote) && remote.Op == "remote error":
		return errors.New("TLS: the server ended the handshake")
	}
	return nil
}

// odd says what is wrong with an answer that proves nothing.
func (s *Server) odd(status int, location string) error {
	switch {
	case status == http.StatusTooManyRequests:
		return errors.New("429 rate limited")
	case status >= 300 && status < 400 && location != "":
		return fmt.Errorf("redirect to %s, not followed with the key", s.redirectTarget(location))
	case status == http.StatusOK:
		return errors.New("HTTP 200, but no list of hooks: is this a Blnk server?")
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("HTTP %d, but not in Blnk's words: is something in front of it?", status)
	default:
		return fmt.Errorf("HTTP %d", status)
	}
}

// redirectTarget shows a place on the host that was asked, which is the usual
// case (http to https). The rest of a Location is the server's free text.
func (s *Server) redirectTarget(location string) string {
	u, err := url.Parse(location)
	if err != nil || !strings.EqualFold(u.Hostname(), s.base.Hostname()) {
		return "another place"
	}
	return u.Scheme + "://" + s.base.Hostname()
}
