package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, path, text string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != text {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, text)
	}
}

func openDir(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// wantAlone asserts that no temporary file stays behind.
func wantAlone(t *testing.T, dir string, names ...string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	hidden, herr := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || herr != nil || len(found)+len(hidden) != len(names) {
		t.Errorf("%s holds %q, %q; want %q", dir, found, hidden, names)
	}
}

// replace is Replace with a mode and an owner.
func replace(t *testing.T, path, text string, mode fs.FileMode, uid, gid int) error {
	t.Helper()
	temp, err := openDir(t, filepath.Dir(path)).Create(filepath.Base(path), []byte(text))
	if err != nil {
		return err
	}
	return errors.Join(temp.Seal(mode, uid, gid), temp.Commit())
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, step := range []struct {
		text string
		mode fs.FileMode
	}{{"first", 0o600}, {"", 0o444}, {"third", 0o777}, {"fourth", 0o640 | fs.ModeSetgid}} {
		if err := replace(t, path, step.text, step.mode, -1, -1); err != nil {
			t.Fatal(err)
		}
		want(t, path, step.text)
		if info, err := os.Stat(path); err != nil || info.Mode() != step.mode {
			t.Errorf("mode %v, %v; want %v, whatever the umask", info.Mode(), err, step.mode)
		}
		wantAlone(t, dir, "f")
	}
}

func TestReplaceOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a file of somebody else")
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := replace(t, path, "", 0o604|fs.ModeSetuid, 1234, 2345); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	if st.Uid != 1234 || st.Gid != 2345 || info.Mode() != 0o604|fs.ModeSetuid {
		t.Errorf("owner %d:%d, mode %v", st.Uid, st.Gid, info.Mode())
	}
}

// What a crash left under the name of the temporary file is removed, and
// neither followed nor written into.
func TestStale(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "f"), filepath.Join(dir, "other")
	write(t, other, "precious")
	for name, leave := range map[string]func() error{
		"file":      func() error { return os.WriteFile(TempName(path), []byte("much longer than the next content"), 0o644) },
		"link":      func() error { return os.Symlink(other, TempName(path)) },
		"hard link": func() error { return os.Link(other, TempName(path)) },
	} {
		for act, do := range map[string]func() error{
			"replace": func() error { return Replace(path, []byte("next")) },
			"discard": func() error { return held(t, dir).Discard("f") },
			"remove":  func() error { return held(t, dir).Remove("f") },
		} {
			if err := leave(); err != nil {
				t.Fatal(err)
			}
			if err := do(); err != nil {
				t.Errorf("%s over a stale %s: %v", act, name, err)
			}
			want(t, other, "precious")
			if _, err := os.Lstat(TempName(path)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the stale %s is still there", act, name)
			}
		}
	}
	if err := Replace(path, []byte("next")); err != nil {
		t.Fatal(err)
	}
	want(t, path, "next")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if err := os.Mkdir(TempName(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := held(t, dir).Discard("f"); err == nil {
		t.Error("a folder was removed, or overlooked")
	}
}

func held(t *testing.T, dir string) *Dir {
	d, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// Whoever puts another folder in the place of the one that is held loses nothing of his.
func TestRemove(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	stand := func() {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "f"), "precious")
	}
	stand()
	d := held(t, dir)
	if err := os.Rename(dir, dir+".held"); err != nil {
		t.Fatal(err)
	}
	stand()
	for range 2 { // there being none is no error
		if err := d.Remove("f"); err != nil {
			t.Error(err)
		}
	}
	want(t, filepath.Join(dir, "f"), "precious")
	if _, err := os.Stat(filepath.Join(dir+".held", "f")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it is still there")
	}
}

// After an error the old content stands, and nothing else.
func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.Mkdir(path, 0o700); err != nil { // no file can be moved over it
		t.Fatal(err)
	}
	if err := Replace(path, []byte("next")); err == nil {
		t.Error("replaced a folder")
	}
	wantAlone(t, dir, "f")
	if err := Replace(filepath.Join(dir, "none", "f"), []byte("next")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: %v, want fs.ErrNotExist", err)
	}
}

// Until Commit the file at path is the old one, and Discard leaves nothing.
func TestDiscardTemp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "old")
	for _, synced := range []bool{false, true} {
		temp, err := openDir(t, dir).Create("f", []byte("next"))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(TempName(path)); err != nil || info.Mode() != 0o600 {
			t.Errorf("temporary file: mode %v, %v; want 0600", info.Mode(), err)
		}
		if synced {
			if err := temp.Seal(0o600, -1, -1); err != nil {
				t.Fatal(err)
			}
		}
		want(t, path, "old")
		temp.Discard()
		temp.Discard()
		wantAlone(t, dir, "f")
	}
}

func TestCommitNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	commit := func() error {
		temp, err := openDir(t, dir).Create("f", []byte("next"))
		if err != nil {
			t.Fatal(err)
		}
		defer temp.Discard()
		if err := temp.Seal(0o600, -1, -1); err != nil {
			t.Fatal(err)
		}
		return temp.CommitNew()
	}
	if err := commit(); err != nil {
		t.Fatal(err)
	}
	want(t, path, "next")
	wantAlone(t, dir, "f")
	write(t, path, "somebody's")
	if err := commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v, want fs.ErrExist", err)
	}
	want(t, path, "somebody's")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", path); err != nil {
		t.Fatal(err)
	}
	if err := commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a dangling link: %v, want fs.ErrExist", err)
	}
	wantAlone(t, dir, "f")
}

func TestSyncDir(t *testing.T) {
	dir := t.TempDir()
	if err := SyncDir(dir); err != nil {
		t.Error(err)
	}
	if err := SyncDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
}

// A name as long as the file system allows has a temporary file too, and two
// such names have two.
func TestLongNames(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("b", 254)
	for _, name := range []string{"f", long[:100], long[:101], long + "x", long + "y"} {
		path := filepath.Join(dir, name)
		for _, text := range []string{"old", "next"} {
			if err := Replace(path, []byte(text)); err != nil {
				t.Fatal(err)
			}
			want(t, path, text)
		}
		if got := filepath.Base(TempName(path)); len(got) > 143 {
			t.Errorf("%d characters for a name of %d", len(got), len(name))
		}
	}
	if TempName(filepath.Join(dir, long+"x")) == TempName(filepath.Join(dir, long+"y")) {
		t.Error("two files share a temporary file")
	}
}

// Whatever is put in the place of the folder, work goes on in the one that was
// opened.
func TestFolderMoved(t *testing.T) {
	top := t.TempDir()
	dir, moved, trap := filepath.Join(top, "dir"), filepath.Join(top, "moved"), filepath.Join(top, "trap")
	for _, d := range []string{dir, trap} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "f"), "old")
	write(t, filepath.Join(trap, "f"), "precious")
	d := openDir(t, dir)
	temp, err := d.Create("f", []byte("next"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(dir, moved), os.Symlink(trap, dir)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(temp.Seal(0o604, -1, -1), temp.Commit()); err != nil {
		t.Fatal(err)
	}
	want(t, filepath.Join(moved, "f"), "next")
	want(t, filepath.Join(trap, "f"), "precious")
	wantAlone(t, moved, "f")
	wantAlone(t, trap, "f")
}

// What stands at the path in the instant of the rename is looked at, and comes
// back if it is not what was expected.
// Killed right after the two files have changed places, an edit of the last instant
// is not lost: whoever comes next puts it back.
func TestExchangeCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(path string)
		want      string
	}{
		"nothing happened":          {func(string) {}, "edit"},
		"a newer edit by a rename":  {func(path string) { write(t, path+".2", "newer"); _ = os.Rename(path+".2", path) }, "newer"},
		"it was removed meanwhile":  {func(path string) { _ = os.Remove(path) }, "edit"},
		"the temporary one is gone": {func(path string) { _ = os.Remove(TempName(path)) }, "new"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		write(t, path, "old")
		d := openDir(t, dir)
		temp, err := d.Create("f", []byte("new"))
		if err == nil {
			err = temp.Seal(0o600, -1, -1)
		}
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, "edit")
		func() {
			defer func() { _ = recover() }()
			_, _ = temp.Exchange(func(string) (bool, error) { panic("killed") })
		}()
		if _, err := os.Lstat(TempName(path)); errors.Is(err, fs.ErrNotExist) {
			t.Skip("no exchange here")
		}
		want(t, path, "new")
		c.meanwhile(path)
		if err := d.Discard("f"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want(t, path, c.want)
		wantAlone(t, dir, "f")
	}
}

func TestExchange(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	exchange := func(expected func(old string) (bool, error)) (bool, error) {
		write(t, path, "edited")
		temp, err := openDir(t, dir).Create("f", []byte("next"))
		if err != nil {
			t.Fatal(err)
		}
		defer temp.Discard()
		if err := temp.Seal(0o600, -1, -1); err != nil {
			t.Fatal(err)
		}
		changed, err := temp.Exchange(expected)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("cannot exchange files here")
		}
		return changed, err
	}
	changed, err := exchange(func(old string) (bool, error) {
		want(t, filepath.Join(dir, old), "edited")
		want(t, path, "next")
		return true, nil
	})
	if changed || err != nil {
		t.Errorf("as expected: %v, %v", changed, err)
	}
	want(t, path, "next")
	broken := errors.New("broken")
	for name, answer := range map[string]error{"unexpected": nil, "not known": broken} {
		changed, err := exchange(func(string) (bool, error) { return false, answer })
		if !changed || !errors.Is(err, answer) {
			t.Errorf("%s: %v, %v", name, changed, err)
		}
		want(t, path, "edited")
		wantAlone(t, dir, "f")
	}
	// A second edit, which replaces what we had put there.
	changed, err = exchange(func(string) (bool, error) {
		write(t, path+"2", "edited again")
		return false, os.Rename(path+"2", path)
	})
	if !changed || err != nil {
		t.Errorf("edited twice: %v, %v", changed, err)
	}
	want(t, path, "edited again")
	wantAlone(t, dir, "f")
}

func BenchmarkReplace(b *testing.B) {
	path := filepath.Join(b.TempDir(), "f")
	data := make([]byte, 2000)
	for b.Loop() {
		if err := Replace(path, data); err != nil {
			b.Fatal(err)
		}
	}
}
