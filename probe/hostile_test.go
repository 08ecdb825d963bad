package probe

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/blnkctl/blnkctl/blnk"
)

func connCounter(n *atomic.Int32) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			n.Add(1)
		}
	}
}

// rawServer answers each connection with what reply makes of the key it got,
// byte for byte, and closes.
func rawServer(t *testing.T, reply func(key string) string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if request, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = conn.Write([]byte(reply(request.Header.Get(blnk.KeyHeader))))
			}
			conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

// Servers that send the key back wherever net/http might quote it.
func TestErrorsHoldNoEcho(t *testing.T) {
	tests := []struct{ name, format, why string }{
		{"garbage", "%s\r\n\r\n", "no HTTP server"},
		{"protocol", "HTTP/%s 200 OK\r\n\r\n", "no HTTP server"},
		{"status line", "HTTP/1.1 %s\r\n\r\n", "no HTTP server"},
		{"status text", "HTTP/1.1 500 %s\r\n\r\n", "HTTP 500"},
		{"header line without a colon", "HTTP/1.1 200 OK\r\n%s\r\n\r\n", "no HTTP server"},
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n", "no HTTP server"},
		{"transfer encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n", "no HTTP server"},
		{"chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n", "no HTTP server"},
		{"location", "HTTP/1.1 302 Found\r\nLocation: http://%s/\r\nContent-Length: 0\r\n\r\n", "redirect"},
		{"location that is no URL", "HTTP/1.1 302 Found\r\nLocation: ://%s\r\nContent-Length: 0\r\n\r\n", "redirect"},
		{"scheme of a location", "HTTP/1.1 302 Found\r\nLocation: canary%x://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "redirect"},
		{"body", "HTTP/1.1 200 OK\r\n\r\n\"%s\"", "is this a Blnk server?"},
		{"cut body", "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n%s", "ended before"},
		{"empty", "%.0s", "ended before"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := rawServer(t, func(key string) string { return fmt.Sprintf(tt.format, key+"canary") })
			_ = wantNothing(t, open(t, address, Options{}), testKey, tt.why)
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var asked atomic.Int32
	other := newServer(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/hooks", status)
		})
		_ = wantNothing(t, open(t, server.URL, Options{}), testKey, "redirect to http://127.0.0.1, not followed")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}

// caFile writes the certificate that a TLS test server signed itself.
func caFile(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTLS(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte("[]"))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail here on purpose
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := caFile(t, server)
	port := server.Listener.Addr().(*net.TCPAddr).Port

	answer, err := open(t, server.URL, Options{CACert: ca}).Ask(t.Context(), testKey)
	if answer != blnk.Live || err != nil || asked.Load() != 1 {
		t.Errorf("with its CA: %v, %v", answer, err)
	}
	_ = wantNothing(t, open(t, server.URL, Options{}), testKey, "TLS: the certificate was signed by an unknown authority")
	byName := fmt.Sprintf("https://localhost:%d", port)
	_ = wantNothing(t, open(t, byName, Options{CACert: ca}), testKey, "TLS: the certificate is for another host name")
	_ = wantNothing(t, open(t, strings.Replace(server.URL, "https", "http", 1), Options{}), testKey, "HTTP 400")
	if n := asked.Load(); n != 1 {
		t.Errorf("the key reached the server %d times, want once", n)
	}

	plain := newServer(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	_ = wantNothing(t, open(t, strings.Replace(plain.URL, "http", "https", 1), Options{}), testKey, "does not speak TLS")
	deaf := rawServer(t, nil)
	_ = wantNothing(t, open(t, strings.Replace(deaf, "http", "https", 1), Options{}), testKey, "ended before")
}

// net/http reads the proxy variables once per process, and never uses them for
// this machine: so this runs in a process of its own and asks for another one.
func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	if target := os.Getenv("PROBE_TEST_TARGET"); target != "" {
		_ = wantNothing(t, open(t, target, Options{AllowPlaintext: true}), testKey, "host name not found")
		return
	}
	var asked atomic.Int32
	proxy := newServer(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for _, target := range []string{"http://blnk.invalid", "https://blnk.invalid"} {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		child.Env = append(os.Environ(), "PROBE_TEST_TARGET="+target, "NO_PROXY=", "no_proxy=",
			"HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "HTTPS_PROXY="+proxy.URL, "https_proxy="+proxy.URL,
			"ALL_PROXY="+proxy.URL)
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", target, err, out)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
}

func TestProxyThatWasGivenIsUsed(t *testing.T) {
	requests := make(chan string, 1)
	proxy := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Method + " " + r.Host + " " + r.Header.Get(blnk.KeyHeader)
		w.WriteHeader(http.StatusBadGateway)
	})
	opt := Options{Proxy: proxy.URL, AllowPlaintext: true}
	_ = wantNothing(t, open(t, "https://blnk.invalid", opt), testKey, "proxy refused")
	if got := <-requests; got != "CONNECT blnk.invalid:443 " {
		t.Errorf("proxy saw %q, want a tunnel and no key", got)
	}
	_ = wantNothing(t, open(t, "http://blnk.invalid", opt), testKey, "HTTP 502")
	if got := <-requests; got != "GET blnk.invalid "+testKey.Reveal() {
		t.Errorf("proxy saw %q", got)
	}
	// This machine is asked directly.
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) })
	if answer, err := open(t, server.URL, opt).Ask(t.Context(), testKey); answer != blnk.Live {
		t.Errorf("with a proxy, a server on this machine: %v, %v", answer, err)
	}
	withPassword, _ := url.Parse(proxy.URL)
	withPassword.User = url.UserPassword("u", "canary")
	proxy.Close()
	opt.Proxy = withPassword.String()
	_ = wantNothing(t, open(t, "https://blnk.invalid", opt), testKey, "proxy: connection refused")
}
