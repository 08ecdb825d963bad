package cmd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blnkctl/blnkctl/internal/blnktest"
	"github.com/blnkctl/blnkctl/keygen"
)

type scriptCmd = func(ts *testscript.TestScript, neg bool, args []string)

// scriptCmds are the commands of scripts besides testscript's own:
//
//	serve VAR DIR [INITFLAG...] [-- UPARG...]
//	                            make the folder, with a blnk.json that has a new
//	                            key (kept in DIR.key; one that is there is used),
//	                            start the stand-in's server and worker in it, and
//	                            set VAR to its address
//	exits CODE PROGRAM ARG...   run PROGRAM, which must end with exactly CODE;
//	                            stdout and stderr look at what it printed
//	exec spawn NAME PROGRAM ARG... &
//	                            run it beside the script; its output grows in
//	                            $RUN/NAME.out and $RUN/NAME.err
//	signal NAME SIG [SIG...]    signal what spawn runs: INT, TERM, HUP, KILL,
//	                            STOP (which it waits for), CONT, PIPE
//	insist NAME SIG             signal it again and again until it ends
//	[!] ended NAME CODE         wait for its end and compare the exit status; with
//	                            !, it must still run
//	waitfor file PATH           wait until something is there,
//	waitfor gone PATH           or no longer,
//	waitfor text PATH REGEXP    or a file has the text,
//	waitfor port PORT           or somebody listens on the port of 127.0.0.1,
//	waitfor closed PORT         or nobody does,
//	waitfor dead PIDFILE        or the process whose number is in a file has ended
//	treesum NAME PATH...        remember what the trees at PATH are like;
//	treesame NAME               fail where they are not exactly the same now,
//	treesame -content NAME      or have other content, modes or owners
//	json VAR FILE PATH          set VAR to a value of a JSON file ("stdout" is the
//	                            last output), as server.secret_key or keys.0.from
//	oracle URL KEYFILE STATUS   GET /hooks with the key in the file must answer so
//	mode PATH OCTAL             the permissions must be these
//	hint CODE REGEXP [WORD...]  type what the last hint says (script_hint_test.go)
func scriptCmds() map[string]scriptCmd {
	return map[string]scriptCmd{
		"serve":    cmdServe,
		"exits":    cmdExits,
		"signal":   cmdSignal,
		"insist":   cmdInsist,
		"ended":    cmdEnded,
		"waitfor":  cmdWaitfor,
		"treesum":  cmdTreesum,
		"treesame": cmdTreesame,
		"json":     cmdJSON,
		"oracle":   cmdOracle,
		"mode":     cmdMode,
		"hint":     cmdHint,
		"receiver": cmdReceiver,
	}
}

// need fails a script whose command was called in the wrong way.
func need(ts *testscript.TestScript, ok bool, use string) {
	if !ok {
		ts.Fatalf("usage: %s", use)
	}
}

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 1, "serve VAR DIR [INITFLAG...] [-- UPARG...]")
	name, dir, init := args[0], ts.MkAbs(args[1]), args[2:]
	var up []string
	if i := slices.Index(init, "--"); i >= 0 {
		init, up = init[:i], init[i+1:]
	}
	ts.Check(os.MkdirAll(dir, 0o700))
	if keyFile := dir + ".key"; exists(keyFile) != nil {
		key, err := keygen.Generate(keygen.Prefixed, keygen.DefaultBits)
		ts.Check(err)
		ts.Check(os.WriteFile(keyFile, []byte(key.Reveal()+"\n"), 0o600))
	}
	key := strings.TrimSuffix(ts.ReadFile(dir+".key"), "\n")
	ts.Check(blnktest.Init(append([]string{"--dir", dir}, init...), key))
	ts.Check(ts.Exec("blnk-standin", append([]string{"up", "--dir", dir}, up...)...))
	ts.Setenv(name, standinURL(ts, dir))
}

// standinURL asks in this process, but where the script keeps the stand-in's
// state elsewhere.
func standinURL(ts *testscript.TestScript, dir string) string {
	if ts.Getenv("STANDIN_STATE") != "" {
		ts.Check(ts.Exec("blnk-standin", "url", "--dir", dir))
		return strings.TrimSpace(ts.ReadFile("stdout"))
	}
	url, err := blnktest.URL(dir)
	ts.Check(err)
	return url
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 1, "exits CODE PROGRAM ARG...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
			got = 128 + int(status.Signal())
		}
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
	if said := ts.ReadFile("stderr"); got != 0 && strings.Contains(said, "hint:") {
		ts.Setenv("HINTED", said)
	}
}

// patience is far more than anything takes that a script waits for, however busy
// the machine is.
const patience = 3 * time.Minute

// until asks again and again until the answer is nil.
func until(ts *testscript.TestScript, what string, ask func() error) {
	deadline := time.Now().Add(patience)
	err := poll(func() (bool, error) {
		err := ask()
		if err != nil && time.Now().After(deadline) {
			return false, fmt.Errorf("waited %s for %s: %w", patience, what, err)
		}
		return err == nil, nil
	})
	if err != nil {
		ts.Fatalf("%v", err)
	}
}

func exists(path string) error {
	_, err := os.Lstat(path)
	return err
}

// spawned reads a number that spawn left.
func spawned(ts *testscript.TestScript, name, ext string) int {
	path := filepath.Join(ts.Getenv("RUN"), name+ext)
	until(ts, path, func() error { return exists(path) })
	n, err := strconv.Atoi(ts.ReadFile(path))
	ts.Check(err)
	return n
}

func signalOf(ts *testscript.TestScript, name string) syscall.Signal {
	known := map[string]syscall.Signal{
		"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL,
		"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT, "PIPE": syscall.SIGPIPE,
	}
	s, ok := known[name]
	if !ok {
		ts.Fatalf("unknown signal %s", name)
	}
	return s
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 1, "signal NAME SIG [SIG...]")
	pid := spawned(ts, args[0], ".pid")
	for _, name := range args[1:] {
		ts.Check(syscall.Kill(pid, signalOf(ts, name)))
		if name == "STOP" {
			until(ts, args[0]+" to stop", func() error { return inState(pid, "T") })
		}
	}
}

// inState is nil where the process is in such a state, or gone where that is Z.
func inState(pid int, state string) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil && state == "Z" && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return nil
	}
	if err == nil && !strings.Contains(string(status), "\nState:\t"+state) {
		err = errors.New("not yet")
	}
	return err
}

func cmdInsist(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "insist NAME SIG")
	pid, s := spawned(ts, args[0], ".pid"), signalOf(ts, args[1])
	done := filepath.Join(ts.Getenv("RUN"), args[0]+".exit")
	until(ts, done, func() error {
		err := exists(done)
		if err != nil {
			_ = syscall.Kill(pid, s)
		}
		return err
	})
}

func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		need(ts, len(args) == 1, "! ended NAME")
		if exists(filepath.Join(ts.Getenv("RUN"), args[0]+".exit")) == nil {
			ts.Fatalf("%s has ended with %d", args[0], spawned(ts, args[0], ".exit"))
		}
		return
	}
	need(ts, len(args) == 2, "ended NAME CODE")
	got := spawned(ts, args[0], ".exit")
	if want, err := strconv.Atoi(args[1]); err != nil || got != want {
		for _, ext := range []string{".out", ".err"} {
			ts.Logf("[%s%s]\n%s", args[0], ext, ts.ReadFile(filepath.Join(ts.Getenv("RUN"), args[0]+ext)))
		}
		ts.Fatalf("%s: exit status %d, want %s", args[0], got, args[1])
	}
}

func cmdWaitfor(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) >= 2, "waitfor file|gone|text|port|closed|dead WHAT [REGEXP]")
	kind, what := args[0], args[1]
	if kind == "port" || kind == "closed" {
		until(ts, kind+" "+what, func() error {
			conn, err := net.Dial("tcp", "127.0.0.1:"+what)
			if err == nil {
				_ = conn.Close()
			}
			if kind == "closed" {
				if err == nil {
					return errors.New("somebody listens")
				}
				return nil
			}
			return err
		})
		return
	}
	path := ts.MkAbs(what)
	switch kind {
	case "file":
		until(ts, path, func() error { return exists(path) })
	case "gone":
		until(ts, "the end of "+path, func() error {
			if err := exists(path); !errors.Is(err, fs.ErrNotExist) {
				return errors.New("still there")
			}
			return nil
		})
	case "dead":
		pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(path)))
		ts.Check(err)
		until(ts, "the end of the process in "+path, func() error { return inState(pid, "Z") })
	case "text":
		need(ts, len(args) == 3, "waitfor text PATH REGEXP")
		pattern, err := regexp.Compile("(?m)" + args[2])
		ts.Check(err)
		until(ts, path, func() error {
			data, err := os.ReadFile(path)
			if err == nil && !pattern.Match(data) {
				err = fmt.Errorf("no match for %s in:\n%s", pattern, data)
			}
			return err
		})
	default:
		ts.Fatalf("waitfor: unknown kind %s", kind)
	}
}

func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 3, "json VAR FILE PATH")
	var value any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[1])), &value); err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	for _, name := range strings.Split(args[2], ".") {
		switch v := value.(type) {
		case map[string]any:
			found, ok := v[name]
			if !ok {
				ts.Fatalf("%s: no %s", args[1], args[2])
			}
			value = found
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				ts.Fatalf("%s: no %s", args[1], args[2])
			}
			value = v[i]
		default:
			ts.Fatalf("%s: no %s", args[1], args[2])
		}
	}
	if text, ok := value.(string); ok {
		ts.Setenv(args[0], text)
		return
	}
	text, err := json.Marshal(value)
	ts.Check(err)
	ts.Setenv(args[0], string(text))
}

func cmdOracle(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 3, "oracle URL KEYFILE STATUS")
	request, err := http.NewRequest(http.MethodGet, args[0]+"/hooks", http.NoBody)
	ts.Check(err)
	request.Close = true
	request.Header.Set("X-Blnk-Key", strings.TrimSuffix(ts.ReadFile(args[1]), "\n"))
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if got := strconv.Itoa(response.StatusCode); got != args[2] {
		ts.Fatalf("%s: status %s, want %s: %s", args[0], got, args[2], body)
	}
}

func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "mode PATH OCTAL")
	info, err := os.Lstat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s: mode %s, want %s", args[0], got, args[1])
	}
}
