package rotate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
)

// Another restart than the journal's is taken, and stays: the journal says so
// before it is run. Other stores are another rotation.
func TestAnotherRestartContinues(t *testing.T) {
	for name, do := range map[string]func(*process) (Report, error){"forward": forwards, "undo": aborts} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := resumable(t, Intent{})
				w.server.dead = true // so that a restart is needed
				p := w.process(Intent{})
				p.Spec.Restart = []string{"another:"}
				var seen []string
				p.drive(restartsAs{w, func() { seen = mustParse(w.journal).Target.Restart }})
				report, err := do(p)
				if err != nil || w.journal != nil || !slices.Equal(seen, p.Spec.Restart) {
					t.Errorf("%+v, %v; the journal named %q", report, err, seen)
				}
				if last := w.audit[len(w.audit)-1]; !slices.Equal(last.Restart, p.Spec.Restart) {
					t.Errorf("the audit log names %q", last.Restart)
				}
				p = resumable(t, Intent{}).process(Intent{})
				p.Spec.Stores = []string{"cell:0", "cell:2"}
				if _, err := do(p); !errors.Is(err, ErrOtherStores) {
					t.Errorf("other stores: %v", err)
				}
			})
		})
	}
}

// What the look after a restart finds undoes the rotation; in the undo itself the
// proof decides, and the report says that the workers are not proved.
func TestTheLookAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T, w *world, p *process) {
		var looked []secret.Key
		p.Observe = func(context.Context) func(context.Context, secret.Key) error {
			return func(_ context.Context, key secret.Key) error {
				looked = append(looked, key)
				return errFault
			}
		}
		report, err := p.Run(t.Context())
		if !errors.Is(err, ErrUndone) || !errors.Is(err, errFault) || !w.server.key.Equal(oldKey) || !saysWorkers(report) {
			t.Errorf("%+v, %v", report, err)
		}
		if len(looked) != 2 || !looked[0].Equal(newKey) || !looked[1].Equal(oldKey) {
			t.Errorf("looked %d times, or for other keys", len(looked))
		}
	})
}

// An address that has answered in two ways is called sampled in the end, also by
// the process that finishes what another one began.
func TestMixedOnceIsReportedAsSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		// Behind the address, an old process answers beside the new one for a while.
		a := &address{turns: []func(secret.Key) blnk.Answer{w.answer}}
		p := w.process(Intent{})
		p.Servers = []*proof.Server{{Asker: a}}
		p.drive(restartsAs{w, func() {
			a.turns = []func(secret.Key) blnk.Answer{w.answer, answers(blnk.Rejected, blnk.Live, blnk.Rejected)}
		}})
		p.Progress = func(e Progress) {
			if strings.Contains(e.Text, "differently") { // it is seen: from now on the new one is alone
				a.turns = []func(secret.Key) blnk.Answer{w.answer}
			}
		}
		report, err := p.Run(t.Context())
		if err != nil || len(report.Servers) != 1 || !report.Servers[0].Sampled || report.Servers[0].Live != "new" {
			t.Errorf("%+v, %v", report, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := resumable(t, Intent{})
		rec := mustParse(w.journal)
		rec.Mixed = []string{"world:"}
		w.journal = mustBytes(rec)
		if report, err := w.process(Intent{}).Run(t.Context()); err != nil || !report.Servers[0].Sampled {
			t.Errorf("resumed: %+v, %v", report, err)
		}
	})
}
