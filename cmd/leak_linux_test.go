package cmd_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// notTraced are the scripts that run under no strace when leaks are searched
// for, because only one can watch a process: each uses strace itself, to hit
// blnkctl at an exact system call. Their second line says so. What they print
// and the files that they leave are searched all the same, by TestScripts.
func notTraced() []string {
	return []string{
		"rotate_disk_file", "rotate_disk_inplace", "rotate_disk_state",
		"rotate_kill_create", "rotate_kill_finish", "rotate_kill_inplace", "rotate_kill_restart",
		"rotate_kill_set", "rotate_kill_stale", "rotate_kill_test", "rotate_kill_undo",
		"rotate_signal_create", "rotate_signal_finish", "rotate_signal_set",
	}
}

const notTracedLine = "# not traced for leaks: it uses strace itself"

// TestLeaks runs every script a second time, with blnkctl and all that it starts
// under strace, and searches for each key that was in a store, in a journal or
// on a command's stdout meanwhile, in every shape of secret.Key.Encodings: in
// the arguments and environments that blnkctl hands on, in whatever it writes, to
// wherever, and in the files left behind. leak_rules_linux_test.go says where a
// key may be: in a script, a file of its own with a key is best called *.key.
func TestLeaks(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("leaks are searched for with strace: %v (Debian: apt-get install strace)", err)
	}
	t.Parallel()
	params := scriptParams(func(env *testscript.Env) error { return watchLeaks(env, "strace", realBlnkctl(t)) })
	all, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if marked, err := isMarked(file); err != nil {
			t.Fatal(err)
		} else if !marked {
			params.Files = append(params.Files, file)
		}
	}
	params.Dir = ""
	testscript.RunT(scriptT{T: t}, params)
}

// TestNotTraced holds the list against the scripts.
func TestNotTraced(t *testing.T) {
	all, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var marked, users []string
	for _, file := range all {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if yes, err := isMarked(file); err != nil {
			t.Fatal(err)
		} else if yes {
			marked = append(marked, name)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "strike ") {
			users = append(users, name)
		}
	}
	if want := notTraced(); !slices.Equal(marked, want) || !slices.Equal(users, want) {
		t.Errorf("marked as not traced: %v\nwant: %v\nscripts that use strace: %v", marked, want, users)
	}
}

func isMarked(file string) (bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	_ = lines.Scan() // the first line says what the script shows
	return lines.Scan() && lines.Text() == notTracedLine, lines.Err()
}

func realBlnkctl(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("blnkctl")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// watchLeaks puts a blnkctl of its own before the script's, and searches when
// the script is over. In the mode "note" it only learns the keys on the way.
func watchLeaks(env *testscript.Env, mode, program string) error {
	t := env.T().(scriptT)
	folder, self, err := leakFolder(t.T)
	if err != nil {
		return err
	}
	name := filepath.Base(program)
	if err := os.Link(program, filepath.Join(folder, name)); err != nil {
		return err
	}
	path := env.Getenv("PATH")
	text := wrapper(self, folder, env.WorkDir, mode, filepath.Join(folder, name))
	if err := writeProgram(filepath.Join(folder, "bin", "blnkctl"), text); err != nil {
		return err
	}
	if mode != "strace" {
		if err := noteStrikes(env, folder, self); err != nil {
			return err
		}
	}
	env.Setenv("PATH", filepath.Join(folder, "bin")+":"+path)
	if mode != "strace" {
		*t.folder = folder // what others print is not ours, and strace tells them apart
	}
	env.Defer(func() {
		if t.Failed() {
			return
		}
		stopStandins(env.WorkDir, path)
		err := errors.Join(tracesDone(folder), noteKeys(folder, env.WorkDir))
		if err != nil {
			t.T.Error(err)
			return
		}
		for _, leak := range findLeaks(folder, env.WorkDir, name) {
			t.leak(leak)
		}
	})
	return nil
}

// noteStrikes notes the keys when a strike begins, and not when blnkctl does:
// strike has to execute that itself.
func noteStrikes(env *testscript.Env, folder, self string) error {
	strike, err := exec.LookPath("strike")
	if err != nil {
		return err
	}
	text := wrapper(self, folder, env.WorkDir, "note", strike)
	text = strings.Replace(text, "exec ", "PATH='"+env.Getenv("PATH")+"' exec ", 1)
	return writeProgram(filepath.Join(folder, "bin", "strike"), text)
}

// writeProgram writes a script that is to be executed. A process that another
// test starts meanwhile would have the file open for writing until it executes
// its own program, and the kernel executes no such file ("text file busy").
func writeProgram(path, text string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte(text), 0o755)
}

// leakFolder makes a folder that every user of a script can write to, with the
// programs in it: where testscript has them nobody else may go.
func leakFolder(t *testing.T) (folder, self string, err error) {
	program, err := exec.LookPath("traced")
	if err != nil {
		return "", "", err
	}
	folder = t.TempDir()
	self = filepath.Join(folder, "traced")
	err = errors.Join(os.Mkdir(filepath.Join(folder, "bin"), 0o755), os.Link(program, self),
		os.Chmod(folder, 0o777), os.Chmod(filepath.Dir(folder), 0o755)) //nolint:gosec // see above
	for _, name := range []string{"keys", "lock"} {
		path := filepath.Join(folder, name)
		err = errors.Join(err, os.WriteFile(path, nil, 0o666), os.Chmod(path, 0o666)) //nolint:gosec // see above
	}
	return folder, self, err
}

// tracesDone returns when no strace is at work any more. What a script has left
// running by then is ended.
func tracesDone(folder string) error {
	fd, err := openLock(folder)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return poll(func() (bool, error) {
		err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return true, err
		}
		for _, pid := range leftTracees(folder) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return false, nil
	})
}

// scriptPrograms are the programs of scripts that only Linux has.
func scriptPrograms() map[string]func() {
	return map[string]func(){
		"traced": func() { os.Exit(traced()) },
		"leaker": func() { os.Exit(leaker()) },
	}
}

// watchNotTraced is how TestScripts searches what the scripts leave that run
// under no strace of ours.
func watchNotTraced(env *testscript.Env) error {
	name := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
	if !slices.Contains(notTraced(), name) {
		return nil
	}
	program, err := exec.LookPath("blnkctl")
	if err != nil {
		return err
	}
	return watchLeaks(env, "note", program)
}

// watchContainers searches what scripts with containers show and leave. strace
// looks into one of each kind too: it makes those that blnkctl starts slow.
func watchContainers(env *testscript.Env) error {
	program, err := exec.LookPath("blnkctl")
	if err != nil {
		return err
	}
	mode := "note"
	if name := filepath.Base(env.WorkDir); name == "script-docker_restart" || name == "script-compose_both" && env.Getenv("V") == "2" {
		mode = "strace"
	}
	return watchLeaks(env, mode, program)
}
