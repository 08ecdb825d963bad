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
	hookList  = `[]`
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

func TestSurvey(t *testing.T) {
	healthy := func(key string, _ int) reply {
		switch key {
		case "live":
			return reply{200, hookList}
		case "scoped":
			return reply{403, forbidden}
		}
		return reply{401, unknown}
	}
	for name, test := range map[string]struct {
		answer       func(key string, n int) reply
		want         []standing // of the keys live, scoped, dead
		open, failed bool
	}{
		"healthy": {healthy, []standing{isLive, isScoped, isRejected}, false, false},
		"one answer in twenty is another server's": {
			func(key string, n int) reply {
				if key == "live" && n == 20 {
					return reply{401, unknown}
				}
				return healthy(key, n)
			},
			[]standing{isMixed, isScoped, isRejected}, false, false,
		},
		"one server of several is open": {
			func(key string, n int) reply {
				if key != "live" && key != "scoped" && n == 7 {
					return reply{403, forbidden}
				}
				return healthy(key, n)
			},
			[]standing{isUnknown, isUnknown, isUnknown}, true, false,
		},
		"a limit is waited for": {
			func(key string, n int) reply {
				if key == "live" && n == 3 {
					return reply{429, unknown}
				}
				return healthy(key, n)
			},
			[]standing{isLive, isScoped, isRejected}, false, false,
		},
		"a proxy's own 401 is no rejection": {
			func(string, int) reply { return reply{401, "<html>Authorization Required</html>"} },
			[]standing{isUnknown, isUnknown, isUnknown}, false, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			keys := []secret.Key{secret.New("live"), secret.New("scoped"), secret.New("dead")}
			got := surveyAll(context.Background(), []*probe.Server{asked(t, test.answer)}, keys)[0]
			for i, want := range test.want {
				if s := got.key(i); s != want {
					t.Errorf("key %d is %s, want %s", i, s, want)
				}
			}
			if got.open() != test.open || (got.err != nil) != test.failed {
				t.Errorf("open %v, error %v", got.open(), got.err)
			}
		})
	}
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
