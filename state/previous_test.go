package state_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
)

var kept = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func aPrevious() state.Previous {
	key := secret.New("blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH")
	return state.Previous{
		Key: key, ProvedAt: kept.Add(-time.Hour), KeptAt: kept, Until: kept.Add(24 * time.Hour),
		Next: "sha256:0123456789ab", Target: []byte(`{"stores":["a"]}`),
	}
}

func TestPreviousRoundTrip(t *testing.T) {
	_, target := newTarget(t)
	path := filepath.Join(target.Path(), "previous")
	if got, err := target.LoadPrevious(); !got.IsZero() || err != nil {
		t.Errorf("nothing is kept: %v, %v", got, err)
	}
	want := aPrevious()
	if err := target.SavePrevious(want); err != nil {
		t.Fatal(err)
	}
	if got, err := target.LoadPrevious(); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("LoadPrevious = %+v, %v; want %+v", got, err, want)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range data {
		if err := os.WriteFile(path, data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := target.LoadPrevious(); !errors.Is(err, state.ErrDamaged) || !got.IsZero() || strings.Contains(err.Error(), "blnk_sk_") {
			t.Errorf("cut at %d: %+v, %v; want ErrDamaged", cut, got, err)
		}
	}
	for range 2 {
		if err := target.ForgetPrevious(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestPurgePrevious: what has ended, what a clock would keep for longer and what nobody
// can read goes, of every target; what is whole, locked or another version's stays.
func TestPurgePrevious(t *testing.T) {
	dir, _ := newTarget(t)
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.PurgePrevious(kept) // no folder is no error
	for name, c := range map[string]struct {
		after  time.Duration
		mangle func(text string) string
		locked bool
		gone   bool
	}{
		"fresh":             {after: time.Hour},
		"just kept":         {},
		"the last instant":  {after: 24*time.Hour - 1},
		"ended":             {after: 24 * time.Hour, gone: true},
		"the clock was set": {after: -time.Second, gone: true},
		"ended, and locked": {after: 48 * time.Hour, locked: true},
		"damaged":           {mangle: func(text string) string { return text[:len(text)-4] }, gone: true},
		"another version's": {after: 48 * time.Hour, mangle: func(text string) string { return strings.Replace(text, " 1 ", " 2 ", 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			target := d.Target(name)
			unlock, err := target.Lock(t.Context(), 0)
			if err == nil {
				err = target.SavePrevious(aPrevious())
			}
			if err != nil {
				t.Fatal(err)
			}
			if !c.locked {
				unlock()
			}
			path := filepath.Join(target.Path(), "previous")
			if c.mangle != nil {
				data, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, []byte(c.mangle(string(data))), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			d.PurgePrevious(kept.Add(c.after))
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) != c.gone {
				t.Errorf("gone: %v", err)
			}
			unlock()
			if err := target.ForgetPrevious(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A key that others know goes at once, a weak one too. To look whether a weak one should
// takes no time, whatever is known: each command does.
func TestPurgeCompromised(t *testing.T) {
	dir, _ := newTarget(t)
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	strong, weak, lock := aPrevious(), aPrevious(), func() {}
	weak.Key = secret.New("changeme")
	for name, c := range map[string]struct {
		kept   state.Previous
		before bool // it was known already, and the key came late
		locked bool // while it becomes known
		stays  bool
	}{
		"strong":         {kept: strong},
		"strong, locked": {kept: strong, locked: true},
		"strong, late":   {kept: strong, before: true},
		"weak":           {kept: weak},
		"weak, locked":   {kept: weak, locked: true, stays: true}, // until its time is up, or the key is named again
	} {
		target := d.Target(name)
		if c.before {
			err = d.Compromised().Add(c.kept.Key)
		}
		err = errors.Join(err, target.SavePrevious(c.kept))
		if c.locked {
			var locked error
			lock, locked = target.Lock(t.Context(), 0)
			err = errors.Join(err, locked)
		}
		if !c.before {
			err = errors.Join(err, d.Compromised().Add(c.kept.Key))
		}
		lock()
		if lock = func() {}; err != nil {
			t.Fatal(err)
		}
		d.PurgePrevious(kept)
		if p, err := target.LoadPrevious(); err != nil || p.IsZero() == c.stays {
			t.Errorf("%s: %s, %v", name, p.Key.Name(), err)
		}
	}
}

// Two weak keys, which have no fingerprint, are told apart; and from none.
func TestMark(t *testing.T) {
	strong, weak, none := aPrevious().Key, secret.New("changeme"), secret.Key{}
	for mark, of := range map[string]secret.Key{state.Mark(strong): strong, state.Mark(weak): weak, "": none} {
		for _, key := range []secret.Key{strong, weak, none, secret.New("hunter2")} {
			if got := state.Marks(mark, key); got != (key.Equal(of) && !key.IsZero()) {
				t.Errorf("%q of %s: %v", mark, key.Name(), got)
			}
		}
		if strings.Contains(mark, weak.Reveal()) || state.Mark(weak) == mark {
			t.Error(mark)
		}
	}
}

// Jobs of many targets that start at one moment do not find each other's targets locked,
// because one of them removes what has ended there.
func TestPurgeKeepsNobodyAway(t *testing.T) {
	dir, _ := newTarget(t)
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	const jobs = 20
	var wait sync.WaitGroup
	for range 10 {
		for i := range jobs {
			target := d.Target(fmt.Sprint(i))
			unlock, err := target.Lock(t.Context(), 0)
			if err == nil {
				err = target.SavePrevious(aPrevious())
			}
			if err != nil {
				t.Fatal(err)
			}
			unlock()
		}
		for i := range jobs {
			wait.Go(func() {
				d.PurgePrevious(kept.Add(48 * time.Hour))
				unlock, err := d.Target(fmt.Sprint(i)).Lock(t.Context(), 0)
				if err != nil {
					t.Error(err)
					return
				}
				unlock()
			})
		}
		wait.Wait()
	}
}
