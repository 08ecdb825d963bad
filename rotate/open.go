package rotate

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/target"
)

// An Open is what may be told of an open rotation.
type Open struct {
	Rotation    string      `json:"id"`
	Event       string      `json:"event"` // Rotate, Sync, Init or Rollback
	Reason      string      `json:"reason,omitempty"`
	Target      target.Spec `json:"target"`
	Started     time.Time   `json:"started"`
	Host        string      `json:"host"`
	User        string      `json:"user"`
	Row         string      `json:"row"`
	Compromised bool        `json:"compromised,omitempty"`
	FirstError  string      `json:"first_error,omitempty"`

	AtWork  string       `json:"-"` // the process that is at work on it; "" where none is seen
	Undoing bool         `json:"-"`
	NoUndo  string       `json:"-"` // why the old key cannot be put in force again, or ""
	Keys    []secret.Key `json:"-"` // the one before, the new one, and those of stores: for masking
}

// Is says how it stands.
func (o *Open) Is() string {
	if o.AtWork != "" {
		return "under way by " + o.AtWork
	}
	return "open"
}

// Begun says when, by whom and where it was begun.
func (o *Open) Begun() string {
	return fmt.Sprintf("begun %s by %s on %s", screen.At(o.Started), o.User, o.Host)
}

// Record is what the audit log would say of it now, if it ended.
func (o *Open) Record() audit.Record {
	return audit.Record{
		Time: o.Started, Event: o.Event, Rotation: o.Rotation, Outcome: "open", Old: o.Keys[0].Fingerprint(), New: o.Keys[1].Fingerprint(),
		Compromised: o.Compromised, Stores: o.Target.Stores, Servers: o.Target.Servers, Restart: o.Target.Restart,
		Actor: audit.Actor{Host: o.Host, User: o.User}, Reason: o.Reason, Error: o.FirstError,
	}
}

// List adds to a listing the last records of an audit log, 0 for all, and behind them
// the rotations that are open, of which the log may say nothing.
func List(dir *state.Dir, log *audit.Log, last int, list *audit.Listing) (open []*Open, err error) {
	if open, err = Elsewhere(dir, nil); err != nil {
		return nil, err
	}
	stands := map[string]string{}
	for _, o := range open {
		stands[o.Rotation] = o.Is()
	}
	err = log.Records(last, func(r audit.Record) error { return list.Add(r, stands[r.Rotation]) })
	for _, o := range open {
		err = cmp.Or(err, list.Add(o.Record(), o.Is()))
	}
	return open, cmp.Or(err, list.End())
}

// Help is Ways for who named no store.
func (o *Open) Help() string {
	if o.AtWork != "" {
		return "wait for its end"
	}
	return o.Ways(hint.Flags("--store", o.Target.Stores[:1]))
}

// Where says which key is where, as far as the journal tells.
func (o *Open) Where() string {
	key := "the " + events[o.Event].next + " key, " + o.Keys[1].Name()
	if o.Undoing {
		key = "the " + events[o.Event].other + " key, " + o.Keys[0].Name()
	}
	if o.Undoing && o.Keys[0].IsZero() {
		key = "what they held before"
	}
	switch o.Row {
	case rowSet:
		return "some stores may not hold " + key + ", yet"
	case rowRestart:
		return "the stores hold " + key + "; which one the servers run with is not known"
	case rowTest:
		return "the stores hold " + key + "; the restart succeeded, and is not proved"
	}
	if len(o.Target.Restart) == 0 {
		return "the stores hold " + key + "; that is not recorded yet"
	}
	return key + ", is proved; that is not recorded yet"
}

// Ways are the commands that end it. named is as Env has it.
func (o *Open) Ways(named string) string {
	again := "blnkctl rotate" + named
	switch {
	case o.Row == rowFinish:
		return again + " only records it"
	case o.NoUndo != "":
		return again + " finishes it"
	case o.Undoing:
		return again + " goes on putting the " + events[o.Event].other + " key back"
	default:
		return again + " continues, blnkctl rotate --abort" + named + " goes back"
	}
}

// signalled says what a first signal leads to.
func (o *Open) signalled() string {
	switch {
	case o.Row == rowFinish:
		return "what is proved is recorded"
	case o.Undoing:
		return "the " + events[o.Event].other + " key is being put back"
	case o.NoUndo != "":
		return "stopping after this step: " + o.NoUndo
	case o.Row == rowRestart:
		return "putting back when the restart has ended"
	default:
		return "putting back"
	}
}

// heedSignals says at once what a signal leads to, and at the second one what is left
// open.
func (r *run) heedSignals(ctx context.Context) (stop func()) {
	tell := func(kind Kind, format string, args ...any) {
		r.env.Progress(Progress{Kind: kind, Text: fmt.Sprintf(format, args...)})
	}
	heedless := context.AfterFunc(ctx, func() {
		if o := r.entered.Load(); o != nil {
			tell(Urgent, "interrupted: %s; again to stop now", o.signalled())
		}
	})
	withdraw := interrupt.AtSecond(ctx, func() {
		if o := r.entered.Load(); o != nil {
			tell(Stopped, "  rotation %s is open: %s", o.Rotation, o.Where())
			tell(Stopped, "hint: %s", o.Ways(r.env.Named))
		}
	})
	return func() { heedless(); withdraw() }
}
