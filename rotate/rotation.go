package rotate

import (
	"context"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
)

// A Restarter makes a running Blnk, server and workers, read its configuration
// again. Restart returns nil only when it believes that this has happened; it
// may be called again after any error. Its context ends when the time for a
// restart is up, with a cause that says so. An error that is ErrAtWork says that
// nothing was restarted, because somebody else still does.
type Restarter interface {
	Restart(ctx context.Context) error
	String() string
}

// A Journal keeps the one open rotation of a target. SaveJournal is durable
// and atomic when it returns nil. LoadJournal returns nil where there is none.
type Journal interface {
	LoadJournal() ([]byte, error)
	SaveJournal([]byte) error
	ForgetJournal() error
}

// Memory keeps what is known of the target between rotations.
type Memory interface {
	LoadFacts() (state.Facts, error)
	SaveFacts(state.Facts) error
}

// A Recorder keeps the audit log. Append of a final record that is there
// already is a success.
type Recorder interface {
	Append(ctx context.Context, r audit.Record) error
}

// References name everything a rotation touches, so that another process can
// open the same again. Two rotations of equal References are about the same
// things.
type References struct {
	Stores  []string `json:"stores"`
	Copies  []string `json:"copies,omitempty"`
	Restart []string `json:"restart"`
	Servers []string `json:"servers"`
	// Dir is the working directory of commands in Restart.
	Dir string `json:"dir"`
	// CACert, Proxy and AllowPlaintext say how the servers are reached.
	CACert         string `json:"ca_cert,omitempty"`
	Proxy          string `json:"proxy,omitempty"`
	AllowPlaintext bool   `json:"allow_plaintext,omitempty"`
}

// IfUnknown says what Options.IfOlderThan does with a key that was never seen
// before.
type IfUnknown string

// What can be done with a key of unknown age.
const (
	Adopt  IfUnknown = "adopt"  // its clock starts now
	Rotate IfUnknown = "rotate" // it counts as due
	Fail   IfUnknown = "fail"   // ErrUnknownAge
)

// Options are the flags of a rotation.
type Options struct {
	// IfOlderThan: nothing is done unless the last proved rotation is older.
	// 0: rotate whatever the age.
	IfOlderThan time.Duration
	IfUnknown   IfUnknown
	// Timeout is how long the servers may take to answer as they should, after
	// the restart. RestartTimeout is how long the restart itself may take.
	Timeout        time.Duration
	RestartTimeout time.Duration
	// Compromised: others know the old key. There is no way back to it.
	Compromised bool
	// ServerDown: the old key is not proved beforehand.
	ServerDown bool
	// Trust: the source of truth is right, whatever key is live (Sync only).
	Trust bool
	// Reason goes into the audit log.
	Reason string
}

// A Rotation is everything that one run needs. What makes it a rotation, a
// repair or a dry run is the method that is called.
type Rotation struct {
	Refs   References
	Stores []store.Store // the first is the source of truth
	// Source is the index of the store that Sync copies from: 0 but where a
	// person names another one.
	Source  int
	Copies  []Copy // written last
	Restart []Restarter
	Servers []*proof.Server
	// WorkersProved: the restart proves that the workers restarted too.
	WorkersProved bool

	Journal  Journal
	Memory   Memory
	Recorder Recorder

	// Lock keeps every other rotation of the target away.
	Lock func(ctx context.Context) (unlock func(), err error)
	// NewKey makes the next key. It is called once in a rotation.
	NewKey func() (secret.Key, error)
	// Weak says why the current key is due whatever its age; "" where it is not.
	Weak func(secret.Key) string
	// Preflight checks what the engine cannot know: whether the restart can
	// work, whether the stores reach the server, whether there is room. It comes
	// before the servers are asked: it knows causes, and they know effects.
	Preflight func(ctx context.Context, current secret.Key) (Findings, error)
	// Confirm shows the plan to a person and returns an error where the answer
	// is no. nil: nobody is asked.
	Confirm func(ctx context.Context, p Plan) error
	// Tell takes progress. nil: nobody listens.
	Tell func(Event)

	Now        func() time.Time
	Host, User string
	Options    Options
}

// Findings are what a preflight that found no fault has to say.
type Findings struct {
	// Remarks are good to know before: a plan shows them.
	Remarks []string
	// Cautions are about what a rotation may miss. Nobody sees the plan of a
	// cron job, so they are warnings of its result, too.
	Cautions []string
}

// A Plan is what a rotation would do, after all its checks have passed.
type Plan struct {
	Current secret.Key // for what only the live key can find out; never to be shown
	Old     string     // fingerprint
	Age     time.Duration
	AgeOf   string // "rotated", "first seen" or "" where nothing is known
	Stores  []string
	Copies  []string
	Restart []string
	Servers []string
	Findings
	// Differs is what a sync found to differ from the source of truth.
	Differs []string
	// Open is the rotation that would be finished instead, or nil.
	Open *Open
	// Due is false where Options.IfOlderThan says that nothing is to be done.
	Due Due
}

// Outcome is how a run ended.
type Outcome string

// The outcomes, as cli.md names them in JSON.
const (
	Rotated    Outcome = "rotated"
	Synced     Outcome = "synced"  // the source's key is in every store and on every server now
	InSync     Outcome = "in_sync" // it had been before
	NotDue     Outcome = "not_due"
	Adopted    Outcome = "adopted"
	Resumed    Outcome = "resumed" // an open rotation went forward to its end
	RolledBack Outcome = "rolled_back"
	Stuck      Outcome = "stuck"
	Refused    Outcome = "refused"
	Abandoned  Outcome = "abandoned" // an open rotation was forgotten
	None       Outcome = "none"      // nothing was open
)

// A ServerState is what one server accepted in the end.
type ServerState struct {
	URL     string `json:"url"`
	Live    string `json:"live"` // new, old, mixed, down, open, other
	Sampled bool   `json:"sampled,omitempty"`
	// OldScoped: the new key is live, and the old one lives on as a scoped one.
	OldScoped bool `json:"-"`
}

// A StepTime is how long a step took.
type StepTime struct {
	Name string        `json:"name"`
	Took time.Duration `json:"-"`
}

// A Result is what a run did. It is filled as far as the run came, also beside
// an error.
type Result struct {
	Outcome  Outcome
	Rotation string // "" where none was begun
	Old, New string // fingerprints; "" for none or a weak one
	Servers  []ServerState
	Steps    []StepTime
	// Warnings are what a person should know. Around says that one of them is
	// about something that failed around a proved rotation (exit code 8).
	Warnings []string
	Around   bool
	// Behind are the write-only copies that could not be written.
	Behind []string
	Due    Due
}

// An Event is a piece of progress.
type Event struct {
	Step string // create, set, restart, test, finish
	Undo bool   // the step belongs to the way back
	Kind Kind
	Text string // a note's text; never a key
	Took time.Duration
}

// Kind is the kind of an Event.
type Kind int

// Kinds of events: a step begins, ends well, fails; or something happened in it.
const (
	Started Kind = iota
	Done
	Failed
	Note
)
