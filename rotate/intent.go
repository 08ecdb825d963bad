package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/secret"
)

// An Intent says which kind of rotation a run is for, as data: where the next
// key comes from, and which preconditions hold.
type Intent struct {
	// Event is what the journal and the audit log call it.
	Event string
	// NewKey makes the next key of a Rotate, or of an Init that finds none; it is called
	// once in a rotation. Source is the index of the store whose key a Sync brings to the
	// others, which may hold any key or none.
	NewKey func() (secret.Key, error)
	Source int
	// Trust: the source is right, whatever key is live.
	Trust bool

	// Given takes the place of a key that stands, in an Init.
	Given secret.Key
	// Standing: the key has to be there already.
	Standing bool
	// KeyOnly: only the key is written, and secure mode stays as it is.
	KeyOnly bool
	// Values are what the target's settings are to have, by their references.
	Values map[string]secret.Key

	// Policy is that of the target. A key that is replaced is kept for as long as it says,
	// for a Rollback, but not with Compromised. IfDue: nothing is done unless the key is due by it,
	// and else it only says when a rotation is refused, which Force lets pass.
	Policy    policy.Policy
	IfDue     bool
	Force     bool
	IfUnknown IfUnknown
	// Weak says why the current key is due whatever its age; "" where it is not.
	// nil knows no weak key.
	Weak func(secret.Key) string

	// Compromised: others know the old key, so it is never put back.
	Compromised bool
	// ServerDown: the old key is not proved beforehand.
	ServerDown bool
	// Reason goes into the audit log.
	Reason string

	// Abort undoes the rotation that is open, Abandon forgets it after a person repaired
	// things: where all stores agree and every server proves that key, or where
	// Env.Forget says so. A journal that cannot be read can still be abandoned. Neither
	// begins a rotation: where none is open, the outcome is None.
	Abort, Abandon bool
}

// OfPrevious says that it is about the key from before: Rollback, or Retire.
func (in Intent) OfPrevious() bool { return in.Event == Rollback || in.Event == Retire }

// What a rotation can be begun for.
const (
	Rotate = "rotate" // a new key
	Sync   = "sync"   // the key of one store, brought to the others and to the servers
	// Init brings secure mode, with a strong key: a server may let any key in beforehand,
	// and is not to afterwards. A key that stands and is not Intent.Weak stays in force.
	// Without a --restart only the places are written, and nothing is proved.
	Init = "init"
	// Rollback brings the key back that was in force before.
	Rollback = "rollback"
)

// An event is what differs from one kind of rotation to another in what is said of it.
type event struct {
	done, idle  Outcome // what is proved in the end, and that there was nothing to do
	next, other string  // what the key that it brings is called, and the one that it replaces
	question    string  // for who has seen the plan
}

var events = map[string]event{
	Rotate:   {Rotated, NotDue, "new", "old", "Rotate the key now?"},
	Sync:     {Synced, InSync, "new", "old", "Sync now?"},
	Init:     {Secured, InPlace, "new", "old", "Turn secure mode on now?"},
	Rollback: {Restored, None, "previous", "newer", "Bring the previous key back now?"},
	Retire:   {Retired, None, "", "", "End it now?"},
}

// IfUnknown says what Intent.IfDue does with a key that was never seen
// before.
type IfUnknown string

// What can be done with a key of unknown age.
const (
	AdoptUnknown  IfUnknown = "adopt"  // its clock starts now
	RotateUnknown IfUnknown = "rotate" // it counts as due
	FailUnknown   IfUnknown = "fail"   // ErrUnknownAge
)

// A Recorder keeps the audit log. Append of a final record that is there
// already is a success. Check says whether it could be written.
type Recorder interface {
	Append(ctx context.Context, r audit.Record) error
	Check() error
}

// An Env is what a run needs besides its target. What is below AtWork may be nil.
type Env struct {
	// Lock keeps every other rotation of the target away.
	Lock     func(ctx context.Context) (unlock func(), err error)
	Recorder Recorder
	Now      func() time.Time
	Who      audit.Actor // for journal and audit log
	// Compromised are never put in force again.
	Compromised KnownKeys
	// Named and Stores are what names the target, and all its stores, on the command
	// line of a hint.
	Named, Stores string
	// Progress takes what happens.
	Progress func(Progress)
	// Keys takes the keys of the rotation as they become known: a driver masks them,
	// and knows by them what carries them.
	Keys func(keys ...secret.Key)
	// Settle waits for what an earlier run left at work, and ends it after limit: it
	// may start a server with either key at any time, so that no proof would last.
	Settle func(ctx context.Context, limit time.Duration, say func(format string, args ...any)) error
	AtWork func() string // names it, "" for none

	// Before checks what the engine cannot know, before the first effect: whether
	// the restart can work, whether the stores reach the servers. It runs beside
	// the questions to the servers, and its error counts before theirs: it knows
	// causes, and they know effects.
	Before func(ctx context.Context, current secret.Key) (Findings, error)
	// Observe looks at the processes right before a restart, and returns how to
	// look afterwards: an error where one has another key than that, or was not
	// started anew. It fails the restart. nil: nobody looks.
	Observe func(ctx context.Context) func(ctx context.Context, key secret.Key) error
	// Holders are the processes of this host that have a key, as far as is seen, and
	// Listening those that listen for a server.
	Holders   func(ctx context.Context, key secret.Key) []listener.Mark
	Listening func(url string) []listener.Mark
	// Why looks for what makes the servers answer other than the stores would; nil
	// where nothing is seen.
	Why func(ctx context.Context) error
	// Instead is what helps where no store holds a key, and LeftBehind what somebody
	// who held a compromised key may have left behind.
	Instead    func(ctx context.Context) string
	LeftBehind func(ctx context.Context, live secret.Key) []string
	// Receivers are who gets webhooks signed with the key.
	Receivers func(ctx context.Context, live secret.Key) []blnk.Receiver
	// Prepare is the last thing before the first effect, and may stay where a rotation is
	// put back.
	Prepare func(ctx context.Context) error
	// Confirm shows the plan to a person, and returns an error where the answer
	// is no.
	Confirm func(ctx context.Context, p Plan) error
	// Forget shows a person why a rotation should not be abandoned, and returns an error
	// where the answer is no.
	Forget func(ctx context.Context, why error) error
}

// Findings are what a check that found no fault has to say.
type Findings struct {
	// Remarks are good to know before: a plan shows them.
	Remarks []string
	// Cautions are about what a rotation may miss. Nobody sees the plan of a
	// cron job, so they are warnings of its report, too.
	Cautions []string
	// Holders are the processes of this host that have the key.
	Holders []listener.Mark
}

// A Plan is what a run would do, after all its checks have passed.
type Plan struct {
	Current secret.Key // what the servers run with; zero where not known; never to be shown
	Old     string     // fingerprint
	// Compromised: there is no way back to it.
	Compromised bool
	Stores      []string // in the order of writing
	Copies      []string
	Restart     []string
	Servers     []string
	Findings
	// Receivers are who gets webhooks, where the plan is to be shown.
	Receivers []blnk.Receiver
	// Differs is what differs from the source, where the next key comes from there.
	Differs []string
	named   string // as Env has it
	// WasOpen: the servers let any key in.
	WasOpen bool
	// Open is the rotation that would be finished instead, or nil.
	Open *Open
	Due  Due

	in            Intent
	workersProved bool
	next          secret.Key            // zero where it is still to be made
	back          Back                  // of a Rollback
	old           map[string]secret.Key // by the store's reference; zero where there is none
	absent        map[string]string     // how a store looks that holds none
}

// OpenID is the ID of Open, "" where there is none.
func (p Plan) OpenID() string {
	if p.Open == nil {
		return ""
	}
	return p.Open.Rotation
}

// A Document is a Plan as JSON. Holders are the receivers that need the new key.
type Document struct {
	DryRun   bool     `json:"dry_run"`
	Would    string   `json:"would"` // rotate, sync, init, rollback, nothing, finish
	Why      string   `json:"why"`
	Old      string   `json:"old"`
	New      string   `json:"new,omitempty"`  // where it is there already
	Open     string   `json:"open,omitempty"` // ID of the rotation that would be finished
	Stores   []string `json:"stores"`
	Restart  []string `json:"restart"`
	Servers  []string `json:"servers"`
	Holders  []string `json:"holders"`
	Remarks  []string `json:"remarks"`
	Warnings []string `json:"warnings"` // those that the report would have, too
}

// Document is the plan as JSON.
func (p Plan) Document() Document {
	event, holders := p.in.Event, []string{}
	for _, r := range p.Receivers {
		holders = append(holders, r.URL)
	}
	switch {
	case p.Open != nil:
		event = "finish"
	case !p.Due.Yes:
		event = "nothing"
	}
	list := func(texts []string) []string { return append([]string{}, texts...) } // never null
	return Document{
		true, event, p.Due.Why, p.Old, p.next.Fingerprint(), p.OpenID(), p.Stores, p.Restart, p.Servers,
		holders, list(p.Remarks), list(p.Cautions),
	}
}

// Outcome is how a run ended.
type Outcome string

// The outcomes, as they are called in JSON and in the audit log.
const (
	Rotated    Outcome = "rotated"
	Synced     Outcome = "synced"   // the source's key is in every store and on every server now
	InSync     Outcome = "in_sync"  // it had been before
	Secured    Outcome = "secured"  // secure mode is on, and proved
	Written    Outcome = "written"  // the places are; nothing was restarted or proved
	InPlace    Outcome = "in_place" // everything that Secured stands for had been there before
	Restored   Outcome = "restored" // the key from before is in force again, and proved
	NotDue     Outcome = "not_due"
	Adopted    Outcome = "adopted"
	Resumed    Outcome = "resumed" // an open rotation went forward to its end
	RolledBack Outcome = "rolled_back"
	Stuck      Outcome = audit.Stuck
	Refused    Outcome = audit.Refused
	Abandoned  Outcome = "abandoned" // an open rotation was forgotten
	None       Outcome = "none"      // nothing was open, or kept
)

// A Report is what a run did: text, JSON, audit record and exit code are made of
// it. It is filled as far as the run came, also beside an error.
type Report struct {
	Outcome  Outcome       `json:"result"`
	Rotation string        `json:"rotation"` // "" where none was begun
	Old      string        `json:"old"`      // fingerprint; "" for none or a weak key
	New      string        `json:"new"`
	Servers  []ServerState `json:"servers"`
	Steps    []StepTime    `json:"steps"`
	// Warnings are what a person should know. Incomplete says that one of them is
	// about something that failed beside a proved rotation (exit code 8).
	Warnings   []string `json:"warnings"`
	Incomplete bool     `json:"-"`
	// Unwritten are the write-only copies that could not be written.
	Unwritten []string `json:"-"`
	Due       Due      `json:"-"`
	// Outputs are what commands printed that failed. Help is what to do where the
	// report is Incomplete.
	Outputs []string `json:"-"`
	Help    string   `json:"-"`

	event     string // of the rotation
	kept      bool   // its key had been there before
	back      string // a line about the way back
	keyOnly   bool   // secure mode is no part of it
	written   bool   // nothing was restarted
	wasOpen   bool   // the servers let any key in before
	open      bool   // the servers let any key in, and nothing was written
	planned   bool   // a person saw the plan, with the receivers
	receivers []blnk.Receiver
}

// Err is what is wrong after a run that had no error: ErrWaiting or ErrIncomplete.
func (r Report) Err() error {
	if r.Incomplete {
		return hint.Add(ErrIncomplete, "%s", r.Help)
	}
	return r.Due.Err()
}

// Printed is what commands printed that failed, err among them, for a person.
func (r Report) Printed(err error) (texts []string) {
	if p, ok := errors.AsType[printer](err); ok && len(r.Outputs) == 0 && p.Tail() != "" {
		r.Outputs = []string{p.Tail()} // of a check
	}
	for _, text := range r.Outputs {
		texts = append(texts, "the output of the restart:\n  "+strings.ReplaceAll(text, "\n", "\n  "))
	}
	return texts
}

// Document is the report as JSON, with the error of the run.
func (r Report) Document(err error) any {
	r.Servers, r.Steps, r.Warnings = append([]ServerState{}, r.Servers...), append([]StepTime{}, r.Steps...), append([]string{}, r.Warnings...) // never null
	doc := struct {
		Report
		Error string `json:"error,omitempty"`
		Why   string `json:"why,omitempty"` // of not_due and adopted
	}{Report: r, Why: r.Due.Why}
	if err != nil {
		doc.Error = err.Error()
	}
	return doc
}

// A ServerState is what one server accepted in the end.
type ServerState struct {
	URL     string `json:"url"`
	Live    string `json:"live"` // new, old, mixed, down, open, other
	Sampled bool   `json:"sampled,omitempty"`
	// OldScoped: the new key is live, and the old one lives on as a scoped one.
	OldScoped bool `json:"-"`
}

// A StepTime is how long a step lasted.
type StepTime struct {
	Name     string
	Duration time.Duration
}

// MarshalJSON writes milliseconds.
func (s StepTime) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name string  `json:"name"`
		MS   float64 `json:"ms"`
	}{s.Name, float64(s.Duration.Microseconds()) / 1000})
}

// Progress is something that happens: a step begins, ends well or fails; or a note
// of something within it.
type Progress struct {
	Step string // create, set, restart, test, finish
	Undo bool   // the step belongs to the undo
	Kind Kind
	Text string // of a note or a failure; never a key
	// Duration is that of a step that has ended.
	Duration time.Duration
}

// Kind is the kind of a Progress.
type Kind int

// The kinds of Progress.
const (
	Started Kind = iota
	Done
	Failed
	Note
	Urgent  // a line that a person who sent a signal waits for
	Stopped // such a line, and no step goes on behind it
	Idle    // a step that found nothing to do, or was refused
)
