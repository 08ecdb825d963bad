package cmd_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blnkctl/blnkctl/cmd"
	"github.com/blnkctl/blnkctl/internal/blnktest"
	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

// programs are what a script can run: blnkctl itself, the stand-in for a Blnk
// server, spawn (script_spawn_test.go), strike (script_strike_test.go) and others.
// The test binary is each of them, by its name.
func programs() map[string]func() {
	all := map[string]func(){
		"blnkctl":      func() { os.Exit(cmd.Main()) },
		"blnk-standin": func() { os.Exit(blnktest.Main()) },
		"blnk":         func() { os.Exit(blnktest.Main()) }, // by the name of the real one
		"spawn":        func() { os.Exit(spawn()) },
		"onterminal":   func() { os.Exit(onTerminal()) },
		"tlsfront":     func() { os.Exit(tlsfront()) },
		"strike":       func() { os.Exit(strike()) },
		"fake-systemd": func() { syscall.Exit(fakeSystemd()) },
		"vault-seal":   func() { os.Exit(vaultSeal()) },
		"measured":     func() { os.Exit(measured()) },
		"ci":           func() { os.Exit(ciRunner()) },
		"gh":           func() { os.Exit(fakeGH()) },
		"glab":         func() { os.Exit(fakeGlab()) },
	}
	if os.Getenv(insideSystemd) == "" { // there the real ones are
		// os.Exit would sleep for a second under the race detector, and this is
		// called again and again.
		all["systemctl"] = func() { syscall.Exit(systemctl()) }
		all["journalctl"] = func() { syscall.Exit(journalctl()) }
	}
	for name, run := range all {
		all[name] = func() { noteStart(name); run() }
	}
	maps.Copy(all, scriptPrograms())
	return all
}

func TestMain(m *testing.M) {
	// Who waits for his turn must keep nobody else from it. A -parallel that is
	// given wins.
	if err := flag.Set("test.parallel", strconv.Itoa(cap(scriptTurns)+3*cap(engineTurns))); err != nil {
		panic(err)
	}
	all := programs()
	all[guardName] = func() { os.Exit(guardRun()) }
	testscript.Main(guarded{m}, all)
}

// Scripts wait more than they work, but the Docker engine works: so many at a
// time.
var (
	scriptTurns = make(chan struct{}, 8*runtime.NumCPU())
	engineTurns = make(chan struct{}, 3*runtime.NumCPU())
)

// takeTurn waits for a turn, which lasts until the end of the script.
func takeTurn(env *testscript.Env, turns chan struct{}) {
	turns <- struct{}{}
	env.Defer(func() { <-turns })
}

// TestScripts runs every script of testdata: one behaviour each, which its
// first line names. What they can use besides testscript's own commands stands
// in script_cmds_test.go.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.RunT(scriptT{T: t}, scriptParams(watchScript))
}

// concurrent are the scripts in which blnkctl does several things at once: one for
// each place of the product that begins a goroutine, at least. The race detector is
// for them; in the others it would see what it sees in these.
var concurrent = regexp.MustCompile(`/(api_(answers|interrupted|pages|request|terminal)|colour|doctor_(access|git|logs|schedule)|` +
	`exec_(interrupted|signals|watch\w*)|init_(success|terminal)|notify_\w+|` +
	`rotate_(all|answer_hang|commands|confirm|daemon|overlap|rate_limit|restart_(fails|left)|sampled|signal_\w+|success|two_\w+)|` +
	`schedule_print|signals|status\w*|sync_follow|systemd_restart|targets|verify_(interrupted|servers))\.txt$`)

// scriptFiles are all scripts of testdata, first those that wait long for
// something: so nobody waits for them alone in the end.
func scriptFiles() []string {
	files, _ := filepath.Glob("testdata/*.txt")
	if needs.Raced {
		files = slices.DeleteFunc(files, func(path string) bool { return !concurrent.MatchString(path) })
	}
	long := regexp.MustCompile(`/(systemd_|exec_watch|rotate_kill_|rotate_(server_gone|silent|tls|wait|two_servers)\b)`)
	slices.SortStableFunc(files, func(a, b string) int {
		switch inA, inB := long.MatchString(a), long.MatchString(b); {
		case inA == inB:
			return 0
		case inA:
			return -1
		}
		return 1
	})
	return files
}

// scriptParams is how all scripts run; more prepares each one further.
func scriptParams(more func(*testscript.Env) error) testscript.Params {
	return testscript.Params{
		Files:               scriptFiles(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                withEndCmds(withRotateCmds(scriptCmds())),
		Condition:           scriptCondition,
		Setup: func(env *testscript.Env) error {
			takeTurn(env, scriptTurns)
			if err := prepareScript(env); err != nil {
				return err
			}
			return more(env)
		},
	}
}

// scriptCondition: [root], [git], [strace], [namespaces], and [network], an address of this host
// that is not loopback.
func scriptCondition(cond string) (bool, error) {
	if tool, ok := map[string]needs.Tool{"git": needs.Git(), "strace": needs.Strace(), "namespaces": needs.Namespaces()}[cond]; ok {
		err := tool.Missing()
		if err != nil && tool.Required() {
			return false, err
		}
		return err == nil, nil
	}
	switch cond {
	case "root":
		return os.Geteuid() == 0, nil
	case "network":
		return otherAddress() != "", nil
	}
	return false, errors.New("unknown condition " + cond)
}

// prepareScript gives a script a home and a state folder, both under $WORK,
// and takes care that nothing it started outlives it.
func prepareScript(env *testscript.Env) error {
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("BLNKCTL_STATE_DIR", filepath.Join(env.WorkDir, "state"))
	env.Setenv("RUN", filepath.Join(env.WorkDir, "run"))
	env.Setenv("SHORT", shortTime())
	repository, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	env.Setenv("REPOSITORY", repository)
	env.Setenv(runVariable, os.Getenv(runVariable))
	env.Setenv("TZ", "UTC")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else a second at the end of each process
	for _, dir := range []string{"home", "run"} {
		if err := os.Mkdir(filepath.Join(env.WorkDir, dir), 0o700); err != nil {
			return err
		}
	}
	env.Values[sumsKey{}] = map[string]treeSum{}
	env.Defer(func() { stopStandins(env.WorkDir) })
	return nil
}

// shortTime is $SHORT, for a --timeout that is over soon where nothing comes, and is long
// enough for all that comes, some hundred questions: the longer, the more processes share
// a processor now.
func shortTime() string {
	var average, running float64
	data, _ := os.ReadFile("/proc/loadavg") // proc(5): "0.20 0.18 0.12 1/80 11206"
	_, _ = fmt.Sscanf(string(data), "%g %g %g %g/", &average, new(float64), new(float64), &running)
	return fmt.Sprintf("%.0fms", 4000+500*max(average, running)/float64(runtime.NumCPU()))
}

// stopStandins ends the servers and workers of every folder of a script.
func stopStandins(work string) {
	_ = filepath.WalkDir(work, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() != ".standin" {
			return nil //nolint:nilerr // a folder that a script closed holds none
		}
		_ = blnktest.Down(filepath.Dir(dir), time.Second)
		return filepath.SkipDir
	})
}
