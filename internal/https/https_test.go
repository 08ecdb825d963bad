package https

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
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

// No HTTP/2, also where a server offers it: a release is built without
// (tools/release/flags), and does what any other build does.
func TestNoHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	base, _ := url.Parse(server.URL)
	transport, err := New(base, Options{CACert: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.ProtoMajor != 1 || response.TLS.NegotiatedProtocol == "h2" {
		t.Errorf("%s, %q", response.Proto, response.TLS.NegotiatedProtocol)
	}
}
