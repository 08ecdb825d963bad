package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/restart"
)

// listensAt makes of this test binary a program that listens there until its stdin ends.
const listensAt = "DOCTOR_TEST_LISTENS_AT"

func TestMain(m *testing.M) {
	at := os.Getenv(listensAt)
	if at == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// program runs one of a name that listens at an address.
func program(t *testing.T, name, at string) (pid int, port string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(path, self, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = []string{listensAt + "=" + at}
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	return cmd.Process.Pid, strings.TrimSpace(line)
}

// with are facts that hold these configurations and containers.
func with(containers []Container, failed error, all ...Running) *Facts {
	f := &Facts{}
	_, _ = f.running.get(func() ([]Running, error) { return all, nil })
	_, _ = f.containers.get(func() ([]Container, error) { return containers, failed })
	return f
}

func resolved(t *testing.T, p *restart.Process, text string) Running {
	t.Helper()
	e, err := blnk.Resolve([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return Running{Place: "unit blnk.service", Process: p, Path: "/srv/blnk.json", Effective: e}
}

// A port says nothing: it must be the program, Blnk must use it, and others reach it.
func TestOpenHere(t *testing.T) {
	host := &restart.Process{}
	for name, c := range map[string]struct {
		program, at, dsn string
		want             string
	}{
		"open":             {"redis-server", "0.0.0.0:0", "redis://127.0.0.1:%s", "redis-server on port %s: Redis, which Blnk uses, listens for other machines too"},
		"of this host":     {"redis-server", "127.0.0.1:0", "redis://127.0.0.1:%s", ""},
		"another program":  {"somewhat", "0.0.0.0:0", "redis://127.0.0.1:%s", ""},
		"another machine":  {"redis-server", "0.0.0.0:0", "redis://192.0.2.7:%s", ""},
		"another port":     {"redis-server", "0.0.0.0:0", "redis://127.0.0.1:1", ""},
		"of the container": {"redis-server", "0.0.0.0:0", "redis:%s", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, port := program(t, c.program, c.at)
			dsn := strings.ReplaceAll(c.dsn, "%s", port)
			f := with([]Container{{Names: []string{"redis"}}}, nil, resolved(t, host, `{"redis": {"dns": "`+dsn+`"}}`))
			found, err := tell(t, f, portsClosed)
			got := ""
			for _, one := range found {
				got += one.Place + ": " + one.Text
			}
			if err != nil || got != strings.ReplaceAll(c.want, "%s", port) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A worker listens on all addresses: how bad that is depends on who is let in.
func TestMonitoring(t *testing.T) {
	for text, want := range map[string]Severity{
		`{"server": {}, "queue": {"monitoring_port": "%s"}}`:                                                               Error,
		`{"server": {"secure": true}, "queue": {"monitoring_port": "%s"}}`:                                                 Note,
		`{"server": {"metrics_bearer_token": "a"}, "queue": {"monitoring_port": "%s"}}`:                                    Note,
		`{"server": {"secure": true}, "queue": {"monitoring_port": "1"}}`:                                                  "",
		`{"server": {"secure": true, "metrics_bearer_token": "a"}, "queue": {"monitoring_port": "%s"}, "is": "elsewhere"}`: "",
	} {
		at := "0.0.0.0:0"
		if strings.Contains(text, "elsewhere") {
			at = "127.0.0.1:0"
		}
		pid, port := program(t, "blnk", at)
		f := with(nil, nil, resolved(t, &restart.Process{Workers: true, PID: pid}, strings.ReplaceAll(text, "%s", port)))
		found, err := tell(t, f, portsClosed)
		if n, _ := strconv.Atoi(port); err != nil || n == 0 || (len(found) == 1) != (want != "") || len(found) == 1 && found[0].Severity != want {
			t.Errorf("%s: %+v, %v", text, found, err)
		}
	}
}

// A name without a dot is a container's, another machine's, or nobody can tell.
func TestElsewhere(t *testing.T) {
	blind := errors.New("no permission")
	own := with([]Container{{Names: []string{"ledger-db", "pg"}}}, nil)
	host, inside := &restart.Process{}, &restart.Process{Isolated: true}
	for _, c := range []struct {
		host  string
		f     *Facts
		p     *restart.Process
		want  bool
		doubt bool
	}{
		{"", own, host, false, false},
		{"/run/postgresql", own, host, false, false},
		{"localhost", own, host, false, false},
		{"127.0.0.1", own, host, false, false},
		{"::1", own, host, false, false},
		{"host.docker.internal", own, inside, false, false},
		{"ledger-db", own, nil, false, false},
		{"pg", own, inside, false, false},
		{"db", own, inside, false, false},
		{"db", own, host, true, false},
		{"db", own, nil, false, true},
		{"postgres", with(nil, blind), host, false, false}, // of the stock files
		{"ledger-db", with(nil, blind), host, false, true},
		{"192.0.2.7", own, host, true, false},
		{"db.example.com", own, inside, true, false},
	} {
		if got, err := c.f.elsewhere(t.Context(), c.host, c.p); got != c.want || (err != nil) != c.doubt {
			t.Errorf("%s: %v, %v", c.host, got, err)
		}
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil {
			if got, err := own.elsewhere(t.Context(), ip.String(), host); got || err != nil {
				t.Errorf("%s is of this host: %v, %v", ip, got, err)
			}
		}
	}
}
