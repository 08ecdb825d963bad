package state_test

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
	"strings"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/state"
)

// childVar makes the test binary do one of the errands below instead of its
// tests: crashes, locks and other users need real processes.
const childVar = "STATE_TEST_CHILD"

func TestMain(m *testing.M) {
	errand, ok := os.LookupEnv(childVar)
	if !ok {
		os.Exit(m.Run())
	}
	run := map[string]func(dir string) error{
		"save": saveForEver, "lock": lockForEver, "open": openAll, "default": printDefault,
	}[errand]
	if err := run(os.Args[1]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// saveForEver replaces the journal again and again, and says when one is
// saved.
func saveForEver(dir string) error {
	target, err := open(dir)
	for i := 0; err == nil; i++ {
		if err = target.SaveJournal(body(i)); err == nil {
			fmt.Println(i)
		}
	}
	return err
}

// body is a journal that takes several pages, to be torn if that were possible.
func body(i int) []byte { return fmt.Append(nil, strings.Repeat(fmt.Sprintf("line %d\n", i), 2000)) }

func lockForEver(dir string) error {
	target, err := open(dir)
	if err != nil {
		return err
	}
	if _, err := target.Lock(context.Background(), 0); err != nil {
		return err
	}
	fmt.Println("locked")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// openAll tries what another user would.
func openAll(dir string) error {
	d, err := state.Open(dir)
	fmt.Printf("open: %s\n", kind(err))
	if err != nil {
		return nil
	}
	fmt.Printf("check: %s\n", kind(d.Target("a").Check()))
	fmt.Printf("check file: %s\n", kind(d.CheckFile("audit.log")))
	fmt.Printf("make: %s\n", kind(d.Make()))
	fmt.Printf("save: %s\n", kind(d.Target("a").SaveJournal([]byte("x"))))
	return nil
}

func printDefault(home string) error {
	dir, err := state.DefaultDir(func(name string) string { return map[string]string{"HOME": home}[name] }, 1000)
	fmt.Println(dir)
	return err
}

func kind(err error) string {
	for name, target := range map[string]error{
		"permission": fs.ErrPermission, "unsafe": state.ErrUnsafe, "read-only": syscall.EROFS, "full": syscall.ENOSPC,
	} {
		if errors.Is(err, target) {
			return name
		}
	}
	return fmt.Sprint(err)
}

func open(dir string) (*state.Target, error) {
	d, err := state.Open(dir)
	if err != nil {
		return nil, err
	}
	return d.Target("blnkjson:/etc/blnk.json#server.secret_key"), nil
}

// child is this binary on an errand. /proc/self/exe would be gone on other
// systems; the path may be closed to other users on this one.
func child(t *testing.T, errand, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, dir)
	cmd.Env = append(os.Environ(), childVar+"="+errand)
	return cmd
}

// start runs the errand until the test ends, and returns what it prints, line
// by line.
func start(t *testing.T, errand, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := child(t, errand, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// An open stdin keeps it waiting, and ends with us.
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// newTarget is a target in a state folder that does not exist yet.
func newTarget(t *testing.T) (dir string, target *state.Target) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "a", "state")
	target, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, target
}

// tree lists what is below dir: name, mode, size and time of everything.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
