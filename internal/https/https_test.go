package https

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
)

// The name localhost is no proof: the address it leads to is looked at too.
// 192.0.2.1 belongs to nobody (RFC 5737), and nothing is sent to it.
func TestDialLeavesNoMachineInClear(t *testing.T) {
	transport, err := New(&url.URL{Scheme: "http", Host: "localhost:80"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := transport.DialContext(t.Context(), "tcp", "192.0.2.1:80")
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, ErrPlaintext) {
		t.Errorf("dial of another machine = %v, want ErrPlaintext", err)
	}
}

// What net/http says of plain http where TLS was wanted is about TLS.
func TestReasonOfPlainHTTP(t *testing.T) {
	if err := Reason(http.ErrSchemeMismatch, 0); !errors.Is(err, ErrNotTLS) || !errors.Is(err, ErrTLS) {
		t.Errorf("%v", err)
	}
}
