package notify

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/config"
)

const path = "/services/T0123/B4567/aVeryPrivateTokenOfTheHook"

// privateFile writes a file of mode 0600 and returns its path.
func privateFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// hook opens a webhook to a server that speaks TLS.
func hook(t *testing.T, scheme string, handler http.HandlerFunc) *webhook {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	w, _, err := openWebhook(config.Receiver{Scheme: scheme, Source: "env", Place: "HOOK", CACert: privateFile(t, string(cert))},
		Options{Env: []string{"HOOK=" + server.URL + path}})
	if err != nil {
		t.Fatal(err)
	}
	w.pause = time.Millisecond
	return w
}

// secretFree fails where a text shows something of the address.
func secretFree(t *testing.T, text string) {
	t.Helper()
	for _, part := range []string{"services", "T0123", "aVeryPrivate", "127.0.0.1", "https://"} {
		if strings.Contains(text, part) {
			t.Errorf("%q shows %q", text, part)
		}
	}
}

func TestAnswers(t *testing.T) {
	answer := func(codes ...int) func(http.ResponseWriter, *http.Request, int) {
		return func(w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("Location", "https://127.0.0.1:1"+path)
			w.WriteHeader(codes[min(n, len(codes))-1])
			_, _ = io.WriteString(w, "no such hook: "+r.URL.Path)
		}
	}
	for _, c := range []struct {
		name  string
		serve func(w http.ResponseWriter, r *http.Request, n int)
		want  string
		tries int
	}{
		{"taken", answer(200), "", 1},
		{"no content", answer(204), "", 1},
		{"down for a while", answer(500, 503, 200), "", 3},
		{"too many for a while", answer(429, 200), "", 2},
		{"down", answer(500), "it answered 500 (tried 3 times)", 3},
		{"gone", answer(404), "it answered 404", 1},
		{"refused", answer(403), "it answered 403", 1},
		{"elsewhere", answer(302), "it answered 302, and no redirect is followed", 1},
		{"elsewhere, with the body", answer(307), "it answered 307, and no redirect is followed", 1},
		{"hangs up", func(w http.ResponseWriter, _ *http.Request, _ int) { hangUp(t, w, "") }, "the connection ended before the answer did (tried 3 times)", 3},
		{"speaks garbage", func(w http.ResponseWriter, r *http.Request, _ int) { hangUp(t, w, r.URL.Path+"\r\n\r\n") }, "what answered is no HTTP server, or the proxy refused (tried 3 times)", 3},
		{"a long wait", func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
		}, "it answered 429", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n atomic.Int32
			w := hook(t, "webhook", func(rw http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.URL.Path != path || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%s %s, %s", r.Method, r.URL.Path, r.Header)
				}
				var got map[string]any
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got["event"] != "test" || got["version"] != 1.0 {
					t.Errorf("%v, %v", got, err)
				}
				c.serve(rw, r, int(n.Add(1)))
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := w.send(ctx, Event{Kind: Test})
			if got := text(err); got != c.want || int(n.Load()) != c.tries {
				t.Errorf("%q after %d tries, want %q after %d", got, n.Load(), c.want, c.tries)
			}
			secretFree(t, text(err))
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// hangUp ends the connection behind some bytes.
func hangUp(t *testing.T, w http.ResponseWriter, said string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.WriteString(conn, said)
	_ = conn.Close()
}

// An until is a context whose time is up when the channel is closed.
type until struct {
	context.Context
	over <-chan struct{}
}

func (u until) Done() <-chan struct{} { return u.over }

func (u until) Err() error {
	select {
	case <-u.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// A receiver that never answers holds nobody up for longer than is said.
func TestSlow(t *testing.T) {
	asked, done := make(chan struct{}), make(chan struct{})
	w := hook(t, "webhook", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(asked)
		<-r.Context().Done()
		close(done)
		panic(http.ErrAbortHandler) // or it would answer after all
	})
	if err := w.send(until{t.Context(), asked}, Event{Kind: Test}); text(err) != "no answer within 10s" {
		t.Errorf("%v", err)
	}
	<-done
}

// answers is a transport that needs no network, so that time is the bubble's.
type answers func(*http.Request) (*http.Response, error)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// Between the tries is time, which is bounded, and a server may say how much.
func TestPauses(t *testing.T) {
	for _, c := range []struct {
		after string // Retry-After
		want  time.Duration
		tries int
	}{
		{"", 3 * time.Second, 3},
		{"0", 3 * time.Second, 3},
		{"4", 8 * time.Second, 3},
		{"6", 6 * time.Second, 2},
		{"11", 0, 1},
		{"soon", 3 * time.Second, 3},
		{"date", 8 * time.Second, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries, start := 0, time.Now()
			if c.after == "date" {
				c.after = start.Add(8 * time.Second).UTC().Format(http.TimeFormat)
			}
			w := &webhook{pause: usualPause, client: &http.Client{Transport: answers(func(*http.Request) (*http.Response, error) {
				tries++
				return &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {c.after}}, Body: http.NoBody}, nil
			})}}
			w.url = mustParse(t)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := w.send(ctx, Event{Kind: Test})
			if took := time.Since(start); err == nil || took != c.want || tries != c.tries {
				t.Errorf("Retry-After %q: %v after %v and %d tries, want %v and %d", c.after, err, took, tries, c.want, c.tries)
			}
		})
	}
}

func TestSlack(t *testing.T) {
	got := make(chan string, 1)
	w := hook(t, "slack", func(_ http.ResponseWriter, r *http.Request) {
		var body map[string]string
		_ = json.NewDecoder(r.Body).Decode(&body)
		got <- body["text"]
	})
	err := w.send(t.Context(), Event{Kind: Failure, Command: "rotate", Target: "prod", Error: "<!channel> & more", Outcome: "refused", ExitCode: 1, Host: "h"})
	if said := <-got; err != nil || !strings.HasPrefix(said, "blnkctl on h: prod: rotate failed: nothing was changed\n&lt;!channel&gt; &amp; more\n") {
		t.Errorf("%q, %v", said, err)
	}
}

// Discord refuses a text that is longer than it takes: what is left out is of the lists.
func TestSlackLong(t *testing.T) {
	for _, findings := range []int{6, 15, 20, 30} {
		e := Event{Kind: Findings, Command: "doctor", Target: "prod", Host: "h", ExitCode: 6, Error: "many", Help: "blnkctl doctor prod", Audit: &Head{7, "ff"}}
		for i := range findings {
			e.Findings = append(e.Findings, fmt.Sprintf("BLNK-1.%d %s", i, strings.Repeat("<é>", 120)))
		}
		said := e.chat()
		shown := strings.Count(said, "\n- BLNK-1.")
		if n := utf8.RuneCountInString(said); n > mostChat || shown == 0 || !strings.Contains(said, fmt.Sprintf("\n- and %d more\n", findings-shown)) ||
			!strings.HasPrefix(said, "blnkctl on h: prod: doctor found something\nmany\n- BLNK-1.0 ") || !strings.HasSuffix(said, "\naudit log: record 7, ff\n") {
			t.Errorf("%d findings, %d shown in %d characters:\n%s", findings, shown, n, said)
		}
	}
	long := Event{Kind: Failure, Target: "prod", Host: "h", Error: strings.Repeat("<", 500), Warnings: []string{"one"}}
	if said := long.chat(); utf8.RuneCountInString(said) > mostChat {
		t.Errorf("%q", said)
	}
	short := Event{Kind: Failure, Target: "prod", Host: "h", Warnings: []string{"one"}, Findings: []string{"two"}}
	if said := short.chat(); said != mrkdwn(short.Text()) {
		t.Errorf("%q", said)
	}
}

// No address is shown, whatever is wrong with it.
func TestAddressRefused(t *testing.T) {
	open := privateFile(t, "https://127.0.0.1"+path)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	group := privateFile(t, "https://127.0.0.1"+path)
	if err := os.Chmod(group, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(open, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ source, place, value, want string }{
		{"env", "HOOK", "", "the variable is not set, or empty"},
		{"env", "OTHER", "https://127.0.0.1" + path, "the variable is not set, or empty"},
		{"env", "HOOK", "services" + path, "what it holds is not one URL, https://HOST/…"},
		{"env", "HOOK", "ftp://127.0.0.1" + path, "what it holds is not one URL, https://HOST/…"},
		{"env", "HOOK", "https://127.0.0.1" + path + "\nhttps://127.0.0.1" + path, "what it holds is not one URL, https://HOST/…"},
		{"env", "HOOK", "https://127.0.0.1:port" + path, "what it holds is not one URL, https://HOST/…"},
		{"env", "HOOK", "http://192.0.2.1" + path, "plain http would show its address to the network"},
		{"env", "HOOK", "https://127.0.0.1/blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH", "a key of a Blnk server stands in the address"},
		{"file", open, "", "others can read or write " + open + " (mode 0644), and the address in it is a secret"},
		{"file", group, "", "others can read or write " + group + " (mode 0640), and the address in it is a secret"},
		{"file", link, "", "others can read or write " + link + " (mode 0644), and the address in it is a secret"},
		{"file", filepath.Dir(open), "", filepath.Dir(open) + " is no regular file"},
		{"file", privateFile(t, ""), "", "what it holds is not one URL, https://HOST/…"},
	} {
		_, _, err := openWebhook(config.Receiver{Source: c.source, Place: c.place}, Options{Env: []string{"HOOK=" + c.value}})
		if text(err) != c.want {
			t.Errorf("%s %q: %v, want %s", c.source, c.value, err, c.want)
		}
		secretFree(t, strings.ReplaceAll(text(err), "https://HOST", ""))
	}
	_, _, err := openWebhook(config.Receiver{Source: "file", Place: "none"}, Options{Dir: "/nowhere"})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(text(err), "/nowhere/none") {
		t.Errorf("%v", err)
	}
}

// What the network says of a name or an address is not passed on.
func TestReason(t *testing.T) {
	for _, err := range []error{
		&net.DNSError{Err: "no such host", Name: "services.example" + path, IsNotFound: true},
		errors.New(`Post "https://127.0.0.1` + path + `": strange`),
	} {
		secretFree(t, text(reason(err)))
	}
}
