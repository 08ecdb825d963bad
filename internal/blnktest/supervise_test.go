package blnktest

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A desk is a folder with the supervisor's commands.
type desk struct {
	t   *testing.T
	s   subject
	dir string
}

func newDesk(t *testing.T) desk {
	t.Helper()
	d := desk{t, standin(t), t.TempDir()}
	cmd := d.s.command(d.dir, nil, "init")
	cmd.Stdin = strings.NewReader(master + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	t.Cleanup(func() { d.run(nil, "down", "--grace", "1ms") })
	return d
}

// run returns what the command says, and its exit status.
func (d desk) run(env []string, args ...string) (string, int) {
	d.t.Helper()
	cmd := d.s.command(d.dir, env, args...)
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
}

// ok fails unless the command succeeds.
func (d desk) ok(args ...string) string {
	d.t.Helper()
	out, code := d.run(nil, args...)
	if code != 0 {
		d.t.Fatalf("%v: exit status %d: %s", args, code, out)
	}
	return out
}

// fails fails unless the command exits 1, saying so.
func (d desk) fails(says string, args ...string) {
	d.t.Helper()
	if out, code := d.run(nil, args...); code != 1 || !strings.Contains(out, says) {
		d.t.Errorf("%v: exit status %d: %s; want 1 with %q", args, code, out, says)
	}
}

func (d desk) at(role string) *process { return &process{url: d.ok("url", role)} }

// key writes another key into the file, as a person would.
func (d desk) key(from, to string) {
	d.t.Helper()
	path := filepath.Join(d.dir, ConfigName)
	text, err := os.ReadFile(path)
	must(d.t, err)
	must(d.t, os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600))
}

func TestSupervisor(t *testing.T) {
	d := newDesk(t)
	d.fails("", "status")
	d.fails("nothing was started here", "restart")
	d.fails("does not run", "url")
	d.ok("up")
	d.fails("is running already", "up", "server")
	d.ok("status")
	d.ok("status", "worker")
	d.at("server").expect(t, live(master), rejected(never))
	d.at("worker").expect(t, want{path: "/health", status: 200})
	d.ok("signs")

	d.key(master, other)
	d.fails("", "signs") // the file has the other key, the worker not yet
	server, worker := d.ok("url"), d.ok("url", "worker")
	d.ok("restart", "server")
	d.at("server").expect(t, live(other), rejected(master))
	d.fails("", "signs")
	d.ok("restart")
	d.ok("signs")
	if d.ok("url") != server || d.ok("url", "worker") != worker {
		t.Error("a restart changed an address")
	}
	d.ok("down")
	d.fails("", "status")
	d.fails("", "status", "worker")
	d.ok("down")
}

func TestSupervisorRemembersVariables(t *testing.T) {
	d := newDesk(t)
	d.ok("up", "server", "--env", "BLNK_SERVER_SECRET_KEY="+other)
	d.at("server").expect(t, live(other))
	d.ok("restart")
	d.at("server").expect(t, live(other))
	file := filepath.Join(d.dir, "vars")
	must(t, os.WriteFile(file, []byte("# a comment\n\nBLNK_SERVER_SECRET_KEY="+never+"\n"), 0o600))
	d.ok("restart", "--env-file", file)
	d.at("server").expect(t, live(never))
	d.ok("restart", "--env", "BLNK_SERVER_SECRET_KEY")
	d.at("server").expect(t, live(master))
}

func TestSupervisorQueue(t *testing.T) {
	d := newDesk(t)
	d.ok("up", "server")
	d.ok("next", "STANDIN_DIE=1")
	d.ok("next")
	d.ok("next", "server", "BLNK_SERVER_SECRET_KEY="+other)
	d.fails("server ended at start (exit status 1): told to die at start", "restart")
	d.fails("", "status")
	d.ok("restart")
	d.at("server").expect(t, live(master))
	d.ok("restart")
	d.at("server").expect(t, live(other))
	d.ok("restart")
	d.at("server").expect(t, live(master))
}

func TestSupervisorDoesNotWait(t *testing.T) {
	d := newDesk(t)
	d.ok("up", "server", "--no-wait", "--env", "STANDIN_START_DELAY=1h")
	d.ok("status")
	d.ok("restart", "--no-wait")
	d.fails("port not open after 1ms", "restart", "--timeout", "1ms")
}

func TestSupervisorKills(t *testing.T) {
	d := newDesk(t)
	d.ok("up", "server", "--env", "STANDIN_IGNORE_TERM=1")
	d.ok("restart", "--grace", "1ms")
	d.at("server").expect(t, live(master))
}

// --async: the command is done, and the old server still there. It ends only
// when it is told to, so that this is no question of who is faster.
func TestSupervisorAsync(t *testing.T) {
	d := newDesk(t)
	d.ok("up", "server", "--env", "STANDIN_LINGER=1h")
	d.key(master, other)
	d.ok("restart", "--async", "--grace", "1h")
	d.at("server").expect(t, live(master))
	u, err := openUnit(d.dir, "server")
	must(t, err)
	pid, ok := u.pid()
	if !ok {
		t.Fatal("the server is gone")
	}
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for limit := time.After(3 * time.Minute); ; {
		if now, ok := u.pid(); ok && now != pid {
			break
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatal("no new server after 3 minutes")
		}
	}
	p := &process{url: d.ok("url"), gone: make(chan struct{})}
	p.awaitOpen(t)
	p.expect(t, live(other))
}

func TestSupervisorDelivers(t *testing.T) {
	d := newDesk(t)
	url, seen := newReceiver(t)
	d.ok("up", "--env", "BLNK_WEBHOOK_URL="+url)
	d.ok("deliver", `{"event":"e"}`)
	if got := <-seen; !got.signedWith(master) || string(got.body) != `{"event":"e"}` {
		t.Errorf("delivered %s", got.body)
	}
	hook, hooked := newReceiver(t)
	d.at("server").expect(t, want{method: "POST", path: "/hooks", key: master, status: 201,
		body: `{"name":"n","type":"POST_TRANSACTION","active":true,"url":"` + hook + `"}`})
	d.ok("deliver")
	if got := <-hooked; !got.signedWith(master) {
		t.Errorf("the hook got %s", got.body)
	}
	d.ok("restart", "worker", "--env", "BLNK_WEBHOOK_URL=http://127.0.0.1:1")
	d.fails("not delivered", "deliver")
}

func TestBalancer(t *testing.T) {
	a, b, front := newDesk(t), newDesk(t), newDesk(t)
	b.key(master, other)
	a.ok("up", "server")
	b.ok("up", "server")
	front.ok("up", "balancer", "--to", a.dir, "--to", b.dir)
	p := front.at("balancer")
	p.expect(t, live(master), live(other), live(master), live(other))
	b.ok("down")
	p.expect(t, live(master), live(master), live(master))
	b.key(other, master)
	b.ok("up", "server")
	p.expect(t, live(master), live(master), live(master), live(master))
	address := front.ok("url", "balancer")
	front.ok("restart", "balancer")
	if front.ok("url", "balancer") != address {
		t.Error("a restart changed the balancer's address")
	}
	a.ok("down")
	b.ok("down")
	if response, err := http.Get(front.ok("url", "balancer")); err == nil {
		response.Body.Close()
		t.Errorf("without a replica: %s", response.Status)
	}
}

func TestUnknownCommand(t *testing.T) {
	d := newDesk(t)
	d.fails("unknown command", "fly")
	d.fails("unknown role", "up", "moon")
	if out := d.ok("--help"); !strings.Contains(out, "STANDIN_DRAIN") {
		t.Errorf("help: %s", out)
	}
	d.ok("migrate", "up")
}
