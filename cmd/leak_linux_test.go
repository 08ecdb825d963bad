package cmd_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

// In every script each key that was in a store, in a journal or on a command's
// stdout meanwhile is searched for, in every shape of secret.Key.Encodings: in
// what blnkctl prints, in the files left behind, and in the arguments and the
// environment of the programs of ours that it starts. leak_rules_linux_test.go
// says where a key may be: in a script, a file of its own with a key is best
// called *.key.
//
// tracedScripts run under strace besides, one for each path that a key takes:
// there the search is in everything that blnkctl hands on to any program, and in
// whatever it writes, to wherever. None of them may strike, which takes strace too.
func tracedScripts() map[string]string {
	return map[string]string{
		"doctor_git":           "printed by git into a pipe, and asked for at a server",
		"keygen_print":         "made, to stdout",
		"keygen_store":         "made, into a file",
		"keygen_force":         "made, into several files, over an old one",
		"exec_env":             "from a file into a variable of a command",
		"exec_watch":           "the same, again and again",
		"exec_other_user":      "the same, read by another user",
		"api_request":          "from a store, a file or stdin to a server",
		"verify_key_input":     "from a file or stdin to a server",
		"verify_prompt":        "from a terminal to a server",
		"verify_answers":       "to a server that answers anything",
		"rotate_success":       "blnk.json, journal, server",
		"rotate_dotenv":        "an env file, there and back",
		"rotate_commands":      "commands of blnkctl.yaml, through pipes",
		"rotate_restart_fails": "printed by a restart command",
		"rotate_environment":   "the variables of the caller",
		"rotate_tls":           "https",
		"notify_rotate":        "beside notices, to others",
		"notify_hooks":         "beside hooks",
		"rotate_confirm":       "a plan on a terminal",
		"rotate_open":          "from the journal into files again",
		"rotate_two_servers":   "several servers, there and back",
		"rotate_vault":         "Vault",
		"init_success":         "made into a stock blnk.json, with a token, and proved",
		"init_stage":           "put back out of a file",
		"init_env":             "an env file, there and back to none",
		"init_key":             "given by a file or stdin",
		"rollback":             "kept by a rotation, and brought back",
		"retire":               "kept, and destroyed",
		"rollback_vault":       "from an old version of Vault",
		"sync_follow":          "from one store into others",
		"audit_log":            "records",
		"status_metrics":       "from stores to a server, beside a file that everybody may read",
		"systemd_fails":        "printed by a unit",
	}
}

// TestTraced stands for the scripts that are not searched to their depths where
// there is no strace.
func TestTraced(t *testing.T) {
	for name := range tracedScripts() {
		files, err := filepath.Glob("testdata/" + name + ".txt")
		more, _ := filepath.Glob("testdata/*/" + name + ".txt")
		if files = append(files, more...); err != nil || len(files) != 1 {
			t.Fatalf("%s: no such script, or several: %v", name, err)
		}
		if data, err := os.ReadFile(files[0]); err != nil || strings.Contains(string(data), "strike ") {
			t.Errorf("%s cannot be traced: %v", name, err)
		}
	}
	needs.Strace().For(t)
}

// watchScript searches a script of testdata.
func watchScript(env *testscript.Env) error {
	name, mode := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-"), "note"
	if tracedScripts()[name] != "" && !needs.Raced && needs.Strace().Missing() == nil {
		mode = "strace"
	}
	return watchLeaks(env, mode, "blnkctl")
}

// watchContainers searches a script with containers. strace makes those that
// blnkctl starts slow, so it looks into one of each kind.
func watchContainers(env *testscript.Env) error {
	mode, name := "note", filepath.Base(env.WorkDir)
	both := name == "script-compose_both" && env.Getenv("DOCKER_CONFIG") == needs.ComposeConfig("") // a key goes the same way with each
	if (name == "script-docker_restart" || both) && needs.Strace().Missing() == nil {
		mode = "strace"
	}
	return watchLeaks(env, mode, "blnkctl")
}

// watchLeaks gives a script programs of its own that note the keys on the way
// (noteStart), and searches when it is over. In the mode "strace" the program of
// that name runs under it.
func watchLeaks(env *testscript.Env, mode, name string) error {
	t := env.T().(scriptT)
	folder, err := leakFolder(t.T, env.WorkDir)
	if err != nil {
		return err
	}
	bin := filepath.Join(folder, "bin")
	if mode == "strace" {
		// Not in bin, where a program notes for itself.
		program := filepath.Join(folder, name)
		if err := os.Rename(filepath.Join(bin, name), program); err != nil {
			return err
		}
		text := fmt.Sprintf("#!/bin/sh\nexec '%s/traced' '%s' '%s' '%s' \"$@\"\n", bin, folder, env.WorkDir, program)
		if err := writeProgram(filepath.Join(bin, name), text); err != nil {
			return err
		}
	} else {
		*t.folder = folder // what others print is not ours, and strace tells them apart
	}
	env.Setenv("PATH", bin+":"+env.Getenv("PATH"))
	env.Defer(func() {
		if t.Failed() {
			return
		}
		stopStandins(env.WorkDir)
		if err := errors.Join(tracesDone(folder), noteKeys(folder, env.WorkDir)); err != nil {
			t.T.Error(err)
			return
		}
		for _, leak := range findLeaks(folder, env.WorkDir, name) {
			t.leak(leak)
		}
	})
	return nil
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
func leakFolder(t *testing.T, work string) (string, error) {
	self, err := exec.LookPath("blnkctl") // on the disk of the folder, which links need
	if err != nil {
		return "", err
	}
	folder := t.TempDir()
	err = errors.Join(os.Mkdir(filepath.Join(folder, "bin"), 0o755),
		os.Chmod(folder, 0o777), os.Chmod(filepath.Dir(folder), 0o755), //nolint:gosec // see above
		os.WriteFile(filepath.Join(folder, "work"), []byte(work), 0o644)) //nolint:gosec // see above
	for name := range programs() {
		err = errors.Join(err, os.Link(self, filepath.Join(folder, "bin", name)))
	}
	for _, name := range []string{"keys", "lock"} {
		path := filepath.Join(folder, name)
		err = errors.Join(err, os.WriteFile(path, nil, 0o666), os.Chmod(path, 0o666)) //nolint:gosec // see above
	}
	return folder, err
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
		"docs-page": func() { os.Exit(docsHost()) },
		"traced":    func() { os.Exit(traced()) },
		"leaker":    func() { noteStart("leaker"); os.Exit(leaker()) },
	}
}
