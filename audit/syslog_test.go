package audit_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/audit"
)

// devLog is a socket as /dev/log is one.
func devLog(t *testing.T) (path string, conn *net.UnixConn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "log") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "log")
	conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return path, conn
}

// received is what waits at the socket; "" for nothing.
func received(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	buf, n := make([]byte, 1<<16), 0
	err = raw.Read(func(fd uintptr) bool {
		n, _, _ = syscall.Recvfrom(int(fd), buf, syscall.MSG_DONTWAIT)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:max(n, 0)])
}

func TestSyslog(t *testing.T) {
	const key = "blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH"
	path, conn := devLog(t)
	p := newPlace(t)
	p.Syslog = &audit.Syslog{Path: path, Warn: func(err error) { t.Error(err) }}
	add := func(rotation, outcome string) {
		t.Helper()
		if err := p.Append(t.Context(), audit.Record{Event: "rotate", Rotation: rotation, Outcome: outcome, Error: key}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ rotation, outcome, priority string }{{"r1", "rotated", "85"}, {"r2", "rolled_back", "84"}, {"r3", "stuck", "83"}, {"r4", "refused", "84"}} {
		add(c.rotation, c.outcome)
		got := received(t, conn)
		m := regexp.MustCompile(`^<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d blnkctl\[\d+\]: (.*)$`).FindStringSubmatch(got)
		if m == nil || m[1] != c.priority || !strings.HasSuffix(p.read(p.Path()), m[2]+"\n") || strings.Contains(got, key) || !strings.Contains(got, "[redacted]") {
			t.Fatalf("%s", got)
		}
		var r audit.Record
		if err := json.Unmarshal([]byte(m[2]), &r); err != nil || r.Outcome != c.outcome || r.Hash == "" {
			t.Errorf("%+v, %v", r, err)
		}
	}
	add("r4", "refused") // counted, and no record
	add("r1", "rotated") // there already
	if got := received(t, conn); got != "" {
		t.Errorf("no record, and %s", got)
	}
}

// A log of the system that is not there, or that nobody empties, costs a warning, once.
func TestSyslogGone(t *testing.T) {
	full, conn := devLog(t)
	if err := conn.SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir(), full} {
		p, warned := newPlace(t), 0
		p.Syslog = &audit.Syslog{Path: path, Warn: func(error) { warned++ }}
		n := 3
		if path == full {
			n = 2000 // more than waits there (net.unix.max_dgram_qlen)
		}
		for i := range n {
			if warned > 0 && path == full {
				n = i
				break
			}
			if err := p.Append(t.Context(), audit.Record{Event: "rotate", Rotation: string(rune('A' + i)), Outcome: "rotated"}); err != nil {
				t.Fatal(err)
			}
		}
		if warned != 1 {
			t.Errorf("%s: %d warnings", path, warned)
		}
		p.expect(path, "", n)
	}
}
