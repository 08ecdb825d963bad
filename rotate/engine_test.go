package rotate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
)

var thirdKey = secret.New("3rd-bV6nM8qW2eR5tY9uI1oP4aS7dF0gH")

// An address gives the answers of one server as a function of the key, or of
// several that take turns.
type address struct {
	turns []func(secret.Key) blnk.Answer
	asked int
}

func (a *address) String() string { return "http://address" }

func (a *address) Ask(_ context.Context, key secret.Key) (blnk.Answer, error) {
	answer := a.turns[a.asked%len(a.turns)](key)
	a.asked++
	if answer == blnk.Nothing {
		return answer, errors.New("HTTP 503")
	}
	return answer, nil
}

// answers is a server that gives these answers to the new key, the old key and
// any other.
func answers(toNew, toOld, toRandom blnk.Answer) func(secret.Key) blnk.Answer {
	return func(key secret.Key) blnk.Answer {
		switch {
		case key.Equal(newKey):
			return toNew
		case key.Equal(oldKey):
			return toOld
		default:
			return toRandom
		}
	}
}

// bubble runs a test in a world of its own, whose clock does not cost time.
func bubble(t *testing.T, test func(t *testing.T, w *world, r *process)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		test(t, w, w.process(Intent{}))
	})
}

// restartsAs makes every restart from now on start the server with this key.
type restartsAs struct {
	*world
	then func()
}

func (r restartsAs) Restart(ctx context.Context) error {
	err := r.world.Restart(ctx)
	r.then()
	return err
}

// What becomes of a rotation after each line of the table, and how long it
// takes: a server that cannot come right is not waited for.
func TestAfterTheRestart(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(w *world)
		want error // the EndError's state; nil: rotated
		// within is the longest that it may take.
		within time.Duration
		around bool
	}{
		{"as it should", func(*world) {}, nil, time.Second, false},
		{"the old key lives on", func(w *world) { w.scoped = oldKey }, nil, time.Second, true},
		{"the environment holds the old key", func(w *world) { w.server.key = oldKey }, ErrUndone, 21 * time.Second, false},
		{"secure mode is off", func(w *world) { w.open = w.keys[1].Equal(newKey) }, ErrUndone, time.Second, false},
		{"secure mode is off for good", func(w *world) { w.open = true }, ErrStuck, time.Second, false},
		{"another key, once", func(w *world) {
			if w.keys[1].Equal(newKey) {
				w.server.key = thirdKey
			}
		}, ErrUndone, time.Second, false},
		{"another key for good", func(w *world) { w.server.key = thirdKey }, ErrStuck, time.Second, false},
		{"dead with the new key", func(w *world) { w.server.dead = w.keys[1].Equal(newKey) }, ErrUndone, 21 * time.Second, false},
		{"dead for good", func(w *world) { w.server.dead = true }, ErrStuck, 42 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, r *process) {
				r.drive(restartsAs{w, func() { c.then(w) }})
				begin := time.Now()
				res, err := r.Run(t.Context())
				if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) || res.Incomplete != c.around {
					t.Errorf("ended %q, around %v, %v; want %v", res.Outcome, res.Incomplete, err, c.want)
				}
				if took := time.Since(begin); took > c.within {
					t.Errorf("took %s, want at most %s", took, c.within)
				}
				if (w.journal != nil) != errors.Is(err, ErrStuck) {
					t.Errorf("journal there: %v, with %v", w.journal != nil, err)
				}
				if want := map[bool]secret.Key{true: newKey, false: oldKey}[c.want == nil]; !w.keys[0].Equal(want) || !w.keys[1].Equal(want) {
					t.Error("the stores hold another key than the end says")
				}
			})
		})
	}
}

// Every way to refuse before the first effect, with its error; nothing is
// written, and the dry run says the same.
// A sealed store cannot be written.
type sealed struct{ cell }

func (sealed) CheckPut(context.Context) error { return errFault }

func TestRefusedBeforehand(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(w *world, r *process)
		want  error
	}{
		{"drift", func(w *world, _ *process) { w.keys[1] = thirdKey }, store.ErrDrift},
		{"another key is live", func(w *world, _ *process) { w.server.key = thirdKey }, ErrNotLive},
		{"open", func(w *world, _ *process) { w.open = true }, ErrOpen},
		{"silent", func(w *world, _ *process) { w.server.dead = true }, ErrSilent},
		{"preflight", func(_ *world, r *process) {
			r.Before = func(context.Context, secret.Key) (Findings, error) { return Findings{}, errFault }
		}, errFault},
		{"unknown age", func(_ *world, r *process) {
			r.Intent.IfDue, r.Intent.Policy.MaxAge, r.Intent.IfUnknown = true, time.Hour, FailUnknown
		}, ErrUnknownAge},
		{"adopted, and another is live", func(w *world, r *process) {
			w.server.key = thirdKey
			r.Intent.IfDue, r.Intent.Policy.MaxAge, r.Intent.IfUnknown = true, time.Hour, AdoptUnknown
		}, ErrNotLive},
		{"not to be written", func(w *world, r *process) { r.Set[1] = sealed{cell{w, 1}} }, errFault},
		{"replicas differ", func(_ *world, r *process) {
			r.Servers = []*proof.Server{{Asker: &address{turns: []func(secret.Key) blnk.Answer{
				answers(blnk.Rejected, blnk.Live, blnk.Rejected), answers(blnk.Rejected, blnk.Rejected, blnk.Rejected)}}}}
		}, ErrNotLive},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, r *process) {
				c.setup(w, r)
				before := w.keys
				_, dry := r.Check(t.Context())
				if len(w.audit) != 0 {
					t.Error("a dry run wrote into the audit log")
				}
				_, err := r.Run(t.Context())
				if !errors.Is(err, c.want) || !errors.Is(dry, c.want) || err.Error() != dry.Error() {
					t.Errorf("run: %v; dry run: %v; want %v", err, dry, c.want)
				}
				if w.journal != nil || !w.holds(before) || slices.Contains(w.trace, "restart server") {
					t.Error("something was changed")
				}
				if len(w.audit) != 1 || w.audit[0].Outcome != string(Refused) {
					t.Errorf("audit: %v", w.audit)
				}
			})
		})
	}
}

func TestServerDownNeedsNoProofBeforehand(t *testing.T) {
	for name, setup := range map[string]func(*world){
		"stopped":  func(w *world) { w.server.dead = true },
		"lost key": func(w *world) { w.server.key = thirdKey },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, r *process) {
				setup(w)
				r.Intent.ServerDown = true
				if res, err := r.Run(t.Context()); err != nil || res.Outcome != Rotated || !w.server.key.Equal(newKey) {
					t.Errorf("%+v, %v", res, err)
				}
			})
		})
	}
}

// interrupting ends the context at one touch.
type interrupting struct {
	cell
	cancel context.CancelFunc
	at     int
}

func (i interrupting) Get(ctx context.Context) (secret.Key, store.Version, error) {
	if i.touches >= i.at {
		i.cancel()
	}
	return i.cell.Get(ctx)
}

// A signal at any time ends in one key everywhere and no journal: the old one,
// or the new one when it was proved already.
func TestInterruptedAnywhere(t *testing.T) {
	ends := map[string]int{}
	for at := range 40 {
		bubble(t, func(t *testing.T, w *world, r *process) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for i := range r.Set {
				r.Set[i] = interrupting{cell{w, i}, cancel, at}
			}
			r.drive(restartsAs{w, func() {
				if w.touches >= at {
					cancel()
				}
			}})
			res, err := r.Run(ctx)
			end := ending(res, false, err)
			if errors.Is(err, ErrInterrupted) && !errors.Is(err, ErrUndone) {
				end = "interrupted"
			}
			ends[end]++
			if problem := (sweepCase{}).check(w, res, false, err); problem != "" {
				t.Errorf("at %d: %s", at, problem)
			}
		})
	}
	for _, end := range []string{"interrupted", "undone", "rotated"} {
		if ends[end] == 0 {
			t.Errorf("no end %q among %v", end, ends)
		}
	}
}

// A signal is answered in every step, with what it leads to there.
func TestASignalIsAnswered(t *testing.T) {
	for _, c := range []struct {
		step Progress
		want string
	}{
		{Progress{Step: rowCreate}, ""},
		{Progress{Step: rowSet}, "interrupted: putting back; again to stop now"},
		{Progress{Step: rowRestart}, "interrupted: putting back when the restart has ended; again to stop now"},
		{Progress{Step: rowSet, Undo: true}, "interrupted: the old key is being put back; again to stop now"},
		{Progress{Step: rowTest, Undo: true}, "interrupted: the old key is being put back; again to stop now"},
	} {
		bubble(t, func(t *testing.T, w *world, r *process) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			said := make(chan string, 9)
			defer func() {
				close(said)
				if got := <-said; got != c.want || len(said) > 0 {
					t.Errorf("%+v: said %q, want %q", c.step, got, c.want)
				}
			}()
			r.Progress = func(p Progress) {
				switch {
				case p.Kind == Urgent:
					said <- p.Text
				case p.Kind == Started && p.Step == c.step.Step && p.Undo == c.step.Undo:
					cancel()
					synctest.Wait()
				}
			}
			r.drive(restartsAs{w, func() { w.server.dead = w.keys[1].Equal(newKey) }})
			_, _ = r.Run(ctx)
		})
	}
}

// resumable is a world whose rotation crashed right after the restart.
func resumable(t *testing.T, opt Intent) *world {
	w := newWorld()
	w.faults = []fault{{w.touchesUntil(opt, "restart worker"), crashAfter}}
	if _, crashed, err := w.run(forwards, opt); !crashed || w.journal == nil {
		t.Fatalf("did not crash as planned: %v", err)
	}
	return w
}

// touchesUntil rehearses to find out which touch a deed is.
func (w *world) touchesUntil(opt Intent, name string) int {
	rehearsal := newWorld()
	_, _, _ = rehearsal.run(forwards, opt)
	return slices.Index(rehearsal.trace, name) + 1
}

func TestResumeIsForAPersonWhere(t *testing.T) {
	for name, setup := range map[string]func(*world){
		"the server takes neither key": func(w *world) { w.server.key = thirdKey },
		"the server takes every key":   func(w *world) { w.open = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := resumable(t, Intent{})
				setup(w)
				before, touches := w.keys, len(w.trace)
				_, err := w.process(Intent{}).Run(t.Context())
				if !errors.Is(err, ErrStuck) || w.journal == nil || !w.holds(before) {
					t.Errorf("%v, journal %v", err, w.journal != nil)
				}
				if did := strings.Join(w.trace[touches:], ","); strings.Contains(did, "put") || strings.Contains(did, "restart") {
					t.Errorf("something was done: %s", did)
				}
			})
		})
	}
}

func TestRepairedByAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resumable(t, Intent{})
		w.keys, w.server.key = [2]secret.Key{thirdKey, thirdKey}, thirdKey
		res, err := w.process(Intent{}).Run(t.Context())
		if err != nil || res.Outcome != Abandoned || w.journal != nil || !w.keys[0].Equal(thirdKey) {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestAbandon(t *testing.T) {
	for name, c := range map[string]struct {
		setup   func(*world)
		confirm func(error) error
		want    Outcome
	}{
		"all agree":                       {func(w *world) { w.server.key = newKey }, nil, Abandoned},
		"the server disagrees":            {func(w *world) { w.server.key = thirdKey }, nil, Refused},
		"a store disagrees":               {func(w *world) { w.keys[0] = oldKey }, nil, Refused},
		"a person says yes":               {func(w *world) { w.keys[0] = oldKey }, func(error) error { return nil }, Abandoned},
		"a person says no":                {func(w *world) { w.keys[0] = oldKey }, func(error) error { return errFault }, Refused},
		"the journal cannot be read":      {func(w *world) { w.journal = []byte("{") }, nil, Abandoned},
		"the journal is of a later time":  {func(w *world) { w.journal = []byte(`{"version": 99}`) }, nil, Abandoned},
		"there is no journal":             {func(w *world) { w.journal = nil }, nil, None},
		"the journal cannot be believed":  {func(w *world) { w.journal = []byte(`{"version": 3, "id": "x"}`) }, nil, Abandoned},
		"damaged, and the server is open": {func(w *world) { w.journal, w.open = []byte("{"), true }, nil, Refused},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := resumable(t, Intent{})
				c.setup(w)
				had := w.journal != nil
				res, err := w.process(Intent{}).Abandon(t.Context(), c.confirm)
				if res.Outcome != c.want || (err != nil) != (c.want == Refused) {
					t.Errorf("%q, %v; want %q", res.Outcome, err, c.want)
				}
				if (w.journal != nil) != (had && c.want == Refused) {
					t.Errorf("journal there: %v", w.journal != nil)
				}
			})
		})
	}
}

func TestUnusableJournal(t *testing.T) {
	for name, c := range map[string]struct {
		journal string
		want    error
	}{
		"damaged":         {"{", ErrJournal},
		"empty":           {"", ErrJournal},
		"later version":   {`{"version": 99}`, ErrJournal},
		"earlier version": {`{"version": 1}`, ErrJournal},
		"no row":          {`{"version":3,"id":"a","target":{"stores":["a"]},"direction":"forward","old":{"a":"x"},"new":"y"}`, ErrJournal},
		"other stores": {`{"version":3,"id":"a","event":"rotate","target":{"stores":["cell:0"]},"direction":"forward","row":"set","old":{"cell:0":"x"},"live":"x","new":"y"}`,
			ErrOtherStores},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, r *process) {
				w.journal = []byte(c.journal)
				for what, do := range map[string]func() error{
					"run":   func() error { _, err := r.Run(t.Context()); return err },
					"abort": func() error { _, err := r.Abort(t.Context()); return err },
					"check": func() error { _, err := r.Check(t.Context()); return err },
				} {
					if err := do(); !errors.Is(err, c.want) {
						t.Errorf("%s: %v, want %v", what, err, c.want)
					}
				}
				if string(w.journal) != c.journal || w.touches != 3 {
					t.Error("something was touched")
				}
			})
		})
	}
}

// A store with a real compare-and-swap is written first.
type swapping struct{ cell }

func (swapping) Swaps() bool { return true }

func TestSwappersAreWrittenFirst(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, r *process) {
		r.Set[1] = swapping{cell{w, 1}}
		if _, err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if slices.Index(w.trace, "put cell:1") > slices.Index(w.trace, "put cell:0") {
			t.Error("the swapper was written last")
		}
	})
}

func TestDue(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	fp := oldKey.Fingerprint()
	refs := digest(newWorld().process(Intent{}).Spec)
	for name, c := range map[string]struct {
		history state.History
		opt     Intent
		weak    string
		want    Outcome
	}{
		"proved long ago":           {history: state.History{Key: fp, ProvedAt: ago(91 * day)}, want: Rotated},
		"proved lately":             {history: state.History{Key: fp, ProvedAt: ago(89 * day)}, want: NotDue},
		"seen long ago":             {history: state.History{Key: fp, SeenAt: ago(91 * day)}, want: Rotated},
		"seen lately":               {history: state.History{Key: fp, SeenAt: ago(89 * day)}, want: NotDue},
		"a time in the future":      {history: state.History{Key: fp, ProvedAt: ago(-day)}, want: Rotated},
		"rolled back in the future": {history: state.History{Key: fp, ProvedAt: ago(91 * day), Failures: 1, FailedAt: ago(-day), FailedRefs: refs}, want: Rotated},
		"never seen, adopt":         {opt: Intent{IfUnknown: AdoptUnknown}, want: Adopted},
		"never seen, rotate":        {opt: Intent{IfUnknown: RotateUnknown}, want: Rotated},
		"another key was proved":    {history: state.History{Key: "sha256:other", ProvedAt: ago(day)}, opt: Intent{IfUnknown: AdoptUnknown}, want: Adopted},
		"weak":                      {history: state.History{Key: fp, ProvedAt: ago(day)}, weak: "a placeholder", want: Rotated},
		"compromised":               {history: state.History{Key: fp, ProvedAt: ago(day)}, opt: Intent{Compromised: true}, want: Rotated},
		"rolled back just now":      {history: state.History{Key: fp, ProvedAt: ago(91 * day), Failures: 1, FailedAt: ago(59 * time.Minute), FailedRefs: refs}, want: NotDue},
		"rolled back an hour ago":   {history: state.History{Key: fp, ProvedAt: ago(91 * day), Failures: 1, FailedAt: ago(time.Hour), FailedRefs: refs}, want: Rotated},
		"rolled back three times":   {history: state.History{Key: fp, ProvedAt: ago(91 * day), Failures: 3, FailedAt: ago(4*time.Hour - 1), FailedRefs: refs}, want: NotDue},
		"three times, later":        {history: state.History{Key: fp, ProvedAt: ago(91 * day), Failures: 3, FailedAt: ago(4 * time.Hour), FailedRefs: refs}, want: Rotated},
		"a hundred times":           {history: state.History{Key: fp, ProvedAt: ago(91 * day), Failures: 100, FailedAt: ago(day), FailedRefs: refs}, want: Rotated},
		"a person went back":        {history: state.History{Key: fp, ProvedAt: ago(91 * day), RolledBackAt: ago(day - 1)}, want: NotDue},
		"went back, not due":        {history: state.History{Key: fp, ProvedAt: ago(89 * day), RolledBackAt: ago(time.Minute)}, want: NotDue},
		"went back a day ago":       {history: state.History{Key: fp, ProvedAt: ago(91 * day), RolledBackAt: ago(day)}, want: Rotated},
		"went back in the future":   {history: state.History{Key: fp, ProvedAt: ago(91 * day), RolledBackAt: ago(-day)}, want: Rotated},
		"went back to another key":  {history: state.History{Key: "sha256:other", RolledBackAt: ago(time.Minute)}, opt: Intent{IfUnknown: RotateUnknown}, want: Rotated},
		"with other references":     {history: state.History{Key: fp, ProvedAt: ago(91 * day), Failures: 1, FailedAt: ago(time.Minute), FailedRefs: "other"}, want: Rotated},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, _ *process) {
				c.opt.IfDue, c.opt.Policy.MaxAge = true, 90*day
				w.history = c.history
				r := w.process(c.opt)
				r.Now = func() time.Time { return now }
				r.Weak = func(secret.Key) string { return c.weak }
				res, err := r.Run(t.Context())
				if err != nil || res.Outcome != c.want {
					t.Errorf("%q, %v; want %q", res.Outcome, err, c.want)
				}
				if c.want == Adopted && (w.history.Key != fp || !w.history.SeenAt.Equal(now)) {
					t.Errorf("adopted: %+v", w.history)
				}
			})
		})
	}
}

// A rollback is counted once, with its time and its references.
func TestARollbackIsRemembered(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, r *process) {
		r.drive(restartsAs{w, func() { w.server.dead = w.keys[1].Equal(newKey) }})
		if _, err := r.Run(t.Context()); !errors.Is(err, ErrUndone) {
			t.Fatal(err)
		}
		f := w.history
		if f.Failures != 1 || f.FailedRefs != digest(r.Spec) || !f.FailedAt.Equal(time.Now().UTC()) {
			t.Errorf("%+v", f)
		}
	})
}

// A keeper does not take the old key back.
type keeper struct{ cell }

func (k keeper) Put(ctx context.Context, next secret.Key, at store.Version) (store.Version, error) {
	if next.Equal(oldKey) {
		return "", errFault
	}
	return k.cell.Put(ctx, next, at)
}

// A step of the way back in which a store was left as it is did not go well,
// though the others go on.
func TestAnUndoThatFailsShowsSo(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, r *process) {
		r.Set[0] = keeper{cell{w, 0}}
		r.drive(restartsAs{w, func() { w.server.dead = w.keys[1].Equal(newKey) }})
		var failed []string
		r.Progress = func(e Progress) {
			if e.Undo && e.Kind == Failed {
				failed = append(failed, e.Step+": "+e.Text)
			}
		}
		if _, err := r.Run(t.Context()); !errors.Is(err, ErrStuck) {
			t.Fatal(err)
		}
		if len(failed) == 0 || !strings.HasPrefix(failed[0], "set: ") || !strings.Contains(failed[0], errFault.Error()) {
			t.Errorf("failed steps: %q", failed)
		}
	})
}
