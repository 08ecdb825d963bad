package cmd

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// audit: {syslog: true} sends each record to the log of the system; that one is not there
// is a warning, once, and no failure.
func TestAuditSyslog(t *testing.T) {
	dir, err := os.MkdirTemp("", "log") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "log")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, c := range []struct{ file, path, record, warning string }{
		{"audit: {syslog: true}\n", path, ` blnkctl[`, ""},
		{"audit: {syslog: false}\n", path, "", ""},
		{"state_dir: state\n", path, "", ""},
		{"audit: {syslog: true}\n", path + "x", "", "warning: the audit record is not in the log of the system: dial unixgram "},
	} {
		env, stdout, stderr := testEnv(t)
		work, _ := env.Getwd()
		env.UID, env.Syslog = os.Geteuid(), c.path
		config, place := filepath.Join(work, "blnkctl.yaml"), filepath.Join(work, "key.env")
		for name, text := range map[string]string{config: c.file, place: ""} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if code := Run(t.Context(), env, []string{"keygen", "--store", "dotenv:" + place}); code != exitOK {
			t.Fatalf("exit status %d: %s%s", code, stdout, stderr)
		}
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		buf, n := make([]byte, 1<<16), 0 // what was sent is there: nothing is waited for
		if err := raw.Read(func(fd uintptr) bool { n, _, _ = syscall.Recvfrom(int(fd), buf, syscall.MSG_DONTWAIT); return true }); err != nil {
			t.Fatal(err)
		}
		got := string(buf[:max(n, 0)])
		if (c.record == "") != (got == "") || !strings.Contains(got, c.record) || c.record != "" && !strings.Contains(got, `"event":"keygen"`) {
			t.Errorf("%s: %q", c.file, got)
		}
		if said := stderr.String(); strings.Count(said, "warning:") != strings.Count(c.warning, "warning:") || !strings.Contains(said, c.warning) {
			t.Errorf("%s: %s", c.file, said)
		}
		key, _ := os.ReadFile(place)
		if _, secret, _ := strings.Cut(strings.TrimSpace(string(key)), "="); len(secret) < 20 || strings.Contains(got, secret) {
			t.Errorf("the key %d bytes, in %q", len(secret), got)
		}
	}
}
