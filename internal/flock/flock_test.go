package flock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const helperPath = "BLNKCTL_TEST_LOCK"

// TestHelperProcess is no test: with its variable set it is a process that
// locks a path, says so, and holds the lock until its stdin ends.
func TestHelperProcess(t *testing.T) {
	path := os.Getenv(helperPath)
	if path == "" {
		return
	}
	unlock, err := Lock(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString("locked\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	unlock()
}

type helper struct {
	*exec.Cmd
	stdin io.Closer
}

// hold starts a process that holds the lock of path.
func hold(t *testing.T, path string) helper {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperProcess$")
	cmd.Env = append(os.Environ(), helperPath+"="+path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	return helper{cmd, stdin}
}

// paths are what can be locked: a folder, a file, a file not there yet.
func paths(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("content"), 0o640); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"folder": dir, "file": file, "new file": filepath.Join(dir, "new")}
}

func mustLock(t *testing.T, path string, wait time.Duration) (unlock func()) {
	t.Helper()
	unlock, err := Lock(t.Context(), path, wait)
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

func wantHeld(t *testing.T, path string, wait time.Duration) error {
	t.Helper()
	_, err := Lock(t.Context(), path, wait)
	if !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v, want ErrHeld for %s", err, path)
	}
	return err
}

func TestAnotherProcess(t *testing.T) {
	for name, path := range paths(t) {
		t.Run(name, func(t *testing.T) {
			other := hold(t, path)
			for _, wait := range []time.Duration{0, 20 * time.Millisecond} {
				held := wantHeld(t, path, wait)
				if want := fmt.Sprintf("held by PID %d (flock.test", other.Process.Pid); runtime.GOOS == "linux" && !strings.Contains(held.Error(), want) {
					t.Errorf("%v; want %s", held, want)
				}
			}
			// However it ends, its lock ends with it.
			if err := other.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			mustLock(t, path, time.Minute)()
		})
	}
}

func TestWaitUntilGivenBack(t *testing.T) {
	dir := t.TempDir()
	other := hold(t, dir)
	got := make(chan error)
	go func() {
		unlock, err := Lock(t.Context(), dir, time.Minute)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	if err := other.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestContext(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	unlock := mustLock(t, dir, 0)
	got := make(chan error)
	go func() {
		_, err := Lock(ctx, dir, time.Minute)
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("while waiting: %v, want context.Canceled", err)
	}
	unlock()
	if _, err := Lock(ctx, dir, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("before: %v, want context.Canceled", err)
	}
}

// The time is up at the very moment of the next attempt: whoever waited for a
// holder is told of it.
func TestContextEndsAtAnAttempt(t *testing.T) {
	dir := t.TempDir()
	defer mustLock(t, dir, 0)()
	synctest.Test(t, func(t *testing.T) {
		for range 60 {
			ctx, cancel := context.WithTimeout(t.Context(), pollMin)
			_, err := Lock(ctx, dir, time.Minute)
			cancel()
			if !errors.Is(err, ErrHeld) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
		}
	})
}

func TestUnlock(t *testing.T) {
	for name, path := range paths(t) {
		t.Run(name, func(t *testing.T) {
			first := mustLock(t, path, 0)
			_ = wantHeld(t, path, 0) // within one process too
			first()
			second := mustLock(t, path, 0)
			first() // a second call must not give back another's lock
			_ = wantHeld(t, path, 0)
			second()
		})
	}
}

func TestNothingChanges(t *testing.T) {
	all := paths(t)
	mustLock(t, all["folder"], 0)()
	mustLock(t, all["file"], 0)()
	if _, err := os.Stat(all["new file"]); !errors.Is(err, fs.ErrNotExist) {
		t.Error("locking a folder left something in it")
	}
	if text, err := os.ReadFile(all["file"]); string(text) != "content" || err != nil {
		t.Errorf("locking a file changed it: %q, %v", text, err)
	}
	mustLock(t, all["new file"], 0)()
	for path, want := range map[string]fs.FileMode{all["file"]: 0o640, all["new file"]: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

// Who waits for the lock of a file that is replaced meanwhile gets the lock of
// the new one.
func TestReplacedWhileWaiting(t *testing.T) {
	all := paths(t)
	path := all["file"]
	first := mustLock(t, path, 0)
	got := make(chan func())
	go func() {
		unlock, err := Lock(t.Context(), path, time.Minute)
		if err != nil {
			t.Error(err)
		}
		got <- unlock
	}()
	if err := os.WriteFile(all["new file"], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(all["new file"], path); err != nil {
		t.Fatal(err)
	}
	first()
	unlock := <-got
	_ = wantHeld(t, path, 0)
	unlock()
}

func TestLockWhatMovedAway(t *testing.T) {
	all := paths(t)
	path := all["file"]
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if same, err := stillThere(f, path); !same || err != nil {
		t.Errorf("untouched: %v, %v", same, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if same, err := stillThere(f, path); same || err != nil {
		t.Errorf("removed: %v, %v", same, err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if same, err := stillThere(f, path); same || err != nil {
		t.Errorf("replaced: %v, %v", same, err)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, os.DevNull, filepath.Join(dir, "none", "file")} {
		if _, err := Lock(t.Context(), path, 0); err == nil {
			t.Errorf("%s was locked", path)
		}
	}
}
