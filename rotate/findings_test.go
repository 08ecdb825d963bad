package rotate

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/target"
)

// cautious is a preflight that passes with a caution and a remark.
func cautious(context.Context, secret.Key) (Findings, error) {
	return Findings{Remarks: []string{"a remark"}, Cautions: []string{"a caution"}}, nil
}

// What a rotation may miss is a warning of its result, also where another
// process ends it; where it is undone, nothing was missed.
func TestCautionsAreWarningsOfTheResult(t *testing.T) {
	bubble(t, func(t *testing.T, _ *world, r *process) {
		r.Before = cautious
		plan, err := r.Check(t.Context())
		if err != nil || !slices.Contains(plan.Remarks, "a remark") || !slices.Equal(plan.Cautions, []string{"a caution"}) {
			t.Errorf("plan: %+v, %v", plan.Findings, err)
		}
		if res, err := r.Run(t.Context()); err != nil || !slices.Equal(res.Warnings, plan.Cautions) {
			t.Errorf("warnings: %q, %v", res.Warnings, err)
		}
	})
	bubble(t, func(t *testing.T, w *world, r *process) {
		r.Before = cautious
		r.drive(restartsAs{w, func() { w.server.dead = w.keys[1].Equal(newKey) }})
		if res, err := r.Run(t.Context()); !errors.Is(err, ErrUndone) || len(res.Warnings) != 0 {
			t.Errorf("undone: %q, %v", res.Warnings, err)
		}
	})
	bubble(t, func(t *testing.T, w *world, r *process) {
		r.Before = cautious
		drivers := r.Drivers
		r.drive(restartsAs{w, func() { panic(crash{}) }})
		func() {
			defer func() { _ = recover() }()
			_, _ = r.Run(t.Context())
		}()
		r.Before, r.Drivers = nil, drivers
		if res, err := r.Run(t.Context()); err != nil || res.Outcome != Resumed || !slices.Equal(res.Warnings, []string{"a caution"}) {
			t.Errorf("resumed: %+v, %v", res, err)
		}
	})
}

// The cause comes before its effect: a server that is stopped is the driver's
// to name, and no silent address.
func TestThePreflightComesBeforeTheServers(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, r *process) {
		w.server.dead = true
		r.Before = func(context.Context, secret.Key) (Findings, error) { return Findings{}, errFault }
		if _, err := r.Run(t.Context()); !errors.Is(err, errFault) {
			t.Errorf("ended with %v", err)
		}
	})
}

// What had the old key from before runs with it on the way back too, whatever else is
// seen of it then.
func TestWhatHadTheOldKeyIsNotLeftBehindByAnUndo(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, r *process) {
		self := listener.Mark{PID: os.Getpid(), Start: listener.StartOf(os.Getpid()), Name: "blnk start", Server: true}
		r.Before = func(context.Context, secret.Key) (Findings, error) {
			return Findings{Holders: []listener.Mark{self}}, nil
		}
		r.Holders = func(context.Context, secret.Key) []listener.Mark {
			return []listener.Mark{{PID: self.PID, Start: self.Start, Name: "blnk"}}
		}
		r.drive(restartsAs{w, func() { w.server.dead = w.keys[1].Equal(newKey) }})
		if res, err := r.Run(t.Context()); !errors.Is(err, ErrUndone) || len(res.Warnings) != 0 {
			t.Errorf("undone: %q, %v", res.Warnings, err)
		}
	})
}

// The journal is JSON, and no store takes such a key: neither a crash nor an undo could
// bring it back.
func TestAKeyThatCannotBePutBackIsRefused(t *testing.T) {
	for _, other := range []string{"old-4fW8kZpQ2mX7vB1nR5tY9cL3hD6jS0\xe9", "\xff"} {
		bubble(t, func(t *testing.T, w *world, r *process) {
			key := secret.New(other)
			w.keys, w.server.key, w.worker.key = [2]secret.Key{key, key}, key, key
			if _, err := r.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "cell:0: its key is not valid UTF-8") {
				t.Errorf("plan: %v", err)
			}
			if _, err := r.Run(t.Context()); err == nil || w.journal != nil || !w.holds([2]secret.Key{key, key}) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// Nor could the journal bring back a path.
func TestAPathThatCannotBeJournaledIsRefused(t *testing.T) {
	for _, set := range []func(*target.Spec){
		func(s *target.Spec) { s.Dir = "/srv/caf\xe9" }, func(s *target.Spec) { s.Restart = []string{"sh:/srv/caf\xe9/restart"} },
	} {
		bubble(t, func(t *testing.T, w *world, r *process) {
			set(&r.Spec)
			if _, err := r.Run(t.Context()); !errors.Is(err, target.ErrSpec) || !strings.Contains(err.Error(), `caf\xe9`) || w.journal != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}
