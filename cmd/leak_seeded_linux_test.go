package cmd_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blnkctl/blnkctl/internal/blnktest"
	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

// seeds are leaks of every kind. Each gets the key of ./blnk.json.
func seeds() map[string]func(key string) error {
	say := func(form func(string) string) func(string) error {
		return func(key string) error {
			_, err := fmt.Fprintf(os.Stderr, "warning: %s is the key\n", form(key))
			return err
		}
	}
	return map[string]func(key string) error{
		"argument": func(key string) error { return exec.Command("true", "--key="+key).Run() },
		"environment": func(key string) error {
			cmd := exec.Command("true")
			cmd.Env = []string{"BLNK_SERVER_SECRET_KEY=" + key}
			return cmd.Run()
		},
		"argument of ours": func(key string) error { return exec.Command("blnk-standin", "help", key).Run() },
		"environment of ours": func(key string) error {
			cmd := exec.Command("blnk-standin", "help")
			cmd.Env = append(os.Environ(), "BLNK_SERVER_SECRET_KEY="+key)
			return cmd.Run()
		},
		"stdout": func(key string) error { _, err := fmt.Println(key); return err },
		"stderr": say(func(key string) string { return key }),
		"halves": func(key string) error {
			for _, half := range []string{key[:9], key[9:]} {
				if _, err := os.Stderr.WriteString(half); err != nil {
					return err
				}
			}
			return nil
		},
		"base64": say(func(key string) string { return base64.StdEncoding.EncodeToString([]byte("user:" + key)) }),
		"hex":    say(func(key string) string { return hex.EncodeToString([]byte(key)) }),
		"url":    say(url.QueryEscape),
		"json": say(func(key string) string {
			text, _ := json.Marshal(map[string]string{"key": key})
			return string(text)
		}),
		"quoted": say(func(key string) string { return fmt.Sprintf("%q", key) }),
		"file":   func(key string) error { return os.WriteFile("blnk.json.old", []byte(key), 0o600) },
		"log":    func(key string) error { return os.WriteFile(os.Getenv("HOME")+"/log", []byte(key), 0o600) },
		"removed file": func(key string) error {
			path := filepath.Join(os.TempDir(), "x")
			if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
				return err
			}
			return os.Remove(path)
		},
		"temporary file of something else": func(key string) error {
			return os.WriteFile(".audit.head.blnkctl.tmp", []byte(key), 0o600)
		},
		"another server": func(key string) error { return send("GET /hooks HTTP/1.1\r\nX-Blnk-Key: "+key+"\r\n\r\n", "") },
		"path of a request": func(key string) error {
			return send("GET /hooks?key="+url.QueryEscape(key)+" HTTP/1.1\r\n\r\n", os.Getenv("PORT"))
		},
	}
}

// harmless is what must not be taken for a leak.
func harmless() map[string]func(key string) error {
	return map[string]func(key string) error{
		"nothing": func(string) error { return nil },
		"store": func(key string) error {
			const temp = ".blnk.json.blnkctl.tmp"
			return errors.Join(os.WriteFile(temp, []byte(key), 0o600), os.Remove(temp))
		},
		"question": func(key string) error {
			return send("GET /hooks HTTP/1.1\r\nX-Blnk-Key: "+key+"\r\nHost: x\r\n\r\n", os.Getenv("PORT"))
		},
	}
}

// send writes to a server of its own at the port, "" for any one.
func send(text, port string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(text))
	return err
}

// leaker is a blnkctl that does one of these. Like blnkctl it lets nobody look
// into it.
func leaker() int {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0)
	data, err := os.ReadFile("blnk.json")
	var config blnktest.Config
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	seed := seeds()[os.Args[1]]
	if seed == nil {
		seed = harmless()[os.Args[1]]
	}
	if err == nil {
		err = seed(config.Server.SecretKey)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// seededKey looks different in every form.
const seededKey = `q7Zk"P2mXw9/RtB4nVs6+YcJ8h&LdFgA5eTu\K<N1oEz`

// runSeed runs a script in which blnkctl is the leaker, and returns what was
// found.
func runSeed(t *testing.T, kind, mode, as string) []string {
	t.Helper()
	port, err := blnktest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"server": map[string]string{"secret_key": seededKey, "port": fmt.Sprint(port)}})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("env PORT=%d\nexec %s leaker '%s' # as blnkctl\n-- blnk.json --\n%s\n", port, as, kind, config)
	file := filepath.Join(t.TempDir(), "seed.txt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var found []string
	params := scriptParams(func(env *testscript.Env) error { return watchLeaks(env, mode, "leaker") })
	params.Files = []string{file}
	t.Run("run", func(t *testing.T) {
		testscript.RunT(scriptT{T: t, leak: func(what string) { found = append(found, what) }}, params)
	})
	return found
}

// TestSeededLeaks is the test of the test.
func TestSeededLeaks(t *testing.T) {
	needs.Strace().For(t)
	where := map[string]string{
		"argument": "hands over a key as it is: \"--key=", "argument of ours": "hands over a key as it is", "environment of ours": "hands over a key as it is",
		"environment": "hands over a key as it is: \"BLNK_SERVER_SECRET_KEY=",
		"stdout":      "(fd 1) a key as it is", "file": "/blnk.json.old (fd 0) a key", "log": "/home/log (fd 0) a key",
		"removed file": "/x (fd 0) a key", "temporary file of something else": "/.audit.head.blnkctl.tmp (fd 0) a key",
		"another server": "socket:", "path of a request": "socket:",
	}
	for kind := range seeds() {
		want := where[kind]
		if want == "" {
			want = "(fd 2) a key"
		}
		t.Run(kind, func(t *testing.T) {
			found := strings.Join(runSeed(t, kind, "strace", ""), "\n")
			if !strings.Contains(found, want) {
				t.Errorf("found: %q, want %q", found, want)
			}
		})
	}
	for kind := range harmless() {
		t.Run(kind, func(t *testing.T) {
			if found := runSeed(t, kind, "strace", ""); len(found) > 0 {
				t.Errorf("found: %v", found)
			}
		})
	}
}

// TestSeededLeaksUntraced: output and files are searched without strace too.
func TestSeededLeaksUntraced(t *testing.T) {
	for _, kind := range []string{"stdout", "stderr", "halves", "base64", "hex", "url", "json", "quoted", "file", "log", "argument of ours", "environment of ours"} {
		t.Run(kind, func(t *testing.T) {
			if len(runSeed(t, kind, "note", "")) == 0 {
				t.Error("not found")
			}
		})
	}
	if found := runSeed(t, "nothing", "note", ""); len(found) > 0 {
		t.Errorf("found: %v", found)
	}
}

// TestSeededLeaksOfOthers: a blnkctl that another user runs forbids strace to
// look into it, and is searched all the same.
func TestSeededLeaksOfOthers(t *testing.T) {
	needs.Strace().For(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	found := strings.Join(runSeed(t, "stderr", "strace", "setpriv --reuid 65534 --regid 65534 --clear-groups"), "\n")
	if !strings.Contains(found, "(fd 2) a key") {
		t.Errorf("found: %q", found)
	}
}

// TestNoStrace: without strace one line says what helps, and where it is
// required nothing passes.
func TestNoStrace(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ value, want string }{{"", "--- SKIP: TestTraced"}, {"required", "--- FAIL: TestTraced"}} {
		cmd := exec.Command(self, "-test.run=^TestTraced$", "-test.v")
		cmd.Env = append(os.Environ(), "PATH=/nowhere", "BLNKCTL_STRACE="+c.value)
		out, err := cmd.CombinedOutput()
		if (err == nil) == (c.value != "") || !strings.Contains(string(out), c.want) || !strings.Contains(string(out), "apt-get install strace") {
			t.Errorf("%q: %v:\n%s", c.value, err, out)
		}
	}
}
