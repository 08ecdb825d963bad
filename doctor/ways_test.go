package doctor

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/target"
)

// seeded are facts that are known already.
func seeded(now time.Time, stores []Store, running []Running, history state.History) *Facts {
	f := &Facts{Sources: Sources{Now: func() time.Time { return now }}}
	_, _ = f.stores.get(func() ([]Store, error) { return stores, nil })
	_, _ = f.running.get(func() ([]Running, error) { return running, nil })
	_, _ = f.history.get(func() (state.History, error) { return history, nil })
	_, _ = f.target.get(func() (*target.Target, error) { return &target.Target{}, nil })
	_, _ = f.view.get(func() (reach.View, error) { return reach.View{}, nil })
	_, _ = f.live.get(func() (proof.Result, error) { return proof.Result{}, nil })
	return f
}

// A worker that was started before the key of its file was put there signs with the
// one of then; of one that was started since another change, nobody knows that.
func TestWorkerFromBefore(t *testing.T) {
	config := filepath.Join(t.TempDir(), blnk.FileName)
	text := []byte(`{"server":{"secret_key":"k"}}`)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	start := listener.Started(os.Getpid())
	if start.IsZero() || time.Since(start) > time.Hour || time.Until(start) > time.Minute {
		t.Fatalf("this process was started at %v", start)
	}
	effective, err := blnk.Resolve(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := start.Add(2 * time.Hour)
	for name, c := range map[string]struct {
		proved, changed time.Time
		found           int
		unsure          bool
	}{
		"before":          {start.Add(time.Hour), start.Add(time.Hour), 1, false},
		"in the rotation": {start.Add(time.Minute), start.Add(time.Hour), 0, true},
		"after":           {start.Add(-time.Hour), start.Add(time.Hour), 0, true},
		"file unchanged":  {start.Add(time.Hour), start.Add(-time.Hour), 0, false},
		"from the future": {start.Add(3 * time.Hour), start.Add(time.Hour), 0, true},
		"none proved":     {time.Time{}, start.Add(time.Hour), 0, true},
	} {
		if err := os.Chtimes(config, c.changed, c.changed); err != nil {
			t.Fatal(err)
		}
		worker := Running{Place: "unit w", Process: &restart.Process{PID: os.Getpid(), Workers: true}, Path: config, Text: text, Effective: effective}
		f := seeded(now, []Store{{Ref: "s", Key: secret.New("k")}}, []Running{worker}, state.History{ProvedAt: c.proved})
		found, err := tell(t, f, sameKey)
		if err != nil != c.unsure || len(found) != c.found {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// A file that never ends is not read, whatever names it.
func TestScheduleNamesDevice(t *testing.T) {
	for _, path := range []string{"/proc/kmsg", "/dev/zero", "/dev/kmsg"} {
		if runsBlnkctl("* * * * * root cat " + path + " | grep blnk") {
			t.Errorf("%s runs blnkctl", path)
		}
	}
}

// What cron passes over in a folder of scripts rotates nothing: a file without x bit, or,
// where run-parts is Debian's, with a dot in its name.
func TestParts(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"blnkctl": 0o755, "left": 0o644, "editor~": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nblnkctl rotate -q\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range map[string]string{"asked": os.Getenv("PATH"), "no run-parts": t.TempDir()} {
		t.Setenv("PATH", path)
		f := &Facts{Sources: Sources{Dir: dir, Env: []string{"PATH=" + path}}}
		if got := f.parts(t.Context(), dir); len(got) != 1 || filepath.Base(got[0]) != "blnkctl" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
