package textfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/internal/hint"
)

const nobody = 65534

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts, other users")
	}
}

// mount mounts for the time of the test.
func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	needs.Namespaces().For(t)
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		t.Fatalf("mount %s at %s: %v", source, target, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", target, err)
		}
	})
}

// asNobody runs do on a thread of its own that has become another user: on
// Linux users belong to threads, and a thread whose goroutine ends locked to
// it ends too.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		for _, call := range [][4]uintptr{
			{syscall.SYS_SETGROUPS, 0, 0, 0},
			{syscall.SYS_SETRESGID, nobody, nobody, nobody},
			{syscall.SYS_SETRESUID, nobody, nobody, nobody},
		} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				done <- errno
				return
			}
		}
		do()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatalf("become nobody: %v", err)
	}
}

// openFolder is a temporary folder that other users can reach.
func openFolder(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// wantNoCopy asserts that no copy of a key was left behind.
func wantNoCopy(t *testing.T, f *File) {
	t.Helper()
	entries, err := os.ReadDir(f.copyDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) || len(entries) > 0 {
		t.Errorf("folder of copies holds %v, %v", entries, err)
	}
}

// A file that is bind-mounted by itself is written in place: the same inode,
// so that the other side of the mount sees it.
func TestWriteBindMount(t *testing.T) {
	needRoot(t)
	source, dir := filepath.Join(t.TempDir(), "source"), t.TempDir()
	path := filepath.Join(dir, "f")
	for _, next := range []string{"shorter", "quite a lot longer than it was", "the same length as it"} {
		const old = "the content before it"
		writeFile(t, source, old, 0o640)
		if _, err := os.Stat(path); err != nil {
			writeFile(t, path, "below the mount", 0o600)
			mount(t, source, path, "", syscall.MS_BIND, "")
		}
		f := newFile(t, path)
		before := inode(t, path)
		if err := f.Check(); err != nil {
			t.Errorf("check: %v", err)
		}
		if err := f.Write([]byte(old), []byte(next)); err != nil {
			t.Fatal(err)
		}
		wantText(t, source, next)
		if inode(t, source) != before {
			t.Error("the source has another inode")
		}
		wantFolder(t, dir, "f")
		wantNoCopy(t, f)
	}
}

// A mounted file that was replaced outside is gone with the mount: what is written to
// it would be lost.
func TestWriteBindMountOfDeleted(t *testing.T) {
	needRoot(t)
	source, path := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "f")
	writeFile(t, source, "old", 0o600)
	writeFile(t, path, "", 0o600)
	mount(t, source, path, "", syscall.MS_BIND, "")
	if err := os.Remove(source); err != nil {
		t.Fatal(err)
	}
	f := newFile(t, path)
	for act, err := range map[string]error{"check": f.Check(), "write": f.Write([]byte("old"), []byte("new"))} {
		if !errors.Is(err, ErrUnwritable) || !strings.Contains(hint.Of(err), "mount") {
			t.Errorf("%s: %v, %q; want ErrUnwritable", act, err, hint.Of(err))
		}
	}
	wantText(t, path, "old")
	wantNoCopy(t, f)
}

// Without a folder for the copy nothing is written in place.
func TestWriteBindMountNeedsCopy(t *testing.T) {
	needRoot(t)
	source, path := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "f")
	writeFile(t, source, "old", 0o600)
	writeFile(t, path, "", 0o600)
	mount(t, source, path, "", syscall.MS_BIND, "")
	f := Open(path, "")
	for act, err := range map[string]error{"check": f.Check(), "write": f.Write([]byte("old"), []byte("new"))} {
		if !errors.Is(err, ErrUnwritable) || !strings.Contains(err.Error(), "mounted by itself") {
			t.Errorf("%s: %v, want ErrUnwritable", act, err)
		}
	}
	wantText(t, source, "old")
}

func TestWriteReadOnlyMounts(t *testing.T) {
	needRoot(t)
	t.Run("the file alone", func(t *testing.T) {
		source, path := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "f")
		writeFile(t, source, "old", 0o600)
		writeFile(t, path, "", 0o600)
		mount(t, source, path, "", syscall.MS_BIND, "")
		remountReadOnly(t, path)
		wantReadOnly(t, path)
	})
	t.Run("its folder", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		writeFile(t, path, "old", 0o600)
		mount(t, dir, dir, "", syscall.MS_BIND, "")
		remountReadOnly(t, dir)
		wantReadOnly(t, path)
		f := newFile(t, filepath.Join(dir, "new"))
		for act, err := range map[string]error{"check": f.Check(), "write": f.Write(nil, []byte("new"))} {
			if !errors.Is(err, syscall.EROFS) {
				t.Errorf("%s of a new file: %v, want EROFS", act, err)
			}
		}
	})
}

func remountReadOnly(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mount("", path, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

func wantReadOnly(t *testing.T, path string) {
	t.Helper()
	f := newFile(t, path)
	if data, err := f.Read(); string(data) != "old" || err != nil {
		t.Errorf("read: %q, %v", data, err)
	}
	for act, err := range map[string]error{"check": f.Check(), "write": f.Write([]byte("old"), []byte("new"))} {
		if !errors.Is(err, ErrUnwritable) || !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v, want ErrUnwritable and EROFS", act, err)
		}
	}
	if err := f.Repair(); err != nil {
		t.Errorf("repair with nothing to mend: %v", err)
	}
	wantText(t, path, "old")
	wantNoCopy(t, f)
}

// fillUp leaves no block free on a small file system.
func fillUp(t *testing.T, dir string) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func TestWriteFullDisk(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=64k,mode=700")
	path := filepath.Join(dir, "f")
	writeFile(t, path, "old", 0o600)
	fillUp(t, dir)
	f := newFile(t, path)
	if err := f.Write([]byte("old"), []byte("new")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: %v, want ENOSPC", err)
	}
	wantText(t, path, "old")
	wantFolder(t, dir, "f", "fill")
	wantNoCopy(t, f)
}

// A write in place that fails halfway is taken back.
func TestWriteInPlaceFullDisk(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=64k,mode=700")
	source, path := filepath.Join(dir, "source"), filepath.Join(t.TempDir(), "f")
	old := strings.Repeat("old ", 1000)
	writeFile(t, source, old, 0o600)
	writeFile(t, path, "", 0o600)
	mount(t, source, path, "", syscall.MS_BIND, "")
	fillUp(t, dir)
	f := newFile(t, path)
	next := strings.Repeat("next", 5000)
	if err := f.Write([]byte(old), []byte(next)); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrTorn) {
		t.Errorf("write: %v, want ENOSPC", err)
	}
	wantText(t, source, old)
	wantNoCopy(t, f)
	// What fits goes through.
	if err := f.Write([]byte(old), []byte("new")); err != nil {
		t.Error(err)
	}
	wantText(t, source, "new")
}

// The disk of the copy is full: not a byte of the file is touched.
func TestWriteInPlaceFullDiskUnderCopy(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=64k,mode=700")
	fillUp(t, dir)
	folder := t.TempDir()
	path := filepath.Join(folder, "f")
	writeFile(t, path, "old", 0o600)
	if err := os.Link(path, filepath.Join(folder, "g")); err != nil {
		t.Fatal(err)
	}
	f := Open(path, filepath.Join(dir, "copies"))
	if err := f.Write([]byte("old"), []byte("new")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: %v, want ENOSPC", err)
	}
	wantText(t, path, "old")
}

// A reader that never stops looking finds the file there and whole, through a
// thousand changes of its length.
func TestNeverMissingNorTorn(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		// Memory spares the test two thousand waits for the disk.
		mount(t, "tmpfs", dir, "tmpfs", 0, "")
	}
	path := filepath.Join(dir, "f")
	text := func(i int) string {
		return fmt.Sprintf("%06d", i) + strings.Repeat("x", i*37%5000) + "end"
	}
	writeFile(t, path, text(0), 0o600)
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		reads := 0
		defer func() { done <- reads }()
		for {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Errorf("read %d: %v", reads, err)
				return
			}
			var i int
			if _, err := fmt.Sscanf(string(data[:min(6, len(data))]), "%06d", &i); err != nil || string(data) != text(i) {
				t.Errorf("read %d: torn, %d bytes", reads, len(data))
				return
			}
			reads++
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	f := newFile(t, path)
	for i := range 1000 {
		if err := f.Write([]byte(text(i)), []byte(text(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if reads := <-done; reads < 1000 {
		t.Errorf("only %d reads during 1000 writes", reads)
	}
}
