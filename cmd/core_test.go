package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestNoCoreFile aborts a blnkctl that could hold a key, where the system would
// dump any other process.
func TestNoCoreFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if !aborted(t, dir, fifo, "cat", fifo).CoreDump() {
		t.Skip("this machine makes no core files")
	}
	if aborted(t, dir, fifo, "blnkctl", "verify", "--key-file", fifo, "--server", "http://127.0.0.1:9").CoreDump() {
		t.Error("blnkctl was dumped")
	}
	// What it becomes is as it would be without it.
	key := filepath.Join(dir, "key.json")
	if err := os.WriteFile(key, []byte(`{"server": {"secret_key": "1mQ8xT2vLr5ZkY0bNc7WdJ4hSg9PfE3uAqXoR6iVtKz"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if !aborted(t, dir, fifo, "blnkctl", "exec", "--store", "blnkjson:"+key, "--", "cat", fifo).CoreDump() {
		t.Error("the command of exec was not dumped")
	}
}

// aborted starts a program that reads from the FIFO, and aborts it as soon as
// it does.
func aborted(t *testing.T, dir, fifo string, args ...string) syscall.WaitStatus {
	t.Helper()
	child := exec.Command("sh", append([]string{"-c", `ulimit -c unlimited; exec "$@"`, "sh"}, args...)...)
	child.Dir = dir
	// Without this the Go runtime ends on SIGABRT by itself, with status 2.
	child.Env = append(os.Environ(), "GOTRACEBACK=crash")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the reader
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := child.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	status := child.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGABRT {
		t.Fatalf("%s: ended with %v, want SIGABRT", args[0], child.ProcessState)
	}
	return status
}
