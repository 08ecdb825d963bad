package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/state"
)

func TestJournalRoundTrip(t *testing.T) {
	dir, target := newTarget(t)
	for _, want := range []string{"{}", "", "a\nb\x00\xff", strings.Repeat("x", 1<<20), "last"} {
		if err := target.SaveJournal([]byte(want)); err != nil {
			t.Fatal(err)
		}
		again, err := open(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.LoadJournal()
		if err != nil || got == nil || string(got) != want {
			t.Errorf("LoadJournal = %.20q, %v; want %.20q", got, err, want)
		}
	}
	for range 2 { // the second time there is none
		if err := target.ForgetJournal(); err != nil {
			t.Error(err)
		}
		if got, err := target.LoadJournal(); got != nil || err != nil {
			t.Errorf("after ForgetJournal: %q, %v", got, err)
		}
	}
}

const keyText = "blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH"

// TestDamagedJournal: every cut and every flipped bit is seen, and no error
// shows what stands in the file.
func TestDamagedJournal(t *testing.T) {
	_, target := newTarget(t)
	if err := target.SaveJournal([]byte(`{"new":"` + keyText + `"}`)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(target.Path(), "journal")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, data []byte, allowed ...error) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := target.LoadJournal()
		found := false
		for _, want := range allowed {
			found = found || errors.Is(err, want)
		}
		if !found || got != nil {
			t.Errorf("%s: %q, %v; want %v", what, got, err, allowed)
		} else if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), keyText[:12]) {
			t.Errorf("%s: the error does not name the file, or shows it: %v", what, err)
		}
	}
	for cut := range whole {
		check("cut at "+strconv.Itoa(cut), whole[:cut], state.ErrDamaged)
		for bit := range 8 {
			flipped := bytes.Clone(whole)
			flipped[cut] ^= 1 << bit
			check("flipped at "+strconv.Itoa(cut), flipped, state.ErrDamaged, state.ErrOtherVersion)
		}
	}
	check("twice", append(bytes.Clone(whole), whole...), state.ErrDamaged)
	check("zeros", make([]byte, len(whole)), state.ErrDamaged)
	check("by hand", []byte(`{"new":"`+keyText+`"}`), state.ErrDamaged)
	check("of the history", bytes.Replace(whole, []byte("journal"), []byte("facts"), 1), state.ErrDamaged)
	check("next version", bytes.Replace(whole, []byte(" 1 "), []byte(" 2 "), 1), state.ErrOtherVersion)
	check("next version, other form", []byte("blnkctl journal 2 zstd\n\x00\x01"), state.ErrOtherVersion)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := target.LoadJournal(); err != nil {
		t.Errorf("put back: %v", err)
	}
}

func TestJournalThatIsAFolder(t *testing.T) {
	_, target := newTarget(t)
	if err := os.MkdirAll(filepath.Join(target.Path(), "journal"), 0o700); err != nil {
		t.Fatal(err)
	}
	if body, err := target.LoadJournal(); err == nil || body != nil {
		t.Errorf("LoadJournal = %q, %v; want an error", body, err)
	}
}

// TestStaleCopies: what a crash in the middle of a save leaves beside the
// journal is never read, does not hinder the next save, and goes with the
// journal.
func TestStaleCopies(t *testing.T) {
	_, target := newTarget(t)
	path := filepath.Join(target.Path(), "journal")
	stale := atomicfile.TempName(path)
	leave := func() {
		t.Helper()
		if err := os.WriteFile(stale, []byte("blnkctl journal 1 sha256:"+keyText), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(target.Path(), 0o700); err != nil {
		t.Fatal(err)
	}
	leave()
	if body, err := target.LoadJournal(); body != nil || err != nil {
		t.Errorf("a copy alone: %q, %v", body, err)
	}
	if err := errors.Join(os.Chmod(filepath.Dir(filepath.Dir(target.Path())), 0o700), target.SaveJournal([]byte("a"))); err != nil {
		t.Fatal(err)
	}
	leave()
	if body, err := target.LoadJournal(); string(body) != "a" || err != nil {
		t.Errorf("beside a copy: %q, %v", body, err)
	}
	if err := target.ForgetJournal(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, stale} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
}

// TestKillWhileSaving kills a process that saves journals, at whatever point
// it is, many times over. What was reported saved is there, or the next one.
func TestKillWhileSaving(t *testing.T) {
	dir, target := newTarget(t)
	for round := range 15 {
		cmd, lines := start(t, "save", dir)
		saved := -1
		for range round + 1 {
			if !lines.Scan() {
				t.Fatalf("the child ended: %q", lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for ok := true; ok; ok = lines.Scan() { // what it said before it died
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				saved = n
			}
		}
		_ = cmd.Wait()
		got, err := target.LoadJournal()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, body(saved)) && !bytes.Equal(got, body(saved+1)) {
			t.Fatalf("after journal %d was saved there is %.20q…", saved, got)
		}
	}
}

func TestLockKeepsProcessesApart(t *testing.T) {
	dir, target := newTarget(t)
	cmd, lines := start(t, "lock", dir)
	if !lines.Scan() || lines.Text() != "locked" {
		t.Fatalf("the child says %q", lines.Text())
	}
	for name, lock := range map[string]func() (func(), error){
		"Lock":         func() (func(), error) { return target.Lock(t.Context(), 0) },
		"LockExisting": func() (func(), error) { return target.LockExisting(t.Context(), 0) },
	} {
		_, err := lock()
		if want := fmt.Sprintf("held by PID %d ", cmd.Process.Pid); !errors.Is(err, flock.ErrHeld) || runtime.GOOS == "linux" && !strings.Contains(err.Error(), want) {
			t.Fatalf("%s: %v, want %s", name, err, want)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The kernel drops the lock of a process that dies.
	unlock, err := target.Lock(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	other, err := target.LockExisting(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	other()
}

func TestLockRemovesAHalfWrittenJournal(t *testing.T) {
	_, target := newTarget(t)
	if err := target.SaveJournal([]byte("whole")); err != nil {
		t.Fatal(err)
	}
	half := atomicfile.TempName(filepath.Join(target.Path(), "journal"))
	if err := os.WriteFile(half, []byte("hal"), 0o600); err != nil {
		t.Fatal(err)
	}
	look, err := target.LockExisting(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	look()
	if _, err := os.Lstat(half); err != nil {
		t.Errorf("who may change nothing removed it: %v", err)
	}
	unlock, err := target.Lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := os.Lstat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if got, err := target.LoadJournal(); string(got) != "whole" || err != nil {
		t.Errorf("LoadJournal = %q, %v", got, err)
	}
}

func TestHistoryRoundTrip(t *testing.T) {
	_, target := newTarget(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	want := state.History{
		Key: "sha256:0123456789ab", ProvedAt: at, SeenAt: at.Add(time.Hour), Rotation: "r1",
		Failures: 3, FailedAt: at.Add(2 * time.Hour), FailedRefs: "sha256:ff",
		Unwritten: []string{"command:ci"},
	}
	if err := target.SaveHistory(want); err != nil {
		t.Fatal(err)
	}
	if got, err := target.LoadHistory(); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("LoadHistory = %+v, %v; want %+v", got, err, want)
	}
	path := filepath.Join(target.Path(), "facts")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Older files must stay readable: the names are part of the format.
	const names = `{"key":"sha256:0123456789ab","proved_at":"2026-03-01T12:00:00.123456789Z","seen_at":"2026-03-01T13:00:00.123456789Z",` +
		`"rotation":"r1","failures":3,"failed_at":"2026-03-01T14:00:00.123456789Z","failed_refs":"sha256:ff","unwritten":["command:ci"]}` + "\n"
	if _, text, _ := bytes.Cut(data, []byte("\n")); string(text) != names {
		t.Errorf("the file says %s", text)
	}
	for cut := range data {
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := target.LoadHistory(); !errors.Is(err, state.ErrDamaged) || !reflect.DeepEqual(got, state.History{}) {
			t.Errorf("cut at %d: %+v, %v; want ErrDamaged", cut, got, err)
		}
	}
}

func TestSaveIntoAFolderThatVanished(t *testing.T) {
	dir, target := newTarget(t)
	if err := errors.Join(target.SaveJournal([]byte("a")), os.RemoveAll(dir), target.SaveJournal([]byte("b"))); err != nil {
		t.Fatal(err)
	}
	if got, err := target.LoadJournal(); string(got) != "b" || err != nil {
		t.Errorf("LoadJournal = %q, %v", got, err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := target.SaveJournal([]byte("c")); !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, state.ErrUnsafe) {
		t.Errorf("a file stands there: %v", err)
	}
}

// A reference that was mistyped leaves no folder behind, however many wait for
// its lock; one that was used keeps its.
func TestUnlockLeavesNothingUnused(t *testing.T) {
	dir, target := newTarget(t)
	held := 0
	var wait sync.WaitGroup
	var mu sync.Mutex
	for range 20 {
		wait.Go(func() {
			unlock, err := target.Lock(t.Context(), time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			if !mu.TryLock() {
				t.Error("two have the lock")
			} else {
				held++
				mu.Unlock()
			}
			unlock()
		})
	}
	wait.Wait()
	if names, err := filepath.Glob(filepath.Join(dir, "targets", "*")); err != nil || len(names) != 0 || held != 20 {
		t.Errorf("%q is left by %d, %v", names, held, err)
	}
	unlock, err := target.Lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := target.SaveHistory(state.History{Rotation: "r1"}); err != nil {
		t.Fatal(err)
	}
	unlock()
	if history, err := target.LoadHistory(); history.Rotation != "r1" || err != nil {
		t.Errorf("history %+v, %v", history, err)
	}
}

// What is no file, or larger than any that blnkctl writes, is an error at once.
func TestJournalThatCannotBeRead(t *testing.T) {
	_, target := newTarget(t)
	if err := target.SaveHistory(state.History{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(target.Path(), "journal")
	for name, put := range map[string]func() error{
		"fifo": func() error { return syscall.Mkfifo(path, 0o600) },
		"link": func() error { return os.Symlink("facts", path) },
		"huge": func() error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if body, err := target.LoadJournal(); err == nil || body != nil {
			t.Errorf("%s: %d bytes, %v", name, len(body), err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
