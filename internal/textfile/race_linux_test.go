package textfile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
)

// swapVariable makes this test binary the attacker of TestOwnerOfFolder: it
// swaps names below the folder that the variable names until it is killed.
const swapVariable = "TEXTFILE_TEST_SWAP"

func TestMain(m *testing.M) {
	if top := os.Getenv(swapVariable); top != "" {
		swap(top)
	}
	os.Exit(m.Run())
}

func swap(top string) {
	dir, trap := filepath.Join(top, "dir"), filepath.Join(top, "..", "trap")
	temp, kept := atomicfile.TempName(filepath.Join(dir, "f")), filepath.Join(top, "kept")
	for {
		// A file with a list that would let the attacker in.
		next := filepath.Join(dir, "next")
		_ = os.WriteFile(next, []byte("old"), 0o666)
		_ = syscall.Setxattr(next, "system.posix_acl_access", acl(6), 0)
		_ = os.Rename(next, filepath.Join(dir, "f"))
		for end := time.Now().Add(10 * time.Millisecond); time.Now().Before(end); {
			// The temporary file becomes a link as soon as it is there.
			if os.Remove(temp) == nil {
				_ = os.Symlink(filepath.Join(trap, "f"), temp)
			}
		}
		if os.Rename(dir, kept) == nil {
			_ = os.Symlink(trap, dir)
			_ = os.Remove(dir)
			_ = os.Rename(kept, dir)
		}
	}
}

// Whoever owns the folder of a file that root writes gets root to write, chmod,
// chown or give attributes to nothing else, however he swaps links in.
func TestOwnerOfFolder(t *testing.T) {
	needRoot(t)
	base := openFolder(t, 0o755)
	top, trap := filepath.Join(base, "top"), filepath.Join(base, "trap")
	dir, precious := filepath.Join(top, "dir"), filepath.Join(trap, "f")
	for _, d := range []string{top, trap, dir} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "f")
	writeFile(t, precious, "precious", 0o600)
	for _, name := range []string{top, dir} {
		if err := os.Chown(name, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Lstat(precious)
	if err != nil {
		t.Fatal(err)
	}
	attacker := exec.Command("/proc/self/exe")
	// The binary may lie where only root can reach it.
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	attacker.Path = filepath.Join(base, "attacker")
	if err := errors.Join(os.WriteFile(attacker.Path, self, 0o755), os.Chmod(attacker.Path, 0o755)); err != nil {
		t.Fatal(err)
	}
	attacker.Env = []string{swapVariable + "=" + top}
	attacker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	if err := attacker.Start(); err != nil {
		t.Fatal(err)
	}
	wrote, set := 0, 0
	f := newFile(t, path)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		_ = f.Repair()
		old, err := f.Read()
		if err != nil {
			continue // the folder is away
		}
		if f.Write(old, fmt.Appendf(nil, "next %d", wrote)) == nil {
			wrote++
		}
		_ = newFile(t, filepath.Join(dir, "g")).Write(nil, []byte("created"))
		if perm, err := f.Perm(); err == nil && f.SetPerm(perm, Perm{perm.UID, nobody, 0o640, perm.ACL}) == nil {
			set++
		}
	}
	_ = attacker.Process.Kill()
	_ = attacker.Wait()
	t.Logf("%d writes, %d modes", wrote, set)

	after, err := os.Lstat(precious)
	if err != nil {
		t.Fatal(err)
	}
	// The time of the last change among it: no attribute, mode or owner was touched.
	if !reflect.DeepEqual(statOf(before).Ctim, statOf(after).Ctim) || !os.SameFile(before, after) || after.Mode() != before.Mode() {
		t.Errorf("the file of root was changed: %v, was %v", after.Mode(), before.Mode())
	}
	wantText(t, precious, "precious")
	wantFolder(t, trap, "f")
}

// An edit by somebody without the lock is kept, whenever it comes: also in the
// instant of the rename.
func TestEditIsKept(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		mount(t, "tmpfs", dir, "tmpfs", 0, "")
	}
	path := filepath.Join(dir, "f")
	writeFile(t, path, "key=0 edit=0", 0o600)
	f := newFile(t, path)
	refused := 0
	for i := 1; i <= 2000; i++ {
		old, err := f.Read()
		if err != nil {
			t.Fatal(err)
		}
		key, _, _ := strings.Cut(string(old), " ")
		edited := make(chan error)
		go func() {
			for wait := rand.N(60_000); wait > 0; wait-- {
			}
			if err := os.WriteFile(path+".theirs", fmt.Appendf(nil, "%s edit=%d", key, i), 0o600); err != nil {
				edited <- err
				return
			}
			edited <- os.Rename(path+".theirs", path)
		}()
		err = f.Write(old, fmt.Appendf(nil, "key=%d edit=%d", i, i-1))
		if err := <-edited; err != nil {
			t.Fatal(err)
		}
		if errors.Is(err, ErrChanged) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
		if now, _ := os.ReadFile(path); !strings.HasSuffix(string(now), fmt.Sprintf(" edit=%d", i)) {
			t.Fatalf("round %d, %v: the edit is lost: %s", i, err, now)
		}
	}
	t.Logf("%d of 2000 writes met an edit", refused)
	wantFolder(t, dir, "f")
}
