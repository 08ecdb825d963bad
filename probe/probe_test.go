package probe

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/https"
)

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name, url string
		opt       Options
		want      string // in the error
	}{
		{"no scheme", "127.0.0.1:5001", Options{}, "want http://"},
		{"no scheme, a name", "localhost:5001", Options{}, "want http://"},
		{"unknown scheme", "ftp://127.0.0.1", Options{}, "want http://"},
		{"no host", "http://:5001", Options{}, "want http://"},
		{"empty", "", Options{}, "want http://"},
		{"query", "http://127.0.0.1/?a=b", Options{}, "no query"},
		{"fragment", "http://127.0.0.1/#a", Options{}, "no query"},
		{"port 0", "http://127.0.0.1:0", Options{}, "port from 1"},
		{"port too high", "http://127.0.0.1:65536", Options{}, "port from 1"},
		{"port missing", "http://127.0.0.1:", Options{}, "port from 1"},
		{"userinfo", "http://u:hunter2@127.0.0.1", Options{}, "not supported"},
		{"userinfo in a bad URL", "http://u:hunter2@127.0.0.1:x y", Options{}, "not supported"},
		{"plain http", "http://blnk.example", Options{}, "plain http"},
		{"plain http to a near address", "http://10.0.0.7:5001", Options{}, "plain http"},
		{"plain http to all addresses", "http://0.0.0.0:5001", Options{}, "plain http"},
		{"plain http to a name like localhost", "http://localhost.blnk.example", Options{}, "plain http"},
		{"proxy without a host", "https://blnk.example", Options{Proxy: "u:hunter2@proxy:8080"}, "proxy: want"},
		{"proxy of an unknown scheme", "https://blnk.example", Options{Proxy: "ftp://u:hunter2@proxy:8080"}, `proxy: unknown scheme "ftp"`},
		{"CA file missing", "https://blnk.example", Options{CACert: "no-such.pem"}, "no-such.pem"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.url, tt.opt)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("New(%q) = %v, want an error with %q", tt.url, err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
			if plain := strings.Contains(tt.want, "plain http"); errors.Is(err, https.ErrPlaintext) != plain {
				t.Errorf("errors.Is(ErrPlaintext) = %v for %v", !plain, err)
			}
		})
	}
}

func TestNewRefusesFileWithoutCertificate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New("https://blnk.example", Options{CACert: file}); err == nil || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Errorf("got %v", err)
	}
}

func TestNewTakes(t *testing.T) {
	tests := []struct {
		url, str string
		opt      Options
		loopback bool
		port     int
	}{
		{"http://127.0.0.1:5001", "http://127.0.0.1:5001", Options{}, true, 5001},
		{"http://127.0.0.1:5001/", "http://127.0.0.1:5001", Options{}, true, 5001},
		{"http://127.8.9.10", "http://127.8.9.10", Options{}, true, 80},
		{"http://[::1]:5001", "http://[::1]:5001", Options{}, true, 5001},
		{"http://LocalHost/blnk//", "http://LocalHost/blnk", Options{}, true, 80},
		{"https://blnk.example/api/", "https://blnk.example/api", Options{}, false, 443},
		{"http://blnk.example:8080", "http://blnk.example:8080", Options{AllowPlaintext: true}, false, 8080},
	}
	for _, tt := range tests {
		s, err := New(tt.url, tt.opt)
		if err != nil {
			t.Errorf("New(%q): %v", tt.url, err)
			continue
		}
		if s.String() != tt.str || s.Loopback() != tt.loopback || s.Port() != tt.port {
			t.Errorf("New(%q) = %s, loopback %v, port %d; want %s, %v, %d",
				tt.url, s, s.Loopback(), s.Port(), tt.str, tt.loopback, tt.port)
		}
	}
}
