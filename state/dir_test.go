package state_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/state"
)

func TestDefaultDir(t *testing.T) {
	_, err := os.Lstat(state.SystemDir)
	noSystemDir := errors.Is(err, fs.ErrNotExist)
	for _, c := range []struct {
		uid  int
		env  map[string]string
		want string // "" an error
	}{
		{0, nil, "/var/lib/blnkctl"},
		{0, map[string]string{"HOME": "/root", "XDG_STATE_HOME": "/x"}, "/var/lib/blnkctl"},
		{1000, map[string]string{"HOME": "/home/a"}, "/home/a/.local/state/blnkctl"},
		{1000, map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/x"}, "/x/blnkctl"},
		{1000, map[string]string{"XDG_STATE_HOME": "/x"}, "/x/blnkctl"},
		{1000, map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "x"}, "/home/a/.local/state/blnkctl"},
		{1000, map[string]string{"HOME": "a"}, ""},
		{1000, nil, ""},
	} {
		if c.uid != 0 && !noSystemDir {
			c.want = state.SystemDir
		}
		got, err := state.DefaultDir(func(name string) string { return c.env[name] }, c.uid)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("DefaultDir(%v, %d) = %q, %v; want %q", c.env, c.uid, got, err, c.want)
		}
	}
}

func TestOpenMakesNothing(t *testing.T) {
	parent := t.TempDir()
	d, err := state.Open(filepath.Join(parent, "a", "state"))
	if err != nil {
		t.Fatal(err)
	}
	before := tree(t, parent)
	target := d.Target("a")
	if err := errors.Join(d.CheckFile("audit.log"), target.Check()); err != nil {
		t.Error(err)
	}
	if body, err := target.LoadJournal(); body != nil || err != nil {
		t.Errorf("LoadJournal = %q, %v", body, err)
	}
	if history, err := target.LoadHistory(); !reflect.DeepEqual(history, state.History{}) || err != nil {
		t.Errorf("LoadHistory = %v, %v", history, err)
	}
	if err := target.ForgetJournal(); err != nil {
		t.Error(err)
	}
	unlock, err := target.LockExisting(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if after := tree(t, parent); after != before {
		t.Errorf("something was made:\n%s", after)
	}
}

func TestOpenRefusesOpenFolders(t *testing.T) {
	for _, mode := range []fs.FileMode{0o701, 0o710, 0o704, 0o750, 0o755, 0o777, 0o777 | fs.ModeSticky} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := state.Open(dir); !errors.Is(err, state.ErrUnsafe) {
			t.Errorf("mode %v: %v, want ErrUnsafe", mode, err)
		}
	}
}

func TestOpenRefusesWhatIsNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(path); !errors.Is(err, state.ErrUnsafe) {
		t.Errorf("a file: %v, want ErrUnsafe", err)
	}
	if _, err := state.Open(filepath.Join(path, "below")); err == nil {
		t.Error("a path below a file was taken")
	}
}

func TestOpenFollowsALink(t *testing.T) {
	parent := t.TempDir()
	link := filepath.Join(parent, "link")
	private, shared := filepath.Join(parent, "private"), filepath.Join(parent, "shared")
	err := errors.Join(os.Mkdir(private, 0o700), os.Mkdir(shared, 0o750), os.Symlink(private, link))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(link); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.Remove(link), os.Symlink(shared, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(link); !errors.Is(err, state.ErrUnsafe) {
		t.Errorf("a link to an open folder: %v, want ErrUnsafe", err)
	}
}

func TestFolderThatBecameUnsafe(t *testing.T) {
	dir, target := newTarget(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := target.SaveJournal([]byte("x")); !errors.Is(err, state.ErrUnsafe) {
		t.Errorf("SaveJournal: %v, want ErrUnsafe", err)
	}
	if _, err := target.Lock(t.Context(), 0); !errors.Is(err, state.ErrUnsafe) {
		t.Errorf("Lock: %v, want ErrUnsafe", err)
	}
}

func TestModesWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(old) })
	dir, target := newTarget(t)
	unlock, err := target.Lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := errors.Join(target.SaveJournal([]byte("x")), target.SaveHistory(state.History{})); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: %v, want %v", path, info.Mode(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCheckFileWantsAFile(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o700), os.Mkdir(filepath.Join(dir, "audit.log"), 0o700)); err != nil {
		t.Fatal(err)
	}
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.CheckFile("audit.log"); err == nil {
		t.Error("a folder in place of the file passed")
	}
}

func TestTargetsHaveFoldersOfTheirOwn(t *testing.T) {
	d, err := state.Open("/s")
	if err != nil {
		t.Fatal(err)
	}
	// The names must never change: an open rotation would not be found again.
	for ref, want := range map[string]string{
		"blnkjson:/etc/blnk/blnk.json#server.secret_key": "blnkjson--etc-blnk-blnk.json-server.secret_key-",
		"":                                   "-",
		"dotenv:/Ä/../.env":                  "dotenv----..-.env-",
		"x:/" + strings.Repeat("long/", 100): strings.Trim(strings.Repeat("-long", 12)[0:60], "-") + "-",
	} {
		path := d.Target(ref).Path()
		name := filepath.Base(path)
		if filepath.Dir(path) != "/s/targets" || !strings.HasPrefix(name, want) || len(name) != len(want)+8 {
			t.Errorf("%q: %s, want /s/targets/%s and 8 digits", ref, path, want)
		}
	}
	if d.Target("a:/x%23y?o=1").Path() != d.Target("a:/x#y?o=1").Path() { // as it has always been called
		t.Error("an escaped reference is another target")
	}
	seen := map[string]string{}
	for _, ref := range []string{"a:/x", "a:/X", "a:-x", "b:/x", "a:/x#f", "a:/x#F", "a:/x-f"} {
		path := d.Target(ref).Path()
		if other, ok := seen[path]; ok {
			t.Errorf("%q and %q share %s", ref, other, path)
		}
		seen[path] = ref
	}
	const pinned = "/s/targets/a--x-f-"
	if got := d.Target("a:/x#f").Path(); !strings.HasPrefix(got, pinned) {
		t.Errorf("%s, want %s…", got, pinned)
	}
}
