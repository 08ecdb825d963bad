package blnktest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func standin(t *testing.T) subject {
	t.Helper()
	return subject{program: programCopy(t), database: "postgres://nobody@127.0.0.1:1/none", redis: "127.0.0.1:1"}
}

// begin starts the stand-in with variables, and does not wait for its port.
func begin(t *testing.T, env ...string) *process {
	t.Helper()
	s, dir, port := standin(t), t.TempDir(), freePort(t)
	s.write(t, dir, server(secure), port)
	return start(t, s.command(dir, env, "start"), port)
}

// awaitLine returns when the process has said so.
func (p *process) awaitLine(t *testing.T, text string) {
	t.Helper()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for limit := time.After(3 * time.Minute); !strings.Contains(p.output(), text); {
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("never said %q:\n%s", text, p.output())
		}
	}
}

func (p *process) refused(t *testing.T) bool {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// Server and worker end with status 0 on both signals.
func TestSignals(t *testing.T) {
	forSubjects(t, func(t *testing.T, s subject) {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			dir, port, monitoring := t.TempDir(), freePort(t), freePort(t)
			s.write(t, dir, server(secure), port)
			for command, port := range map[string]string{"start": port, "workers": monitoring} {
				p := start(t, s.command(dir, []string{"BLNK_QUEUE_MONITORING_PORT=" + monitoring}, command), port)
				p.awaitOpen(t)
				if code := p.stop(t, signal); code != 0 {
					t.Errorf("%s: exit status %d after %s, want 0:\n%s", command, code, signal, p.output())
				}
			}
		}
	})
}

// After the signal the port is closed at once, and so is a connection that is
// idle; a request that is under way is answered by the old process, as far as
// that knows the key. Then it ends.
func TestEndOfAServer(t *testing.T) {
	forSubjects(t, func(t *testing.T, s subject) {
		dir, port := t.TempDir(), freePort(t)
		s.write(t, dir, server(secure), port)
		p := start(t, s.command(dir, nil, "start"), port)
		p.awaitOpen(t)
		idle, under := p.dial(t), p.dial(t)
		head := func(method, path string, length int) string {
			return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: blnk\r\nX-Blnk-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", method, path, master, length)
		}
		answer := bufio.NewReader(idle)
		send(t, idle, head("GET", "/hooks", 0)+"\r\n")
		if r, err := http.ReadResponse(answer, nil); err != nil || r.StatusCode != 200 {
			t.Fatalf("GET /hooks: %v, %v", r, err)
		} else if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Fatal(err)
		} else if err := r.Body.Close(); err != nil {
			t.Fatal(err)
		}
		// The server asks for the body: so it has begun with the request.
		body := `{"name":"while the server ends"}`
		send(t, under, head("POST", "/ledgers", len(body))+"Expect: 100-continue\r\n\r\n")
		response := bufio.NewReader(under)
		if line, err := response.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("POST /ledgers: %q, %v", line, err)
		}
		must(t, p.cmd.Process.Signal(sigterm))
		if _, err := answer.ReadByte(); err != io.EOF {
			t.Errorf("the idle connection: %v, want its end", err)
		}
		if !p.refused(t) {
			t.Error("the port is open")
		}
		send(t, under, body)
		if _, err := response.ReadString('\n'); err != nil { // the end of "100 Continue"
			t.Fatal(err)
		}
		if r, err := http.ReadResponse(response, nil); err != nil || r.StatusCode != 201 {
			t.Errorf("the request that was under way: %v, %v", r, err)
		} else if err := r.Body.Close(); err != nil {
			t.Error(err)
		}
		if code := p.awaitGone(t); code != 0 {
			t.Errorf("exit status %d, want 0:\n%s", code, p.output())
		}
	})
}

func (p *process) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(3*time.Minute)))
	return conn
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := conn.Write([]byte(text))
	must(t, err)
}

func TestStartsLate(t *testing.T) {
	p := begin(t, "STANDIN_START_DELAY=1h")
	p.awaitLine(t, "the port opens in 1h")
	if !p.refused(t) {
		t.Error("the port is open")
	}
	if code := p.stop(t, sigterm); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
	p = begin(t, "STANDIN_START_DELAY=20ms")
	p.awaitOpen(t)
	p.expect(t, live(master))
}

func TestDiesAtStart(t *testing.T) {
	p := begin(t, "STANDIN_DIE=1")
	if code := p.awaitGone(t); code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
}

func TestIgnoresSigterm(t *testing.T) {
	p := begin(t, "STANDIN_IGNORE_TERM=1")
	p.awaitOpen(t)
	for range 2 {
		must(t, p.cmd.Process.Signal(sigterm))
	}
	p.awaitLine(t, "ignored")
	p.expect(t, live(master))
}

// While it drains, the port is closed, and an open connection is answered by
// the old process.
func TestDrains(t *testing.T) {
	p := begin(t, "STANDIN_DRAIN=1h")
	p.awaitOpen(t)
	client := &http.Client{}
	ask := func() (int, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/hooks", nil)
		must(t, err)
		request.Header.Set("X-Blnk-Key", master)
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return response.StatusCode, err
	}
	if status, err := ask(); status != 200 {
		t.Fatalf("before the signal: %d, %v", status, err)
	}
	must(t, p.cmd.Process.Signal(sigterm))
	p.awaitLine(t, "draining")
	if !p.refused(t) {
		t.Error("the port is open")
	}
	if status, err := ask(); status != 200 {
		t.Errorf("on the open connection: %d, %v", status, err)
	}
}

func TestDrainsShortly(t *testing.T) {
	p := begin(t, "STANDIN_DRAIN=10ms")
	p.awaitOpen(t)
	if code := p.stop(t, sigterm); code != 0 {
		t.Errorf("exit status %d, want 0:\n%s", code, p.output())
	}
}

func TestLingers(t *testing.T) {
	p := begin(t, "STANDIN_LINGER=1h")
	p.awaitOpen(t)
	must(t, p.cmd.Process.Signal(sigterm))
	p.awaitLine(t, "terminated received")
	p.expect(t, live(master))
}

// A request that is being answered at the end is waited for, and then cut off.
func TestExitStatusOfForcedEnd(t *testing.T) {
	p := begin(t, "STANDIN_ANSWER=hang", "STANDIN_ANSWER_COUNT=1", "STANDIN_DRAIN_LIMIT=20ms")
	p.awaitOpen(t)
	answered := make(chan error, 2)
	for range 2 {
		conn := p.dial(t)
		send(t, conn, "GET /hooks HTTP/1.1\r\nHost: x\r\n\r\n")
		go func() {
			_, err := conn.Read(make([]byte, 1))
			answered <- err
		}()
	}
	must(t, <-answered) // one of the two is, so the other one hangs
	if code := p.stop(t, sigterm); code != 1 {
		t.Errorf("exit status %d, want 1:\n%s", code, p.output())
	}
}

func TestWrongAnswers(t *testing.T) {
	for _, status := range []int{429, 503} {
		p := begin(t, fmt.Sprintf("STANDIN_ANSWER=%d", status), "STANDIN_ANSWER_COUNT=2")
		p.awaitOpen(t)
		p.expect(t, want{key: master, status: status}, want{path: "/", status: status}, live(master), rejected(never))
	}
	for _, answer := range []string{"close", "garbage"} {
		p := begin(t, "STANDIN_ANSWER="+answer)
		p.awaitOpen(t)
		response, err := http.Get(p.url + "/hooks")
		if err == nil {
			response.Body.Close()
			t.Errorf("%s: answered %s", answer, response.Status)
		}
	}
}

func TestOlderVersions(t *testing.T) {
	for _, tt := range []struct {
		version         string
		details, master bool // what it has
	}{{"0.15.0", true, true}, {"0.15.2", true, true}, {"0.14.9", false, true}, {"0.14.3", false, true}, {"0.14.2", false, false}, {"0.13.3", false, false}} {
		p := begin(t, "STANDIN_VERSION="+tt.version)
		p.awaitOpen(t)
		hooksReader := newScoped(t, p, later, `"hooks:read"`)
		status, body := p.ask(t, want{key: hooksReader.Key})
		if (status == 403) != tt.master {
			t.Errorf("%s: a key with hooks:read gets %d %s", tt.version, status, body)
		}
		status, body = p.ask(t, want{key: never})
		if status != 401 || strings.Contains(body, "error_detail") != tt.details || !strings.Contains(body, `"error":"Invalid API key"`) {
			t.Errorf("%s: a random key gets %d %s", tt.version, status, body)
		}
	}
}

func TestAddressFileAndAccessLog(t *testing.T) {
	s, dir := standin(t), t.TempDir()
	s.write(t, dir, server(secure), "0")
	addr, log := filepath.Join(dir, "addr"), filepath.Join(dir, "access.log")
	p := start(t, s.command(dir, []string{"STANDIN_ADDR_FILE=" + addr, "STANDIN_ACCESS_LOG=" + log}, "start"), "0")
	p.awaitLine(t, "listening on")
	text, err := os.ReadFile(addr)
	must(t, err)
	p.url = "http://" + string(text)
	p.expect(t, live(master), rejected(never))
	lines, err := os.ReadFile(log)
	must(t, err)
	if got := string(lines); strings.Count(got, "\n") != 2 || !strings.Contains(got, `path="/hooks" status=401`) || strings.Contains(got, never) {
		t.Errorf("access log:\n%s", got)
	}
}

func TestOptionsThatAreWrong(t *testing.T) {
	for _, v := range []string{"STANDIN_DRAIN=2", "STANDIN_ANSWER=99", "STANDIN_ANSWER=what", "STANDIN_ANSWER_COUNT=0", "STANDIN_VERSION=1.2"} {
		p := begin(t, v)
		name, _, _ := strings.Cut(v, "=")
		if code := p.awaitGone(t); code != 1 || !strings.Contains(p.output(), name) {
			t.Errorf("%s: exit status %d:\n%s", v, code, p.output())
		}
	}
}
