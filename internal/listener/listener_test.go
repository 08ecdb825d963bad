//go:build linux

package listener_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/internal/listener"
)

// What the test binary does instead of testing, when started again.
const (
	role   = "LISTENER_TEST_ROLE"
	listen = "listen" // on a free port, which it prints; until stdin ends
	find   = "find"   // prints the error of Find(port of its argument)
)

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case listen:
		l, err := net.Listen("tcp", os.Args[1])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	case find:
		port, _ := strconv.Atoi(os.Args[1])
		if _, hidden := os.Stat("/proc/1"); hidden != nil {
			fmt.Print("hidden ")
		}
		found, err := listener.Scan().Find(port)
		fmt.Println(len(found), errors.Is(err, fs.ErrPermission), err)
	default:
		os.Exit(m.Run())
	}
}

// server starts a process that listens, and returns it with its port.
func server(t *testing.T, addr string, env ...string) (cmd *exec.Cmd, port int) {
	t.Helper()
	return serverAs(t, "/proc/self/exe", addr, env...)
}

// serverAs starts it by another name.
func serverAs(t *testing.T, name, addr string, env ...string) (cmd *exec.Cmd, port int) {
	t.Helper()
	cmd = exec.Command("/proc/self/exe", addr)
	cmd.Args[0] = name
	cmd.Env = append([]string{role + "=" + listen}, env...)
	cmd.Dir = "/usr"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	port, err = strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Skipf("cannot listen on %s: %s", addr, line)
	}
	return cmd, port
}

// Who listens for this host alone is not open to others.
func TestFindOpen(t *testing.T) {
	for addr, open := range map[string]bool{
		"127.0.0.1:0": false, "127.9.0.1:0": false, "[::1]:0": false, "[::ffff:127.0.0.1]:0": false,
		"0.0.0.0:0": true, "[::]:0": true,
	} {
		t.Run(addr, func(t *testing.T) {
			cmd, port := server(t, addr)
			found, err := listener.Scan().FindOpen(port)
			if err != nil || (len(found) == 1 && found[0].PID == cmd.Process.Pid) != open || len(found) > 1 {
				t.Errorf("%v, %v; want it found: %v", found, err, open)
			}
		})
	}
}

func TestFind(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"127.0.0.1:0", ":0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			cmd, port := server(t, addr, "BLNK_SERVER_SECRET_KEY=a=b c", "BLNK_SERVER_SSL=")
			found, err := listener.Scan().Find(port)
			if err != nil || len(found) != 1 {
				t.Fatalf("found %v, %v; want one process", found, err)
			}
			p := found[0]
			if p.PID != cmd.Process.Pid || p.Exe != exe || p.Dir != "/usr" {
				t.Errorf("got %v in %s, want PID %d, %s in /usr", p, p.Dir, cmd.Process.Pid, exe)
			}
			if p.Env["BLNK_SERVER_SECRET_KEY"] != "a=b c" {
				t.Errorf("environment: %q", p.Env)
			}
			if v, ok := p.Env["BLNK_SERVER_SSL"]; !ok || v != "" {
				t.Error("a variable that is set but empty is missing")
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	// A connection that is open on the port is no listener.
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l.Close()
	if found, err := listener.Scan().Find(port); err != nil || len(found) != 0 {
		t.Errorf("found %v, %v; want nobody", found, err)
	}
}

// A Blnk that listens is found among the others, and one that waits for nothing is not.
func TestFindBlnk(t *testing.T) {
	cmd, port := serverAs(t, "blnk", "127.0.0.1:0")
	h := listener.Scan()
	found, err := h.Find(port)
	if err != nil || len(found) != 1 || found[0].PID != cmd.Process.Pid || !slices.Contains(h.Blnk, cmd.Process.Pid) {
		t.Errorf("found %v, %v; want PID %d, of %v", found, err, cmd.Process.Pid, h.Blnk)
	}
	if slices.Contains(h.Blnk, os.Getpid()) {
		t.Error("the test runs no blnk")
	}
}

// Another user's process: known to be there, not to be looked at.
func TestNotPermitted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	_, port := server(t, "127.0.0.1:0")
	cmd := exec.Command("/proc/self/exe", strconv.Itoa(port))
	cmd.Env = []string{role + "=" + find}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil && strings.HasPrefix(string(out), "hidden ") {
		t.Skip("this host hides the processes of others (hidepid)")
	}
	if err != nil || !strings.HasPrefix(string(out), fmt.Sprintf("0 true find who listens on port %d: ", port)) {
		t.Errorf("as another user: %s, %v; want no process and an error of permission", out, err)
	}
}

func TestPrintsNoEnvironment(t *testing.T) {
	p := listener.Process{PID: 7, Exe: "/usr/bin/blnk", Env: map[string]string{"K": "hidden"}}
	text := fmt.Sprintf("%v %+v %#v %s %d %v %v", p, p, p, p, p, []listener.Process{p}, &p)
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("found", "process", p)
	if all := text + string(data) + log.String(); strings.Contains(all, "hidden") {
		t.Errorf("the environment shows: %s", all)
	}
	if !strings.HasPrefix(text, "PID 7 (/usr/bin/blnk) ") {
		t.Errorf("got %s", text)
	}
	if got := (listener.Process{PID: 7}).String(); got != "PID 7" {
		t.Errorf("without a program: %s", got)
	}
}
