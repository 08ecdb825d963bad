package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/secret"
)

// sent makes a request, and returns what was written.
func sent(t *testing.T, s *Server, key secret.Key, r Request) (body string, echoed bool, err error) {
	t.Helper()
	var out bytes.Buffer
	if r.Method == "" {
		r.Method = "GET"
	}
	if r.Timeout == 0 {
		r.Timeout = time.Hour
	}
	r.Out = &out
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	echoed, err = s.Send(t.Context(), key, &r)
	if err != nil {
		noKey(t, err, key)
	}
	return out.String(), echoed, err
}

func TestRequestRefuses(t *testing.T) {
	for _, c := range []struct {
		r    Request
		want string
	}{
		{Request{Method: "GTE", Path: "/x"}, "METHOD"},
		{Request{Method: "GET\r\nX-A: b", Path: "/x"}, "METHOD"},
		{Request{Path: "http://other.example/x"}, "a whole URL"},
		{Request{Path: "HTTP://other.example"}, "a whole URL"},
		{Request{Path: "//other.example/x"}, "another host"},
		{Request{Path: "///x"}, "another host"},
		{Request{Path: "@other.example/x"}, "an @"},
		{Request{Path: "/@other.example"}, "an @"},
		{Request{Path: ":5002/x"}, "begins with a slash"},
		{Request{Path: "ledgers"}, "begins with a slash"},
		{Request{Path: ""}, "begins with a slash"},
		{Request{Path: "?limit=1"}, "begins with a slash"},
		{Request{Path: `/\other.example`}, "a backslash"},
		{Request{Path: `\\other.example\x`}, "a backslash"},
		{Request{Path: "/x?a=\\"}, "a backslash"},
		{Request{Path: "/x#y"}, "a #"},
		{Request{Path: "/x y"}, "white space"},
		{Request{Path: "/x\ty"}, "white space"},
		{Request{Path: "/x HTTP/1.1\r\nX-A: b"}, "control character"},
		{Request{Path: "/x\x00"}, "control character"},
		{Request{Path: "/x\x7f"}, "control character"},
		{Request{Path: "/ü"}, "none of ASCII"},
		{Request{Path: "/x?a=ü"}, "none of ASCII"},
		{Request{Path: "/../x"}, "a .."},
		{Request{Path: "/.."}, "a .."},
		{Request{Path: "/x/../../y"}, "a .."},
		{Request{Path: "/x/%2e%2E/y"}, "a .."},
		{Request{Path: "/x%2f..%2fy"}, "a .."},
		{Request{Path: `/x%5C..%5Cy`}, "a .."},
		{Request{Path: "/x%5Cy"}, "encoded control character or backslash"},
		{Request{Path: "/x%0d%0ay"}, "encoded control character"},
		{Request{Path: "/x%"}, "a %"},
		{Request{Path: "/x%zz"}, "a %"},
		{Request{Path: "/x?a=%zz"}, "a %"},
		{Request{Path: "/x?a;b"}, "a ;"},
		{Request{Headers: []string{"X-Blnk-Key: hunter2"}}, "the key is never an argument"},
		{Request{Headers: []string{"x-blnk-KEY:hunter2"}}, "the key is never an argument"},
		{Request{Headers: []string{"X_Blnk_Key: hunter2"}}, "the key is never an argument"},
		{Request{Headers: []string{"X-Blnk-Key : hunter2"}}, "the key is never an argument"},
		{Request{Headers: []string{"X-Blnk-Key"}}, "the key is never an argument"},
		{Request{Headers: []string{"Host: other.example"}}, "--header Host: blnkctl sets it itself"},
		{Request{Headers: []string{"content-length: 1"}}, "--header Content-Length"},
		{Request{Headers: []string{"Transfer-Encoding: chunked"}}, "--header Transfer-Encoding"},
		{Request{Headers: []string{"A: b\nX-Blnk-Key: hunter2"}}, "line break"},
		{Request{Headers: []string{"A: b\r\n"}}, "line break"},
		{Request{Headers: []string{"A: b\x00"}}, "control character"},
		{Request{Headers: []string{"hunter2"}}, "want 'NAME: VALUE'"},
		{Request{Headers: []string{": hunter2"}}, "want 'NAME: VALUE'"},
		{Request{Headers: []string{"A B: hunter2"}}, "want 'NAME: VALUE'"},
		{Request{Headers: []string{"(A): hunter2"}}, "want 'NAME: VALUE'"},
		{Request{Paginate: true, Method: "POST"}, "--paginate is for lists"},
		{Request{Paginate: true, Body: strings.NewReader("x")}, "--paginate is for lists"},
		{Request{Paginate: true, Path: "/x?limit=101"}, "limit in the query"},
		{Request{Paginate: true, Path: "/x?limit=0"}, "limit in the query"},
		{Request{Paginate: true, Path: "/x?limit=many"}, "limit in the query"},
		{Request{Paginate: true, Path: "/x?offset=-1"}, "offset in the query"},
	} {
		if c.r.Method == "" {
			c.r.Method = "GET"
		}
		if c.r.Path == "" && c.want != "begins with a slash" {
			c.r.Path = "/x"
		}
		err := c.r.Check()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.r, err, c.want)
		} else if text := err.Error() + hint.Of(err); strings.Contains(text, "hunter2") || strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("%q repeats what it refuses", text)
		}
	}
}

// TestRequestIsSentAsItIs: path, query, headers and body, with a base path before it.
func TestRequestIsSentAsItIs(t *testing.T) {
	type seen struct {
		line, body string
		header     http.Header
		size       int64
	}
	var got seen
	server := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method + " " + r.RequestURI, string(body), r.Header, r.ContentLength}
	})
	s := open(t, server.URL+"/base%2Fpath/", Options{})
	for _, path := range []string{"/", "/ledgers", "/a%2Fb/c", "/x?a=b@c.example&d=..//%5C", "/x?", "/a//b", "/a/.b/...", "/(x)[1]'*", "/x%20y%40z", "/x?limit=7&offset=x"} {
		if _, _, err := sent(t, s, testKey, Request{Path: path}); err != nil {
			t.Fatal(err)
		}
		if want := "GET /base%2Fpath" + strings.TrimSuffix(path, "?"); got.line != want || got.body != "" || got.size != 0 {
			t.Errorf("%s: the server saw %+v", path, got)
		}
	}
	body := "{\"a\": 1}\r\n\x00"
	for size, want := range map[int]int64{len(body): int64(len(body)), -1: -1} {
		r := Request{Method: "POST", Path: "/x", Body: strings.NewReader(body), Size: int64(size), Headers: []string{"x-a: 1", "X-A:2 ", "Accept: text/csv", "user-agent: me"}}
		if _, _, err := sent(t, s, testKey, r); err != nil {
			t.Fatal(err)
		}
		h := got.header
		if got.body != body || got.size != want || h.Get("Content-Type") != "application/json" || !slices.Equal(h["X-A"], []string{"1", "2"}) ||
			!slices.Equal(h["Accept"], []string{"text/csv"}) || h.Get("User-Agent") != "me" || h.Get("X-Blnk-Key") != testKey.Reveal() {
			t.Errorf("size %d: the server saw %+v", size, got)
		}
	}
	if _, _, err := sent(t, s, testKey, Request{Method: "PUT", Path: "/x", Body: strings.NewReader("a"), Size: 1, Headers: []string{"Content-Type: text/plain"}}); err != nil || got.header.Get("Content-Type") != "text/plain" {
		t.Errorf("%v, %+v", err, got)
	}
}

// TestAnswerIsExact: bytes that are no text, more than is held, in pieces.
func TestAnswerIsExact(t *testing.T) {
	data := make([]byte, 3<<20)
	_, _ = rand.Read(data)
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		for piece := range slices.Chunk(data, 99_991) {
			_, _ = w.Write(piece)
		}
	})
	if body, echoed, err := sent(t, open(t, server.URL, Options{}), testKey, Request{Path: "/x"}); err != nil || echoed || body != string(data) {
		t.Errorf("%d bytes of %d, %v", len(body), len(data), err)
	}
}

type discard struct{ n int64 }

func (d *discard) Write(p []byte) (int, error) {
	d.n += int64(len(p))
	return len(p), nil
}

// TestLargeAnswer: none of it stays in memory.
func TestLargeAnswer(t *testing.T) {
	const size = 96 << 20
	piece := []byte(strings.Repeat(`{"name":"of a list"},`, 1000))
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		for range size / len(piece) {
			_, _ = w.Write(piece)
		}
	})
	for _, terminal := range []bool{false, true} {
		out := &discard{}
		r := Request{Method: "GET", Path: "/x", Out: out, Terminal: terminal, Timeout: time.Hour}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		var most uint64
		var m runtime.MemStats
		r.Out = io.MultiWriter(out, writerFunc(func() {
			if out.n%(8<<20) < int64(len(piece)) {
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}))
		if _, err := open(t, server.URL, Options{}).Send(t.Context(), testKey, &r); err != nil || out.n < size-int64(len(piece)) {
			t.Fatalf("%d bytes, %v", out.n, err)
		}
		if most == 0 || most > 64<<20 {
			t.Errorf("terminal %v: %d MiB of heap", terminal, most>>20)
		}
	}
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

// TestKeySentBack: masked in any shape, in pieces too, and told. A weak key would be
// found in other words, and a scoped key must reach who made it.
func TestKeySentBack(t *testing.T) {
	own := secret.New("blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH")
	for _, key := range []secret.Key{own, testKey} {
		asHex := hex.EncodeToString([]byte(key.Reveal()))
		asJSON, _ := json.Marshal(key.Reveal())
		text := "a " + key.Reveal() + key.Reveal() + " b " + asHex + " c " + string(asJSON) + " hsCu4QLGzbBnQmF2OotUq6lrw4mn2eoMlLCH5TwX0JU= end"
		for step := 1; step < len(text); step += 7 {
			server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Seen", key.Reveal())
				for piece := range slices.Chunk([]byte(text), step) {
					_, _ = w.Write(piece)
					_ = http.NewResponseController(w).Flush()
				}
			})
			for _, terminal := range []bool{false, true} {
				body, echoed, err := sent(t, open(t, server.URL, Options{}), key, Request{Path: "/x", Include: true, Terminal: terminal})
				if err != nil || !echoed || !strings.Contains(body, "X-Seen: [redacted]\n") || !strings.Contains(body, " hsCu4QLGzbBnQmF2OotUq6lrw4mn2eoMlLCH5TwX0JU= end") ||
					slices.ContainsFunc(key.Encodings(), func(s string) bool { return strings.Contains(body, s) }) {
					t.Fatalf("step %d: %v, %v:\n%s", step, echoed, err, strings.ReplaceAll(body, key.Reveal(), "KEY"))
				}
			}
			server.Close()
		}
	}
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the name of the secret") })
	if body, echoed, err := sent(t, open(t, server.URL, Options{}), secret.New("secret"), Request{Path: "/x"}); body != "the name of the secret" || echoed || err != nil {
		t.Errorf("%q, %v, %v", body, echoed, err)
	}
}

// TestAnswerOnATerminal: nothing in it is obeyed, wherever it is cut.
func TestAnswerOnATerminal(t *testing.T) {
	text := strings.Repeat("{\"a\":\"\x1b]0;title\x07ü\u202e\"}\r\n", 20_000)
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-A"] = []string{"\u202e"}
		_, _ = io.WriteString(w, text+"end")
	})
	body, _, err := sent(t, open(t, server.URL, Options{}), testKey, Request{Path: "/x", Terminal: true, Include: true})
	want := strings.Repeat(`{"a":"\x1b]0;title\x07ü\u202e"}\x0d`+"\n", 20_000) + "end\n"
	head, rest, _ := strings.Cut(body, "\n\n")
	if err != nil || rest != want || strings.ContainsAny(head, "\u202e\r") || !strings.HasPrefix(head, "HTTP/1.1 200 OK\n") {
		t.Errorf("%v, %q, %.300q", err, head, rest)
	}
}

func TestOtherAnswers(t *testing.T) {
	var elsewhere atomic.Int32
	other := newServer(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, c := range []struct {
		status         int
		location, body string
		want, help     string
	}{
		{404, "", "404 page not found", "HTTP 404", ""},
		{401, "", `{"error":"x","error_detail":{"code":"AUTH_INVALID_API_KEY"}}`, "HTTP 401 AUTH_INVALID_API_KEY", "blnkctl verify"},
		{401, "", `{"error":"x","error_detail":{"code":"AUTH_MISSING_API_KEY"}}`, "the server saw no key", ""},
		{429, "", `{}`, "HTTP 429", "try again later"},
		{500, "", strings.Repeat("x", 1<<20), "HTTP 500", ""},
		{301, "/hooks", "", "HTTP 301, a redirect to /hooks, not followed", "ask for that: blnkctl api GET /hooks"},
		{302, "HTTPS://other.example/x?y", "", "HTTP 302, a redirect to HTTPS://other.example/x?y, not followed", "--server"},
		{307, "http://127.0.0.1.example/", "", "HTTP 307, a redirect", "--server"},
		{308, other.URL, "", "HTTP 308, a redirect to http://127.0.0.1:", "--server"},
		{303, "/seen?k=" + testKey.Reveal(), "", "/seen?k=[redacted]", "blnkctl api GET '/seen?k=[redacted]'"},
		{303, "/a@b", "", "a redirect to /a@b", "--server"},
		{304, "", "", "HTTP 304", ""},
	} {
		server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.location != "" {
				w.Header().Set("Location", c.location)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		body, _, err := sent(t, open(t, server.URL, Options{}), testKey, Request{Path: "/x?of=somebody"})
		if !errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "GET /x of "+server.URL+": HTTP ") ||
			!strings.Contains(hint.Of(err), c.help) || body != c.body {
			t.Errorf("%d: %v (%s), %.80s", c.status, err, hint.Of(err), body)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// TestNoAnswer: what is not known of a write is said.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(r *http.Request) { _, _ = io.ReadAll(r.Body); <-r.Context().Done() }
		ctx, cancel := context.WithCancelCause(t.Context())
		s, end := inMemory(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/half":
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
			case "/end":
				panic(http.ErrAbortHandler)
			case "/never":
				cancel(errors.New("a signal"))
			}
			hang(r)
		})
		defer end()
		for _, c := range []struct{ method, path, want, help, body string }{
			{"GET", "/hang", "nothing came for 1m0s", "--timeout", ""},
			{"POST", "/hang", "nothing came for 1m0s", "nobody knows", ""},
			{"GET", "/half", "nothing came for 1m0s", "--timeout", "half"},
			{"GET", "/backup", "nothing came for 1m0s", "nobody knows", ""},
			{"GET", "/end", "the connection ended before the answer did", "", ""},
			{"DELETE", "/end", "the connection ended before the answer did", "nobody knows", ""},
			{"POST", "/never", "a signal", "", ""},
		} {
			var out bytes.Buffer
			r := Request{Method: c.method, Path: c.path, Timeout: time.Minute, Out: &out}
			if c.path == "/never" { // a body that nobody types
				typed, typing := io.Pipe()
				defer typing.Close()
				r.Body, r.Size = typed, -1
			}
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			_, err := s.Send(ctx, secret.New("weak"), &r)
			if err == nil || errors.Is(err, ErrAnswer) || !strings.Contains(err.Error(), c.want) || !strings.Contains(hint.Of(err), c.help) || out.String() != c.body {
				t.Errorf("%s %s: %v (%s), %q", c.method, c.path, err, hint.Of(err), out.String())
			}
		}
	})
	server := newServer(t, nil)
	s := open(t, server.URL, Options{})
	server.Close()
	if _, _, err := sent(t, s, testKey, Request{Method: "POST", Path: "/x"}); err == nil || hint.Of(err) != "" || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v (%s)", err, hint.Of(err))
	}
}

// TestSilence: only a server that does nothing is given up; a slow one, a body that
// somebody types, and a reader who takes his time are not.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = time.Minute
		wait := func() { <-time.After(within - within/10) }
		s, end := inMemory(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			wait()
			for range 3 {
				_, _ = io.WriteString(w, "slow ")
				_ = http.NewResponseController(w).Flush()
				wait()
			}
			if r.URL.Path == "/dead" {
				<-r.Context().Done()
			}
		})
		defer end()
		for _, path := range []string{"/slow", "/dead"} {
			typed, typing := io.Pipe()
			go func() {
				for range 3 {
					<-time.After(2 * within)
					_, _ = io.WriteString(typing, "{}")
				}
				_ = typing.Close()
			}()
			var out bytes.Buffer
			reader := writerFunc(func() { <-time.After(2 * within) })
			r := Request{Method: "POST", Path: path, Body: typed, Size: -1, Timeout: within, Out: io.MultiWriter(reader, &out)}
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
			_, err := s.Send(t.Context(), secret.New("weak"), &r)
			if dead := path == "/dead"; (err != nil) != dead || out.String() != "slow slow slow " || dead && !strings.Contains(err.Error(), "nothing came for 1m0s") {
				t.Errorf("%s: %v, %q", path, err, out.String())
			}
		}
	})
}

// items are so many items of a list, from one on.
func items(from, n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{"id": %d, "text":"[,]\"}"}`, from+i))
	}
	return strings.Join(all, ",")
}

func TestPages(t *testing.T) {
	of := func(total int) func(limit, offset int) string {
		return func(limit, offset int) string { return "[" + items(offset, max(0, min(limit, total-offset))) + "]" }
	}
	whole := func(total int) func(limit, offset int) string {
		return func(int, int) string { return " [ " + items(0, total) + "\n] " }
	}
	for _, c := range []struct {
		name, path string
		answer     func(limit, offset int) string
		body       string
		asked      int
		want       string // of the error
	}{
		{"none", "/x", of(0), "[]\n", 1, ""},
		{"null", "/x", func(int, int) string { return "null" }, "[]\n", 1, ""},
		{"one page", "/x", of(7), "[" + items(0, 7) + "]\n", 1, ""},
		{"three pages", "/x", of(205), "[" + items(0, 205) + "]\n", 3, ""},
		{"full pages", "/x", of(200), "[" + items(0, 200) + "]\n", 3, ""},
		{"full pages, then null", "/x", func(limit, offset int) string {
			if offset >= 200 {
				return "null"
			}
			return of(200)(limit, offset)
		}, "[" + items(0, 200) + "]\n", 3, ""},
		{"limit and offset", "/x?limit=7&offset=3&a=b", of(30), "[" + items(3, 27) + "]\n", 4, ""},
		{"whole list each time, short", "/x", whole(30), "[" + items(0, 30) + "]\n", 1, ""},
		{"whole list each time, as long as a page", "/x", whole(100), "[" + items(0, 100) + "]\n", 2, ""},
		{"whole list each time, long", "/x", whole(250), "[" + items(0, 250) + "]\n", 1, ""},
		{"whole list each time, which grew", "/x", func(_, offset int) string { return whole(100+offset/100)(0, 0) }, "[" + items(0, 100) + "]\n", 2, ""},
		{"an object", "/x", func(int, int) string { return ` {"id": 1} ` }, ` {"id": 1} `, 1, ""},
		{"nothing", "/x", func(int, int) string { return "" }, "", 1, ""},
		{"no JSON", "/x", func(int, int) string { return "nothing here" }, "nothing here", 1, ""},
		{"refused at once", "/x", func(int, int) string { return "500" }, "500", 1, "HTTP 500"},
		{"refused later", "/x", func(limit, offset int) string {
			if offset > 0 {
				return "500"
			}
			return of(205)(limit, offset)
		}, "[" + items(0, 100), 2, "HTTP 500"},
		{"an object later", "/x", func(limit, offset int) string {
			if offset > 0 {
				return "{}"
			}
			return of(205)(limit, offset)
		}, "[" + items(0, 100), 2, "is none"},
		{"bad JSON", "/x", func(int, int) string { return `[{"a":1},{"b"}]` }, `[{"a":1},{"b"}]`, 1, "no valid JSON"},
		{"cut off", "/x", func(int, int) string { return `[{"a":1},{"b":2}` }, `[{"a":1},{"b":2}`, 1, "no valid JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
				offset, err := strconv.Atoi(r.URL.Query().Get("offset"))
				if err != nil || limit < 1 || strings.Contains(c.path, "a=b") && r.URL.Query().Get("a") != "b" {
					t.Errorf("asked for %s", r.RequestURI)
				}
				answer := c.answer(limit, offset)
				if answer == "500" {
					w.WriteHeader(500)
				}
				_, _ = io.WriteString(w, answer)
			})
			body, _, err := sent(t, open(t, server.URL, Options{}), testKey, Request{Path: c.path, Paginate: true})
			if body != c.body || asked != c.asked || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, asked %d times, want %d; %d bytes, want %d:\n%.300s", err, asked, c.asked, len(body), len(c.body), body)
			}
		})
	}
}

// TestPagesWithoutEnd: a server that always has another page. So many connections
// would fill a real network.
func TestPagesWithoutEnd(t *testing.T) {
	asked := 0
	s, end := inMemory(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = fmt.Fprintf(w, "[%d]", asked)
	})
	defer end()
	body, _, err := sent(t, s, testKey, Request{Path: "/x?limit=1&of=it", Paginate: true})
	if !errors.Is(err, ErrAnswer) || asked != mostPages || hint.Of(err) != "go on with: blnkctl api --paginate '/x?limit=1&of=it&offset=10000'" || strings.Count(body, ",") != mostPages-1 {
		t.Errorf("%v (%s), asked %d times", err, hint.Of(err), asked)
	}
}

// inMemory is a server without a network.
func inMemory(t *testing.T, answer http.HandlerFunc) (s *Server, end func()) {
	t.Helper()
	p := &pipes{dials: make(chan net.Conn)}
	server := &http.Server{Handler: answer}
	go func() { _ = server.Serve(p) }()
	s = open(t, "http://127.0.0.1", Options{})
	s.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		p.dials <- there
		return here, nil
	}
	return s, func() { _ = server.Close() }
}

// pipes is a listener in memory.
type pipes struct {
	dials chan net.Conn
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p.dials; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.dials) }); return nil }

func (*pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
