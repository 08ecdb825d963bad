package blnktest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
)

// TestMain makes the test binary the program blnk-standin too, under that name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "blnk-standin" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// A subject is a Blnk to be held against the table: the stand-in, or the real
// one.
type subject struct {
	program         string
	database, redis string
	real            bool
}

// forSubjects runs the test with the stand-in, and with a real Blnk where
// BLNK_BIN (the program), BLNK_DB (the DSN of a PostgreSQL database that it may
// use) and BLNK_REDIS name one.
func forSubjects(t *testing.T, test func(t *testing.T, s subject)) {
	t.Run("standin", func(t *testing.T) {
		test(t, subject{program: programCopy(t), database: "postgres://nobody@127.0.0.1:1/none", redis: "127.0.0.1:1"})
	})
	t.Run("real", func(t *testing.T) {
		s := subject{program: os.Getenv("BLNK_BIN"), database: os.Getenv("BLNK_DB"), redis: os.Getenv("BLNK_REDIS"), real: true}
		if s.program == "" && s.database == "" && s.redis == "" {
			t.Skip("no real Blnk here: BLNK_BIN, BLNK_DB and BLNK_REDIS are not set")
		}
		if s.program == "" || s.database == "" || s.redis == "" {
			t.Fatal("BLNK_BIN, BLNK_DB and BLNK_REDIS go together, and one is not set")
		}
		s.migrate(t)
		test(t, s)
	})
}

// programCopy puts this binary where every user may run it, under the name
// that makes it the stand-in.
func programCopy(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // testing makes it 0700
		t.Fatal(err)
	}
	path := filepath.Join(dir, "blnk-standin")
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s subject) migrate(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	s.write(t, dir, `{"data_source":{"dns":"{{DB}}"},"redis":{"dns":"{{REDIS}}"}}`, "1")
	cmd := s.command(dir, nil, "migrate", "up")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("migrate up: %v\n%s", err, out)
	}
}

// fill puts the addresses of this subject into a text of the table.
func (s subject) fill(text, port string) string {
	return strings.NewReplacer("{{DB}}", s.database, "{{REDIS}}", s.redis, "{{PORT}}", port).Replace(text)
}

func (s subject) write(t *testing.T, dir, file, port string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, ConfigName), []byte(s.fill(file, port)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// command runs the program with the variables given and no others of Blnk.
func (s subject) command(dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, args...)
	cmd.Dir = dir
	// Under the race detector a program sleeps a second before it ends, unless
	// told not to.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GORACE=atexit_sleep_ms=0"}, env...)
	return cmd
}

// A process is a running server or worker of a subject.
type process struct {
	cmd  *exec.Cmd
	url  string
	gone chan struct{} // closed when it ended

	mu  sync.Mutex
	log strings.Builder
}

// start runs the program until the test ends.
func start(t *testing.T, cmd *exec.Cmd, port string) *process {
	t.Helper()
	p := &process{cmd: cmd, url: "http://127.0.0.1:" + port, gone: make(chan struct{})}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	go func() {
		defer close(p.gone)
		lines := bufio.NewScanner(read)
		for lines.Scan() {
			p.mu.Lock()
			fmt.Fprintln(&p.log, lines.Text())
			p.mu.Unlock()
		}
		_ = cmd.Wait() // the state tells
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // may be gone already
		<-p.gone
	})
	return p
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// awaitOpen returns when the port answers, and fails when the process ends
// first.
func (p *process) awaitOpen(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-again.C:
		case <-p.gone:
			t.Fatalf("the process ended before its port was open (%v):\n%s", p.cmd.ProcessState, p.output())
		case <-ctx.Done():
			t.Fatalf("no port after 3 minutes:\n%s", p.output())
		}
	}
}

// awaitGone returns the exit status.
func (p *process) awaitGone(t *testing.T) int {
	t.Helper()
	select {
	case <-p.gone:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(5 * time.Minute):
		t.Fatalf("still there after 5 minutes:\n%s", p.output())
		return -1
	}
}

// stop sends the signal and returns the exit status.
func (p *process) stop(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	return p.awaitGone(t)
}

// A want is a request and what must be answered.
type want struct {
	method, path string // "" is GET /hooks
	key          string // "" sends no header
	bearer       string
	body         string

	status int
	code   string // of error_detail
	has    string // in the body
}

func (w want) String() string {
	return fmt.Sprintf("%s %s with key %q", w.method, w.path, w.key)
}

// ask makes the request on a connection of its own.
func (p *process) ask(t *testing.T, w want) (int, string) {
	t.Helper()
	if w.method == "" {
		w.method = http.MethodGet
	}
	if w.path == "" {
		w.path = "/hooks"
	}
	request, err := http.NewRequestWithContext(t.Context(), w.method, p.url+w.path, strings.NewReader(w.body))
	if err != nil {
		t.Fatal(err)
	}
	if w.key != "" {
		request.Header.Set("X-Blnk-Key", w.key)
	}
	if w.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+w.bearer)
	}
	response, err := fresh().RoundTrip(request)
	if err != nil {
		t.Fatalf("%v: %v", w, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%v: %v", w, err)
	}
	return response.StatusCode, string(body)
}

// fresh makes connections that are used once.
func fresh() *http.Transport { return &http.Transport{DisableKeepAlives: true} }

// expect fails where the answer is another one.
func (p *process) expect(t *testing.T, wants ...want) {
	t.Helper()
	for _, w := range wants {
		status, body := p.ask(t, w)
		if status != w.status || codeOf(body) != w.code || !strings.Contains(body, w.has) {
			t.Errorf("%v: %d %s, want %d with code %q and %q", w, status, strings.TrimSpace(body), w.status, w.code, w.has)
		}
		if w.method == "" && w.path == "" {
			proves := map[int]blnk.Answer{200: blnk.Live, 401: blnk.Rejected, 403: blnk.Lesser}[status]
			switch w.code {
			case "AUTH_MISSING_API_KEY":
				proves = blnk.Nothing
			case "AUTH_EXPIRED_API_KEY":
				proves = blnk.Expired
			case "AUTH_INSUFFICIENT_PERMISSIONS":
				proves = blnk.Scoped
			}
			if got := blnk.Judge(status, []byte(body)); got != proves {
				t.Errorf("%v: %d %s is judged as %v", w, status, strings.TrimSpace(body), got)
			}
		}
	}
}

func codeOf(body string) string {
	var reply struct {
		Detail struct{ Code string } `json:"error_detail"`
	}
	_ = json.Unmarshal([]byte(body), &reply) // a list or a page has none
	return reply.Detail.Code
}

// freePort is FreePort as a text.
func freePort(t *testing.T) string {
	t.Helper()
	n, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(n)
}

// nobody makes the process another user's.
func nobody(cmd *exec.Cmd) error {
	if os.Getuid() != 0 {
		return errors.New("not root")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return nil
}
