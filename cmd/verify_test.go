package cmd

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/secret"
)

// Bodies that a Blnk server writes.
const (
	unknown   = `{"error":"Invalid API key"}`
	forbidden = `{"error":"Insufficient permissions"}`
)

// A reply of the oracle.
type reply struct {
	status int
	body   string
}

// asked is a server whose answers a function gives: n counts the questions
// about one key.
func asked(t *testing.T, answer func(key string, n int) reply) *probe.Server {
	t.Helper()
	counts := map[string]*atomic.Int64{"live": {}, "scoped": {}, "other": {}}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, count := r.Header.Get("X-Blnk-Key"), counts["other"]
		if c, ok := counts[key]; ok {
			count = c
		}
		a := answer(key, int(count.Add(1)))
		w.WriteHeader(a.status)
		_, _ = w.Write([]byte(a.body))
	}))
	t.Cleanup(backend.Close)
	server, err := probe.New(backend.URL, probe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// A key that lives on as a scoped one is neither the master key nor dead.
func TestVerdictOfScopedKey(t *testing.T) {
	server := asked(t, func(key string, _ int) reply {
		if key == "scoped" {
			return reply{403, forbidden}
		}
		return reply{401, unknown}
	})
	keys := suspects{{key: secret.New("scoped"), from: []string{"alert.txt"}}}
	for _, expect := range []string{"accepted", "rejected"} {
		v := verdict{expect: expect, keys: keys, surveys: surveyAll(context.Background(), []*probe.Server{server}, keys.keys())}
		v.judge()
		if code, _ := judge(v.err()); code != exitCheck {
			t.Errorf("%s: exit status %d", expect, code)
		}
		if text := strings.Join(v.details, "\n"); !strings.Contains(text, "it lives as a scoped key") {
			t.Errorf("%s: %s", expect, text)
		}
	}
}

func TestParseKey(t *testing.T) {
	for text, want := range map[string]string{
		"key": "key", "key\n": "key", "key\r\n": "key", "k:$#\"'": "k:$#\"'",
		"": "", "\n": "", "\r\n": "", "key\n\n": "", "\nkey": "", " key": "", "key ": "", "a b": "",
		"a\tb": "", "a\x00b": "", "a\u00a0b": "", "a\u2028b": "", "key\r": "key",
	} {
		key, err := parseKey(text)
		if (err == nil) != (want != "") || key.Reveal() != want {
			t.Errorf("parseKey(%q) = %q, %v; want %q", text, key.Reveal(), err, want)
		}
		if err != nil && text != "" && strings.Contains(err.Error(), strings.TrimSpace(text)) && strings.TrimSpace(text) != "" {
			t.Errorf("the error shows the text: %v", err)
		}
	}
}
