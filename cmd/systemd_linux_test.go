package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blnkctl/blnkctl/internal/blnktest"
	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

// TestSystemd runs the scripts of testdata/systemd under a real systemd: it
// boots a container of Debian's and runs itself in there again, as root. What
// has the units of scripts beside systemd's is the stand-in for Blnk. Besides
// the commands of the other scripts they have
//
//	layout DIR              make the folder with a blnk.json that has a new key, which
//	                        DIR.key holds too
//	unit NAME FILE          install FILE as the unit or drop-in $N-NAME, with @N@, @BLNK@,
//	                        @PORT@, @WPORT@ and @WORK@ in it replaced
//	eventually COMMAND…     wait until the command ends with 0
//	live KEYFILE            wait until the server at $URL takes the key
//	[!] signed KEYFILE      have the worker at port $WPORT send a webhook, which must
//	                        be signed with the key
//
// and $N, the beginning of all names of units; $PORT and $WPORT, ports for server
// and worker; $URL; $PERSON, a user other than root.
func TestSystemd(t *testing.T) {
	if os.Getenv(insideSystemd) != "" {
		runSystemdScripts(t)
		return
	}
	needs.Systemd().For(t)
	t.Parallel()
	leader := boot(t, needs.SystemdTree())
	// One at a time: a script's daemon-reload is everybody's.
	inside := exec.Command("nsenter", "--target", leader, "--all", "sh", "-c", `cd /blnkctl/cmd && exec env -i "$@"`, "sh",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", insideSystemd+"=1",
		"/blnkctl/bin/cmd.test", "-test.run=^TestSystemd$", "-test.v", "-test.timeout=50m", "-test.parallel=1")
	out, err := inside.CombinedOutput()
	if err != nil || testing.Verbose() {
		t.Logf("in the container:\n%s", out)
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestSystemd")) {
		t.Errorf("scripts under a real systemd: %v", err)
	}
}

// boot starts the container and returns its first process when all of its
// units are up. What it writes goes to memory, and it ends with the test.
func boot(t *testing.T, tree string) (leader string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var console bytes.Buffer
	nspawn := exec.Command("systemd-nspawn", "--boot", "--quiet", "--directory="+tree, "--volatile=overlay", "--register=no", "--keep-unit",
		fmt.Sprintf("--machine=blnkctl-%08x", rand.Uint32()), "--bind-ro="+here+":/blnkctl/cmd", "--bind-ro="+self+":/blnkctl/bin/cmd.test")
	nspawn.Stdout, nspawn.Stderr = &console, &console
	nspawn.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := nspawn.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = nspawn.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		if leader != "" {
			_ = exec.Command("kill", "-KILL", leader).Run() // takes all of the container along
		} else {
			_ = nspawn.Process.Kill()
		}
		<-ended
		if t.Failed() && leader == "" {
			t.Logf("its console:\n%s", console.Bytes())
		}
	})
	children := fmt.Sprintf("/proc/%d/task/%[1]d/children", nspawn.Process.Pid)
	deadline := time.After(5 * time.Minute)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			t.Fatal("the container with systemd did not start")
		case <-deadline:
			t.Fatal("systemd was not up in 5 minutes")
		case <-ticker.C:
		}
		data, _ := os.ReadFile(children) // gone: then it ended
		for _, pid := range strings.Fields(string(data)) {
			state, _ := exec.Command("nsenter", "--target", pid, "--all", "systemctl", "is-system-running").Output()
			if slices.Contains([]string{"running", "degraded"}, strings.TrimSpace(string(state))) {
				return pid
			}
		}
	}
}

func runSystemdScripts(t *testing.T) {
	cmds := withEndCmds(withRotateCmds(scriptCmds()))
	maps.Copy(cmds, map[string]scriptCmd{"layout": cmdLayout, "unit": cmdUnit, "live": cmdLive, "signed": cmdSigned, "eventually": cmdEventually})
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "systemd"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                cmds,
		Setup: func(env *testscript.Env) error {
			return errors.Join(prepareScript(env), prepareUnits(env))
		},
	})
}

// prepareUnits gives a script names and ports of its own, and stops its units
// at its end.
func prepareUnits(env *testscript.Env) error {
	program, err := exec.LookPath("blnk")
	if err != nil {
		return err
	}
	n := fmt.Sprintf("bt%08x-blnk", rand.Uint32())
	for name, value := range map[string]string{"N": n, "BLNK": program, "PERSON": "person"} {
		env.Setenv(name, value)
	}
	for _, name := range []string{"PORT", "WPORT"} {
		port, err := blnktest.FreePort()
		if err != nil {
			return err
		}
		env.Setenv(name, fmt.Sprint(port))
	}
	env.Setenv("URL", "http://127.0.0.1:"+env.Getenv("PORT"))
	env.Defer(func() { _ = exec.Command("systemctl", "stop", n+"*").Run() })
	return nil
}

func cmdUnit(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "unit NAME FILE")
	var pairs []string
	for _, name := range []string{"N", "BLNK", "PORT", "WPORT", "WORK"} {
		pairs = append(pairs, "@"+name+"@", ts.Getenv(name))
	}
	path := filepath.Join("/run/systemd/system", ts.Getenv("N")+"-"+args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(ts.ReadFile(args[1]))), 0o644))
}

func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 0, "eventually COMMAND…")
	until(ts, strings.Join(args, " "), func() error { return ts.Exec(args[0], args[1:]...) })
}

func cmdSigned(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, len(args) == 1, "[!] signed KEYFILE")
	key := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	got := make(chan bool, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		got <- r.Header.Get("X-Blnk-Signature") == blnktest.Sign(key, r.Header.Get("X-Blnk-Timestamp"), body.Bytes())
	}))
	defer receiver.Close()
	send := "http://127.0.0.1:" + ts.Getenv("WPORT") + "/deliver?to=" + url.QueryEscape(receiver.URL)
	until(ts, "the worker", func() error {
		response, err := http.Post(send, "application/json", strings.NewReader(`{"event":"test"}`))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
	if right := <-got; right == neg {
		ts.Fatalf("the webhook is signed with the key in %s: %v", args[0], right)
	}
}
