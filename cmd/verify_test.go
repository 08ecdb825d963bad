package cmd

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/proof"
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
	for _, expect := range []string{proof.Accepted, proof.Refused} {
		var q proof.Questions
		q.Add(secret.New("scoped"), "alert.txt")
		r := proof.Verify(context.Background(), []*proof.Server{proof.NewServer(server, false)}, q, expect, proof.Agreeing)
		if text := strings.Join(r.Faults, "\n"); r.Failed != 1 || !strings.Contains(text, "it lives as a scoped key") {
			t.Errorf("%s: %d failed: %s", expect, r.Failed, text)
		}
	}
}
