package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
)

// A versioned store keeps the key before.
type versioned struct {
	vault
	before secret.Key
	since  time.Time
	fail   error
	down   bool
}

func (v *versioned) Get(ctx context.Context) (secret.Key, store.Version, error) {
	if v.down {
		return secret.Key{}, "", errFault
	}
	return v.vault.Get(ctx)
}

func (v *versioned) Previous(context.Context) (secret.Key, time.Time, error) {
	if v.before.IsZero() && v.fail == nil {
		return v.before, v.since, errNoKey
	}
	return v.before, v.since, v.fail
}

var errNo = errors.New("not confirmed")

// known is a list of compromised keys.
type known []secret.Key

func (k *known) Add(keys ...secret.Key) error { *k = append(*k, keys...); return nil }
func (k *known) Has(keys ...secret.Key) (bool, error) {
	return slices.ContainsFunc(keys, func(key secret.Key) bool { return slices.ContainsFunc(*k, key.Equal) }), nil
}

// TestRollback: which key comes back, and why none does.
func TestRollback(t *testing.T) {
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // a bubble's
	fp := oldKey.Fingerprint()
	for name, c := range map[string]struct {
		setup func(w *world, r *process, v *versioned)
		want  error
		says  string // the error, or the plan
	}{
		"from the state folder":  {says: "which is 60 minutes old, from the state folder, until 2000-01-02 00:00 UTC"},
		"its time is up":         {setup: func(w *world, _ *process, _ *versioned) { w.previous.Until = now }, want: ErrNoPrevious, says: "no key is kept longer"},
		"a clock was set back":   {setup: func(w *world, _ *process, _ *versioned) { w.previous.KeptAt = now.Add(1) }, want: ErrNoPrevious},
		"none was kept":          {setup: func(w *world, _ *process, _ *versioned) { w.previous = state.Previous{} }, want: ErrNoPrevious},
		"another key came since": {setup: func(w *world, _ *process, _ *versioned) { w.previous.Next = "sha256:other" }, want: ErrNoPrevious, says: "not the one before"},
		"another weak key came since": {setup: func(w *world, _ *process, _ *versioned) {
			w.previous.Next, w.history.Key = state.Mark(secret.New("changeme")), ""
			w.keys = [2]secret.Key{secret.New("hunter2"), secret.New("hunter2")}
		}, want: ErrNoPrevious, says: "not the one before"},
		"in place of a weak key": {setup: func(w *world, _ *process, _ *versioned) {
			weak := secret.New("hunter2")
			w.previous.Next, w.history.Key = state.Mark(weak), ""
			w.keys, w.server.key, w.worker.key = [2]secret.Key{weak, weak}, weak, weak
		}, says: "which is 60 minutes old, from the state folder"},
		"it is in force already": {setup: func(w *world, _ *process, _ *versioned) { w.previous.Key = oldKey }, want: ErrNoPrevious},
		"it was rolled back":     {setup: func(w *world, _ *process, v *versioned) { w.history.RolledBackAt, v.before = now, newKey }, want: ErrNoPrevious, says: "was rolled back at 2000-01-01"},
		"it was retired":         {setup: func(w *world, _ *process, v *versioned) { w.history.RetiredAt, v.before = now, newKey }, want: ErrNoPrevious, says: "was retired at 2000-01-01"},
		"retired, of another key": {setup: func(w *world, _ *process, _ *versioned) {
			w.history = state.History{Key: "sha256:other", RetiredAt: now}
		}},
		"it is compromised": {setup: func(_ *world, r *process, _ *versioned) { r.Env.Compromised = &known{newKey} }, want: ErrNoPrevious, says: "known to be compromised"},
		"from the store": {setup: func(w *world, _ *process, v *versioned) {
			w.previous, v.before, v.since = state.Previous{}, newKey, now.Add(-72*time.Hour)
		}, says: "which is 3 days old at least, from cell:0"},
		"compromised in the store": {setup: func(w *world, r *process, v *versioned) {
			w.previous, v.before, r.Env.Compromised = state.Previous{}, newKey, &known{newKey}
		}, want: ErrNoPrevious},
		"the store fails":       {setup: func(w *world, _ *process, v *versioned) { w.previous, v.fail = state.Previous{}, errFault }, want: errFault},
		"the stores differ":     {setup: func(w *world, _ *process, _ *versioned) { w.keys[1] = thirdKey }, want: store.ErrDrift},
		"the server has it":     {setup: func(w *world, _ *process, _ *versioned) { w.server.key = newKey }, want: ErrNotLive},
		"secure mode is off":    {setup: func(w *world, _ *process, _ *versioned) { w.open = true }, want: ErrOpen},
		"no --restart":          {setup: func(_ *world, r *process, _ *versioned) { r.Drivers = nil }, want: nil, says: "--restart is required"},
		"servers are stopped":   {setup: func(w *world, r *process, _ *versioned) { w.server.dead, r.Intent.ServerDown = true, true }},
		"a server that is down": {setup: func(w *world, _ *process, _ *versioned) { w.server.dead = true }, want: ErrSilent},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, _ *process) {
				rotated(w)
				r := w.process(Intent{Event: Rollback})
				v := &versioned{vault: vault{cell: cell{w, 0}}}
				r.Set[0] = v
				if c.setup != nil {
					c.setup(w, r, v)
				}
				p, dry := r.Check(t.Context())
				if text := p.Due.Why; dry == nil && !strings.Contains(text, c.says) || dry != nil && !strings.Contains(dry.Error(), c.says) {
					t.Errorf("%q, %v; want %q", text, dry, c.says)
				}
				held := w.keys
				res, err := r.Run(t.Context())
				failed := c.want != nil || strings.HasPrefix(c.says, "--")
				if (err != nil) != failed || (dry != nil) != failed || c.want != nil && (!errors.Is(err, c.want) || !errors.Is(dry, c.want)) {
					t.Fatalf("%v; dry %v; want %v", err, dry, c.want)
				}
				if failed {
					if res.Outcome != Refused || !w.holds(held) {
						t.Errorf("%q, %v", res.Outcome, w.keys)
					}
					return
				}
				if res.Outcome != Restored || !w.holds([2]secret.Key{newKey, newKey}) || !w.server.key.Equal(newKey) || !w.worker.key.Equal(newKey) || !w.previous.IsZero() {
					t.Errorf("%q, previous %s", res.Outcome, w.previous.Key.Name())
				}
				if h := w.history; h.Key != newKey.Fingerprint() || !h.RolledBackAt.Equal(now) || h.ProvedAt.Equal(now) || h.ProvedAt.IsZero() == h.SeenAt.IsZero() {
					t.Errorf("history %+v", h)
				}
				// Twice is once, and cron waits until the next day.
				if _, err := r.Run(t.Context()); !errors.Is(err, ErrNoPrevious) {
					t.Errorf("once more: %v", err)
				}
				cron := w.process(Intent{IfDue: true, Policy: policy.Policy{MaxAge: time.Minute}})
				if res, err := cron.Run(t.Context()); err != nil || !res.Due.Waiting {
					t.Errorf("cron: %+v, %v", res.Due, err)
				}
				if fp == w.history.Key {
					t.Error("the newer key is in force")
				}
			})
		})
	}
}

// A rollback that fails is put back, keeps the way back, and is no failure of a rotation.
func TestRollbackFails(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *process) {
		rotated(w)
		r := w.process(Intent{Event: Rollback})
		r.drive(restartsAs{w, func() { w.server.dead = w.keys[1].Equal(newKey) }})
		kept, history := w.previous, w.history
		res, err := r.Run(t.Context())
		if !errors.Is(err, ErrUndone) || res.Outcome != RolledBack || !w.holds([2]secret.Key{oldKey, oldKey}) {
			t.Errorf("%q, %v", res.Outcome, err)
		}
		if !w.previous.Key.Equal(kept.Key) || w.history.Failures != 0 || w.history.ProvedAt != history.ProvedAt {
			t.Errorf("%+v, %+v", w.previous, w.history)
		}
	})
}

// TestKeepPrevious: which rotations keep the key before, and for how long.
func TestKeepPrevious(t *testing.T) {
	hour, none := time.Hour, time.Duration(0)
	forAnHour, forNoTime := policy.Policy{KeepPrevious: &hour}, policy.Policy{KeepPrevious: &none}
	proved := time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		opt   Intent
		setup func(w *world, r *process)
		want  secret.Key
	}{
		"a rotation":          {opt: Intent{Policy: forAnHour}, want: oldKey},
		"for no time":         {opt: Intent{Policy: forNoTime}},
		"a compromised one":   {opt: Intent{Policy: forAnHour, Compromised: true}},
		"one known later":     {opt: Intent{Policy: forAnHour}, setup: func(_ *world, r *process) { r.Env.Compromised = &known{oldKey} }},
		"a sync that follows": {opt: Intent{Policy: forAnHour}, setup: func(w *world, r *process) { behind(w); r.Intent.Trust = true; r.syncing() }, want: oldKey},
		"a server was behind": {opt: Intent{Policy: forAnHour}, setup: func(w *world, r *process) { w.server.key = newKey; r.syncing() }, want: thirdKey},
		"a copy was behind":   {opt: Intent{Policy: forAnHour}, setup: func(w *world, r *process) { w.keys[1] = newKey; r.syncing() }, want: thirdKey},
		"it was put back":     {opt: Intent{Policy: forAnHour}, setup: func(w *world, r *process) { r.drive(restartsAs{w, func() { w.server.dead = w.keys[1].Equal(newKey) }}) }, want: thirdKey},
		"nothing was to do":   {opt: Intent{IfDue: true, Policy: policy.Policy{MaxAge: 1000 * time.Hour}}, want: thirdKey},
		"it could not be kept": {opt: Intent{Policy: forAnHour}, setup: func(w *world, _ *process) {
			w.faults = []fault{{w.touchesUntil(Intent{Policy: forAnHour}, "save previous"), errBefore}}
		}, want: thirdKey},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, _ *process) {
				keeping(w)
				w.history.ProvedAt = proved
				r := w.process(c.opt)
				if c.setup != nil {
					c.setup(w, r)
				}
				res, err := r.Run(t.Context())
				if err != nil && !errors.Is(err, ErrUndone) {
					t.Fatal(err)
				}
				p := w.previous
				if !p.Key.Equal(c.want) {
					t.Errorf("kept is %s", p.Key.Name())
				}
				if c.want.Equal(oldKey) && (!p.ProvedAt.Equal(proved) || p.Until.Sub(p.KeptAt) != time.Hour || p.Next != newKey.Fingerprint()) {
					t.Errorf("%+v", p)
				}
				if res.Incomplete != (name == "it could not be kept") {
					t.Errorf("incomplete: %v, %q", res.Incomplete, res.Warnings)
				}
			})
		})
	}
}

// What was rotated is what goes back, but for what is said.
func TestRetrace(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, r *process) {
		if _, err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		said := r.Spec
		said.Stores, said.Restart, said.Servers, said.Timeout = said.Stores[:1], nil, []string{"http://other"}, 1
		got := Retrace(w, said, func(flag string) bool { return flag == "server" })
		want := r.Spec
		want.Servers = said.Servers
		one, _ := json.Marshal(got)
		other, _ := json.Marshal(want)
		if string(one) != string(other) {
			t.Errorf("%s, want %s", one, other)
		}
		w.previous = state.Previous{}
		if got := Retrace(w, said, func(string) bool { return false }); len(got.Stores) != 1 || got.Restart != nil {
			t.Errorf("%+v", got)
		}
	})
}

// Without an open rotation an abort tells of the way back, where there is one.
func TestAbortOffersRollback(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, r *process) {
		rotated(w)
		for _, want := range []string{"blnkctl rollback brings the previous key back: " + newKey.Name(), ""} {
			res, err := r.Abort(t.Context())
			if next := strings.Join(res.Next("", "", true), "; "); err != nil || res.Outcome != None || !strings.HasPrefix(next, want) || want == "" && next != "" {
				t.Errorf("%q, %v, %q", res.Outcome, err, next)
			}
			w.previous = state.Previous{}
		}
	})
}

// TestEndPrevious ends the key before, wherever it is kept, once.
func TestEndPrevious(t *testing.T) {
	for name, c := range map[string]struct {
		setup  func(w *world, v *versioned)
		no     error // of a person
		want   error
		purged []secret.Key
		end    Outcome
	}{
		"in the state folder":     {purged: []secret.Key{newKey}, end: Retired},
		"in the store":            {setup: func(w *world, v *versioned) { w.previous, v.before = state.Previous{}, newKey }, purged: []secret.Key{newKey}, end: Retired},
		"in both":                 {setup: func(_ *world, v *versioned) { v.before = newKey }, purged: []secret.Key{newKey}, end: Retired},
		"two keys":                {setup: func(_ *world, v *versioned) { v.before = thirdKey }, purged: []secret.Key{newKey, thirdKey}, end: Retired},
		"nowhere":                 {setup: func(w *world, _ *versioned) { w.previous = state.Previous{} }, end: None},
		"it is in force":          {setup: func(w *world, _ *versioned) { w.previous.Key = oldKey }, end: Retired},
		"not to be destroyed":     {setup: func(_ *world, v *versioned) { v.vault.fail = errFault }, want: ErrLeft, purged: []secret.Key{newKey}, end: Retired},
		"the store tells nothing": {setup: func(_ *world, v *versioned) { v.fail = errFault }, want: ErrLeft, end: Retired},
		"the store is down":       {setup: func(_ *world, v *versioned) { v.down, v.before = true, newKey }, want: ErrLeft, end: Retired},
		"down, and nothing kept":  {setup: func(w *world, v *versioned) { w.previous, v.down = state.Previous{}, true }, want: errFault, end: Refused},
		"nobody says yes":         {no: errNo, want: errNo, end: Refused},
		"the stores differ":       {setup: func(w *world, _ *versioned) { w.keys[1] = thirdKey }, want: store.ErrDrift, end: Refused},
		"a rotation is open":      {setup: func(w *world, _ *versioned) { w.journal = openJournal(w) }, want: ErrUnfinished, end: Refused},
		"the state is a full one": {setup: func(w *world, _ *versioned) { w.history = state.History{Key: "sha256:other"} }, purged: []secret.Key{newKey}, end: Retired},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, _ *process) {
				rotated(w)
				v := &versioned{vault: vault{cell: cell{w, 0}}}
				r := w.process(Intent{})
				r.Set[0], r.Intent.Event = v, Retire
				r.Env.Confirm = func(_ context.Context, p Plan) error {
					if text := p.Text("") + p.Question(); !strings.HasPrefix(text, "Retire ") || !strings.HasSuffix(text, "Nothing brings it back.\nEnd it now?") {
						t.Errorf("asked: %q", text)
					}
					return c.no
				}
				if c.setup != nil {
					c.setup(w, v)
				}
				kept := w.previous
				end, err := EndPrevious(t.Context(), r.Target, r.Intent, r.Env, true)
				if c.no == nil && (!errors.Is(err, c.want) || end.Outcome != c.end) || len(v.purged) > 0 || !w.previous.Key.Equal(kept.Key) || len(w.audit) > 0 {
					t.Errorf("dry run: %+v, %v", end, err)
				}
				end, err = EndPrevious(t.Context(), r.Target, r.Intent, r.Env, false)
				if !errors.Is(err, c.want) || end.Outcome != c.end || len(v.purged) != len(c.purged) {
					t.Fatalf("%+v, %v, %d purged", end, err, len(v.purged))
				}
				for i, key := range c.purged {
					if !v.purged[i].Equal(key) || w.audit[i].Event != Retire || w.audit[i].Outcome != string(Retired) || w.audit[i].Old != key.Fingerprint() {
						t.Errorf("%s purged, %+v", v.purged[i].Name(), w.audit[i])
					}
				}
				if c.end != Retired {
					if !w.previous.Key.Equal(kept.Key) {
						t.Error("refused, and the key is gone")
					}
					return
				}
				if !w.previous.IsZero() {
					t.Error("the state folder still has it")
				}
				v.before, v.purged, v.vault.fail, v.fail, v.down = secret.Key{}, nil, nil, nil, false
				if again, err := EndPrevious(t.Context(), r.Target, r.Intent, r.Env, false); err != nil || again.Outcome != None || len(w.audit) != max(1, len(c.purged)) {
					t.Errorf("once more: %+v, %v", again, err)
				}
				back := w.process(Intent{Event: Rollback})
				if _, err := back.Run(t.Context()); !errors.Is(err, ErrNoPrevious) {
					t.Errorf("and back: %v", err)
				}
			})
		})
	}
}

// full is a state on a disk that has room only where the previous key was.
type full struct{ *world }

func (f full) SaveHistory(h state.History) error {
	if !f.previous.IsZero() {
		return errFault
	}
	return f.world.SaveHistory(h)
}

// To end the previous key needs no room.
func TestEndPreviousOnAFullDisk(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, _ *process) {
		rotated(w)
		r := w.process(Intent{})
		r.Intent.Event, r.State = Retire, full{w}
		end, err := EndPrevious(t.Context(), r.Target, r.Intent, r.Env, false)
		if err != nil || end.Outcome != Retired || !w.previous.IsZero() || w.history.RetiredAt.IsZero() {
			t.Errorf("%+v, %v; kept %s, %+v", end, err, w.previous.Key.Name(), w.history)
		}
	})
}

// openJournal is that of a rotation which was just begun.
func openJournal(w *world) []byte {
	v := newWorld()
	v.faults = []fault{{v.touchesUntil(Intent{}, "put cell:0"), crashBefore}}
	_, _, _ = v.run(forwards, Intent{})
	return v.journal
}
