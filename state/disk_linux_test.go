package state_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/state"
)

const nobody = 65534

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for mounts and other users")
	}
}

// mount puts a small file system of its own at a new folder.
func mount(t *testing.T, options string) string {
	t.Helper()
	needs.Namespaces().For(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,"+options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill leaves no free page.
func fill(t *testing.T, dir string) (ballast string) {
	t.Helper()
	ballast = filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 16<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v, want ENOSPC", err)
	}
	return ballast
}

func TestFullDisk(t *testing.T) {
	dir := mount(t, "size=512k")
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	target := d.Target("a")
	if err := errors.Join(target.Check(), target.SaveJournal([]byte("first")), target.Check()); err != nil {
		t.Fatal(err)
	}
	ballast := fill(t, dir)
	for name, err := range map[string]error{
		"SaveJournal": target.SaveJournal([]byte(strings.Repeat("second", 1000))), "SaveHistory": target.SaveHistory(state.History{}),
	} {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v, want ENOSPC", name, err)
		}
	}
	if got, err := target.LoadJournal(); string(got) != "first" || err != nil {
		t.Errorf("LoadJournal = %q, %v; want the journal before", got, err)
	}
	if _, err := os.Lstat(atomicfile.TempName(filepath.Join(target.Path(), "journal"))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a temporary file is left: %v", err)
	}
	// A full disk must not keep anybody from finishing.
	if err := target.ForgetJournal(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.Remove(ballast), target.SaveJournal([]byte("third"))); err != nil {
		t.Error(err)
	}
}

func TestNoInodeLeft(t *testing.T) {
	dir := mount(t, "size=1m,nr_inodes=3")
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Target("a").SaveJournal(nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("SaveJournal: %v, want ENOSPC", err)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := mount(t, "size=1m")
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	target := d.Target("a")
	if err := target.SaveJournal([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"SaveJournal": target.SaveJournal(nil),
	} {
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v, want EROFS", name, err)
		}
	}
	if got, err := target.LoadJournal(); string(got) != "x" || err != nil {
		t.Errorf("LoadJournal = %q, %v", got, err)
	}
}

// asNobody runs the errand as a user that owns nothing.
func asNobody(t *testing.T, errand, dir string) string {
	t.Helper()
	cmd := child(t, errand, dir)
	// The path of the test binary may be closed to that user, this one is not.
	cmd.Path = "/proc/self/exe"
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestOtherUsersFolder(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(dir); !errors.Is(err, state.ErrUnsafe) {
		t.Errorf("root opens the folder of another: %v, want ErrUnsafe", err)
	}
}

// Who owns a link chooses where root writes, wherever it stands on the way.
func TestOtherUsersLink(t *testing.T) {
	needRoot(t)
	top := t.TempDir()
	for _, dir := range []string{"victim", "victim/below"} {
		if err := os.Mkdir(filepath.Join(top, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(top, "link")
	if err := os.Symlink("victim", link); err != nil {
		t.Fatal(err)
	}
	for owner, want := range map[int]error{0: nil, nobody: state.ErrUnsafe} {
		if err := os.Lchown(link, owner, owner); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{link, filepath.Join(link, "below"), filepath.Join(link, "none")} {
			if _, err := state.Open(dir); !errors.Is(err, want) {
				t.Errorf("user %d's link, %s: %v, want %v", owner, dir, err, want)
			}
		}
	}
}

func TestAsAnotherUser(t *testing.T) {
	needRoot(t)
	top, err := os.MkdirTemp("/tmp", "state")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	make := func(name string, mode fs.FileMode, owner int) string {
		dir := filepath.Join(top, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, owner, owner), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, c := range []struct{ name, dir, want string }{
		{"root's", make("root", 0o700, 0), "open: permission"},
		{"below root's", filepath.Join(top, "root", "state"), "open: permission"},
		{"root's, open to all", make("open", 0o755, 0), "open: unsafe"},
		{"not there, in root's", filepath.Join(top, "none"),
			"open: <nil>\ncheck: permission\ncheck file: permission\nmake: permission\nsave: permission"},
		{"own", make("own", 0o700, nobody), "open: <nil>\ncheck: <nil>\ncheck file: <nil>\nmake: <nil>\nsave: <nil>"},
		{"own, not to be entered", make("closed", 0o600, nobody), "open: permission"},
		{"own, not to be listed", make("dark", 0o300, nobody), "open: permission"},
		{"own, not to be written", make("fixed", 0o500, nobody),
			"open: <nil>\ncheck: permission\ncheck file: permission\nmake: <nil>\nsave: permission"},
		{"somebody else's", make("theirs", 0o700, 12345), "open: permission"},
	} {
		if got := asNobody(t, "open", c.dir); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestDefaultDirWithASystemFolder shows the child a /var/lib of its own.
func TestDefaultDirWithASystemFolder(t *testing.T) {
	needs.Namespaces().For(t)
	for name, c := range map[string]struct{ prepare, want string }{
		"none":   {"true", "/h/.local/state/blnkctl"},
		"root's": {"mkdir -m 0700 /var/lib/blnkctl", "/var/lib/blnkctl"},
		"hidden": {"chmod 0700 /var/lib", "/var/lib/blnkctl"},
	} {
		cmd := child(t, "default", "/h")
		script := `mount --make-rprivate / && mount -t tmpfs -o mode=0755 tmpfs /var/lib && ` + c.prepare +
			` && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$0" /h`
		binary := filepath.Join("/tmp", filepath.Base(t.Name())+filepath.Base(cmd.Path))
		data, err := os.ReadFile(cmd.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(binary, data, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(binary) })
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", script, binary}
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}
