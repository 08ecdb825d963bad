package textfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
)

// What a crash leaves is made here as it is on the disk then: the copy
// is there, the file half written.
func TestRepair(t *testing.T) {
	const short, long = "key=AAAA\nrest\n", "key=BBBBBBBBBB\nrest\n"
	for _, tt := range []struct {
		name, old, next, now string
		torn                 bool
		want                 string
	}{
		{"nothing written yet", short, long, short, false, short},
		{"all written", short, long, long, false, long},
		{"half of a longer one", short, long, long[:8] + short[8:], true, short},
		{"half of a longer one, already longer", short, long, long[:17], true, short},
		{"half of a shorter one", long, short, short[:8] + long[8:], true, long},
		{"all of a shorter one, not cut yet", long, short, short + long[len(short):], true, long},
		{"a hole where data had not reached the disk", short, long, long[:6] + "\x00\x00\x00\x00" + long[10:], true, short},
		{"all zero", short, long, strings.Repeat("\x00", len(long)), true, short},
		{"same length", "key=AA", "key=BB", "key=AB", true, "key=AA"},
		{"rewritten by somebody", short, long, "key=CCCC\nrest\n", false, "key=CCCC\nrest\n"},
		{"added to by somebody", short, long, long + "more\n", false, long + "more\n"},
		{"zeros added by somebody", short, long, long + "\x00", false, long + "\x00"},
		{"emptied by somebody", short, long, "", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			writeFile(t, path, tt.now, 0o604)
			writeFile(t, atomicfile.TempName(path), "stale", 0o600)
			f := newFile(t, path)
			if err := f.saveCopy(&savedCopy{1, path, []byte(tt.old), []byte(tt.next)}); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Stat(path)
			_, err := f.Read()
			if errors.Is(err, ErrTorn) != tt.torn || !tt.torn && err != nil {
				t.Errorf("read before the repair: %v, torn %v", err, tt.torn)
			}
			wantText(t, path, tt.now)
			for range 2 { // the second finds nothing to do
				if err := f.Repair(); err != nil {
					t.Fatal(err)
				}
			}
			wantText(t, path, tt.want)
			if data, err := f.Read(); string(data) != tt.want || err != nil {
				t.Errorf("read after the repair: %q, %v", data, err)
			}
			if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) || after.Mode() != 0o604 {
				t.Error("the repair did not keep inode and mode")
			}
			wantFolder(t, dir, "f")
			wantFolder(t, f.copyDir)
		})
	}
}

// A file that is not there at the moment may be mounted later: then its spare
// copy is still needed.
func TestRepairMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f := newFile(t, path)
	if err := f.saveCopy(&savedCopy{1, path, []byte("old"), []byte("next")}); err != nil {
		t.Fatal(err)
	}
	if err := f.Repair(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, "nld", 0o600)
	if err := f.Repair(); err != nil {
		t.Fatal(err)
	}
	wantText(t, path, "old")
}

// A copy that somebody damaged proves nothing, and nothing is done.
func TestRepairDamagedCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	writeFile(t, path, "whatever", 0o600)
	f := newFile(t, path)
	for _, text := range []string{"", "{", `{"version":99,"path":"` + path + `"}`, `{"version":1,"path":"/another"}`} {
		if err := os.MkdirAll(f.copyDir, 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, f.copyPath(path), text, 0o600)
		for act, err := range map[string]error{"read": second(f.Read()), "repair": f.Repair()} {
			if !errors.Is(err, ErrTorn) || !strings.Contains(err.Error(), f.copyPath(path)) {
				t.Errorf("%s with the copy %q: %v", act, text, err)
			}
		}
		wantText(t, path, "whatever")
	}
}

func second[T any](_ T, err error) error { return err }

// The copy is private, and so is its folder.
func TestCopyIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f := newFile(t, path)
	if err := f.saveCopy(&savedCopy{1, path, []byte("old"), []byte("next")}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{f.copyDir: os.ModeDir | 0o700, f.copyPath(path): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

// lookAt opens a file as Write does.
func lookAt(t *testing.T, f *File) (place, *snapshot) {
	t.Helper()
	p, err := f.locate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	now, err := p.look(p.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(now.close)
	return p, now
}

// An edit by somebody without the lock, made while the temporary file was on
// its way to the disk, is seen before the rename.
func TestReplaceLooksAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for name, edit := range map[string]func() error{
		"content": func() error { return os.WriteFile(path, []byte("edited"), 0o600) },
		"mode":    func() error { return os.Chmod(path, 0o600) },
		"other file": func() error {
			return errors.Join(atomicfile.Replace(path, []byte("old")), os.Chmod(path, 0o640))
		},
		"gone": func() error { return os.Remove(path) },
	} {
		t.Run(name, func(t *testing.T) {
			writeFile(t, path, "old", 0o640)
			f := newFile(t, path)
			p, now := lookAt(t, f)
			if err := edit(); err != nil {
				t.Fatal(err)
			}
			edited, _ := os.ReadFile(path)
			if err := p.replace(now, []byte("next")); !errors.Is(err, ErrChanged) {
				t.Errorf("got %v, want ErrChanged", err)
			}
			if now, _ := os.ReadFile(path); string(now) != string(edited) {
				t.Errorf("the edit %q became %q", edited, now)
			}
		})
	}
}

// The same for a write in place, which also drops its copy then.
func TestOverwriteLooksAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	writeFile(t, path, "edited", 0o600)
	f := newFile(t, path)
	p, _ := lookAt(t, f)
	if err := f.overwrite(p, "a reason", []byte("old"), []byte("next")); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v, want ErrChanged", err)
	}
	wantText(t, path, "edited")
	wantFolder(t, f.copyDir)
}
