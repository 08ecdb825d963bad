package blnktest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A delivery is a webhook as its receiver saw it.
type delivery struct {
	signature, timestamp string
	body                 []byte
}

func (d delivery) signedWith(key string) bool { return d.signature == Sign(key, d.timestamp, d.body) }

func newReceiver(t *testing.T) (url string, seen <-chan delivery) {
	t.Helper()
	deliveries := make(chan delivery, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		deliveries <- delivery{r.Header.Get("X-Blnk-Signature"), r.Header.Get("X-Blnk-Timestamp"), body}
	}))
	t.Cleanup(server.Close)
	return server.URL, deliveries
}

// cause makes something happen that Blnk tells its webhook of, and returns what
// arrived.
func cause(t *testing.T, s subject, p, worker *process, key string, seen <-chan delivery) delivery {
	t.Helper()
	if s.real {
		p.expect(t, want{method: "POST", path: "/ledgers", key: key, body: `{"name":"webhook"}`, status: 201})
	} else {
		worker.expect(t, want{method: "POST", path: "/deliver", body: `{"event":"ledger.created"}`, status: 200})
	}
	select {
	case d := <-seen:
		return d
	case <-time.After(3 * time.Minute):
		t.Fatalf("no webhook after 3 minutes; the worker says:\n%s", worker.output())
		return delivery{}
	}
}

// The worker signs with the key that it loaded at its start, whatever the file
// and the server have by then.
func TestWorkerSignsWithTheKeyItLoaded(t *testing.T) {
	forSubjects(t, func(t *testing.T, s subject) {
		dir, port, monitoring := t.TempDir(), freePort(t), freePort(t)
		url, seen := newReceiver(t)
		file := func(key string) string {
			return strings.Replace(server(`"secure":true,"secret_key":"`+key+`"`), "{", `{"notification":{"webhook":{"url":"`+url+`"}},`, 1)
		}
		env := []string{"BLNK_QUEUE_MONITORING_PORT=" + monitoring}
		run := func(command, port string) *process {
			p := start(t, s.command(dir, env, command), port)
			p.awaitOpen(t)
			return p
		}
		s.write(t, dir, file(master), port)
		p, worker := run("start", port), run("workers", monitoring)
		if d := cause(t, s, p, worker, master, seen); !d.signedWith(master) {
			t.Errorf("%s is not signed with the key of the file", d.body)
		}
		worker.expect(t, want{path: "/health", status: 200, has: "UP"}, want{path: "/monitoring/", status: 403, code: "AUTH_METRICS_DISABLED"})

		s.write(t, dir, file(other), port)
		p.stop(t, sigterm)
		p = run("start", port)
		if d := cause(t, s, p, worker, other, seen); !d.signedWith(master) {
			t.Error("a worker that was not restarted no longer signs with its old key")
		}
		if code := worker.stop(t, sigterm); code != 0 {
			t.Errorf("worker: exit status %d after SIGTERM, want 0", code)
		}
		worker = run("workers", monitoring)
		if d := cause(t, s, p, worker, other, seen); !d.signedWith(other) {
			t.Error("a restarted worker does not sign with the new key")
		}
	})
}

// BLNK_WEBHOOK_URL has no section in its name, and wins over the file; without
// a key the global webhook is not signed.
func TestWebhookByVariable(t *testing.T) {
	forSubjects(t, func(t *testing.T, s subject) {
		dir, port, monitoring := t.TempDir(), freePort(t), freePort(t)
		url, seen := newReceiver(t)
		env := []string{"BLNK_QUEUE_MONITORING_PORT=" + monitoring, "BLNK_WEBHOOK_URL=" + url}
		s.write(t, dir, server(`"secret_key":""`), port)
		p := start(t, s.command(dir, env, "start"), port)
		p.awaitOpen(t)
		worker := start(t, s.command(dir, env, "workers"), monitoring)
		worker.awaitOpen(t)
		if d := cause(t, s, p, worker, "", seen); d.signature != "" || d.timestamp != "" {
			t.Errorf("signed %q without a key", d.signature)
		}
	})
}
