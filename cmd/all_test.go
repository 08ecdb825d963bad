package cmd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/internal/blnktest"
)

// A hall is many Blnk servers in this process. One reads its blnk.json again when a
// request finds that the file of a restart is there.
type hall struct {
	dir  string
	lost map[string]bool // these have a key of their own once they were restarted
}

func newHall(t *testing.T, servers int, lost ...string) *hall {
	h := &hall{dir: t.TempDir(), lost: map[string]bool{}}
	for _, name := range lost {
		h.lost[name] = true
	}
	file := "policy: {max_age: 90d}\ntargets:\n"
	for i := range servers {
		name := fmt.Sprintf("t%02d", i)
		dir := filepath.Join(h.dir, name)
		server := httptest.NewServer(h.serve(t, name))
		t.Cleanup(server.Close)
		at, _ := url.Parse(server.URL)
		config := blnktest.Config{Server: blnktest.ServerConfig{Secure: true, SecretKey: fmt.Sprintf("Kx7pQ2mXv%02dB1nR5tY9cL3hD6jS0gAw4fW8kZ", i), Port: at.Port()}}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := config.Write(dir); err != nil {
			t.Fatal(err)
		}
		file += fmt.Sprintf("  %s: {stores: 'blnkjson:%s/blnk.json', restart: 'sh:touch %s/restarted'}\n", name, name, name)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "blnkctl.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hall) serve(t *testing.T, name string) http.HandlerFunc {
	dir := filepath.Join(h.dir, name)
	var mu sync.Mutex
	var now *blnktest.Server
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		again := os.Remove(filepath.Join(dir, "restarted")) == nil
		if now == nil || again {
			config, err := blnktest.Load(dir, func(string) (string, bool) { return "", false })
			if err != nil {
				t.Error(err)
			}
			if again && h.lost[name] {
				config.Server.SecretKey = "Zq4Vn8sKd1Lw6Tb3Xy7Rf2Hc9Mj5Pg0Ae"
			}
			now = blnktest.NewServer(config, nil, blnktest.Options{})
		}
		server := now
		mu.Unlock()
		server.ServeHTTP(w, r)
	}
}

// rotateAll is a run in a process of its own: the rows of its summary, its exit status,
// and its largest resident set.
func (h *hall) rotateAll(t *testing.T, args ...string) (rows []map[string]any, exit int, rss int64) {
	t.Helper()
	var out, talk bytes.Buffer
	cmd := exec.Command("measured", append([]string{"blnkctl", "rotate", "--all", "-o", "json", "--state-dir", "state"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, &out, &talk
	_ = cmd.Run() // its status is looked at
	size, err := os.ReadFile(filepath.Join(h.dir, "measured"))
	if err == nil {
		_, err = fmt.Sscan(string(size), &rss)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, talk.String())
	}
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), talk.String())
	}
	if strings.Count(out.String(), "blnk_sk_")+strings.Count(talk.String(), "blnk_sk_") > 0 {
		t.Error("a key was printed")
	}
	return rows, cmd.ProcessState.ExitCode(), rss
}

// measured runs a program, and writes its largest resident set into a file. The kernel
// counts what a process was before it ran its program, so a large one cannot tell it of
// its child: this one is small.
func measured() int {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	_ = cmd.Run()
	size := fmt.Sprint(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	if err := os.WriteFile("measured", []byte(size), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return cmd.ProcessState.ExitCode()
}

// Fifty targets, eight at once: one summary; one that is stuck is the worst, and hides
// behind nobody; memory does not grow with the number of targets.
func TestAllOfFifty(t *testing.T) {
	t.Parallel()
	rss := map[int]int64{}
	for _, n := range []int{8, 50} {
		h := newHall(t, n, "t07")
		rows, exit, most := h.rotateAll(t, "--parallel", "8", "--lock-timeout", "5m")
		rss[n] = most
		results := map[any]int{}
		for i, row := range rows {
			results[row["result"]]++
			if want := fmt.Sprintf("t%02d", i); row["target"] != want || (row["exit_code"] != 0.0) != (want == "t07") {
				t.Errorf("%s: %v", want, row)
			}
		}
		if exit != 4 || len(rows) != n || results["rotated"] != n-1 || results["stuck"] != 1 {
			t.Errorf("exit status %d, %d rows, %v", exit, len(rows), results)
		}
	}
	t.Logf("largest resident sets: %v", rss)
	if rss[50] > rss[8]*3/2 {
		t.Errorf("memory grows with the targets: %v", rss)
	}
}
