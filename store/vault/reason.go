package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
)

// unreachable turns a failed connection to Vault into an error of ours.
func (c *conn) unreachable(err error) error {
	switch reason := tlsReason(err); reason {
	case "":
	case noTLS:
		return ErrNotTLS
	default:
		return fmt.Errorf("%w: %s", ErrTLS, reason)
	}
	if errors.Is(err, ErrPlaintext) {
		return ErrPlaintext
	}
	reason := c.reason(err)
	if c.proxied {
		reason += " (the proxy that the environment names is not used)"
	}
	return fmt.Errorf("%w: %s", ErrUnreachable, reason)
}

// reason turns a failed connection into words. Errors of net/http quote what
// the other side sent, and that may be anything: so only errors that this
// machine made itself are passed on.
func (c *conn) reason(err error) string {
	if reason := tlsReason(err); reason != "" {
		return reason
	}
	var (
		name    *net.DNSError
		timeout net.Error
		errno   syscall.Errno
	)
	switch {
	case errors.As(err, &name):
		return "host name not found: " + name.Name
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer within " + c.timeout.String()
	case errors.As(err, &errno):
		return errno.Error()
	}
	return "the connection ended before the answer did"
}

// noTLS is what tlsReason says of a server that answers in clear.
const noTLS = "it does not speak TLS on this port"

// tlsReason returns "" where the error is not about TLS. The texts of these
// errors speak of certificates only.
func tlsReason(err error) string {
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
		return "its certificate was signed by an unknown authority"
	case errors.As(err, &host):
		return "its certificate is for another host name"
	case errors.As(err, &untrusted):
		return untrusted.Err.Error()
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return noTLS
	case errors.As(err, &alert):
		return alert.Error()
	case errors.As(err, &remote) && remote.Op == "remote error":
		return "it ended the handshake: " + remote.Err.Error()
	}
	return ""
}
