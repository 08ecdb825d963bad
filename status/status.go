// Package status tells how targets stand: the key with its age and the next date it is
// due, which store, server and process has it now, which rotation is open, what the last
// attempt came to, and who goes on with the key before. Due answers one of these alone,
// for a script.
//
// It asks what doctor asks (doctor.Facts), and judges less: what is no Problem may still
// be against the guide. It holds no lock and changes nothing, so that what it tells of a
// rotation that is under way is of a moment.
//
// It does not promise to see every process: a worker on another host answers nothing,
// and what this user may not look at is in Unseen, not in Problems. A worker that reads
// its key from a file is known by the file and by when it was started.
package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/blnkctl/blnkctl/accesslog"
	"github.com/blnkctl/blnkctl/doctor"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
)

// A Target is what is looked at.
type Target struct {
	Name   string // in blnkctl.yaml; "" for one without
	Policy policy.Policy
	// Named is what names it behind `blnkctl rotate`, Args what names all that belongs to
	// it, each with a space in front; "" where nothing need be said.
	Named, Args string
	Facts       *doctor.Facts
}

// Called is what it is called before people, and as the label of a metric: a name, or the
// reference of its first store, which no name looks like.
func (t Target) Called() string {
	return cmp.Or(t.Name, strings.Join(t.Facts.Spec.Stores[:min(1, len(t.Facts.Spec.Stores))], ""))
}

// The results of a look.
const (
	Good = "good"
	Bad  = "bad"
)

// A Report is a look at some targets. It is a document as it stands; its times are UTC.
type Report struct {
	Result  string     `json:"result"` // good, or bad: a target has problems
	Time    time.Time  `json:"time"`   // of the look
	Targets []Standing `json:"targets"`
}

// A Standing is how one target stands.
type Standing struct {
	Target   string    `json:"target"` // as Called
	Result   string    `json:"result"`
	Problems []Problem `json:"problems"`
	Unseen   []string  `json:"unseen"` // what could not be looked at, and why
	Key      Key       `json:"key"`
	Stores   []Store   `json:"stores"`
	Servers  []Server  `json:"servers"`
	// Processes are the Blnk processes of this host that belong to it, but for servers
	// that have answered.
	Processes []Process `json:"processes"`
	Open      *Open     `json:"open_rotation"`
	Last      *Attempt  `json:"last_attempt"`
	// RollbackUntil is until when the key before can be brought back, RollbackFrom the store
	// that keeps it, for as long as it wants; both are absent where it cannot.
	RollbackUntil time.Time `json:"rollback_until,omitzero"`
	RollbackFrom  string    `json:"rollback_from,omitempty"`
	// OldKey are the clients that were refused since the last proved rotation and let in
	// before, or may have been, in the last day; null where no log could be read.
	OldKey []accesslog.Old `json:"old_key"`

	drift     bool
	age       bool // Key.Age is known
	stateless bool // the state folder could not be read
	now       time.Time
}

// A Problem is why a standing is bad.
type Problem struct {
	// Kind is one of: state, store, drift, weak, compromised, age_unknown, overdue, server,
	// process, open_rotation, last_attempt, timeout.
	Kind string `json:"kind"`
	Text string `json:"text"`
	Help string `json:"help,omitempty"` // a command that mends it, or what a person has to do
}

// A Key is the one that the first store holds.
type Key struct {
	Fingerprint string    `json:"fingerprint"`       // "" where there is none, or a weak one
	Since       time.Time `json:"since,omitzero"`    // its clock started
	How         string    `json:"how,omitempty"`     // rotated, first_seen, written
	Age         int64     `json:"age_seconds"`       // 0 where Since is absent
	MaxAge      int64     `json:"max_age_seconds"`   // of the policy, rounded up; 0: none
	NextDue     time.Time `json:"next_due,omitzero"` // or was due, by its age and in a window
	// NextRun is when a rotation may run at the earliest: now, or when a window opens, or
	// when the wait after a failure is over.
	NextRun time.Time `json:"next_run,omitzero"`
	Due     bool      `json:"due"`
	Overdue bool      `json:"overdue"`
	Waiting bool      `json:"waiting"` // a rotation that was put back waits for its next try
	Why     string    `json:"why"`     // for people
}

// A Store is a place of the key.
type Store struct {
	Ref         string `json:"ref"`
	Fingerprint string `json:"fingerprint"`
	Same        *bool  `json:"same"` // as in the first one; null where it cannot be read
	Error       string `json:"error,omitempty"`
}

// A Server is what one does now.
type Server struct {
	URL string `json:"url"`
	// Key is what is proved about the key of the first store: live, rejected, scoped,
	// mixed, unknown.
	Key proof.Verdict `json:"key"`
	// Takes is another store whose key it takes instead.
	Takes   string `json:"takes,omitempty"`
	Secure  *bool  `json:"secure"` // null: not known
	Sampled bool   `json:"sampled"`
	Error   string `json:"error,omitempty"`
}

// A Process is one of Blnk's on this host.
type Process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	Role string `json:"role"` // server, workers
	// Key is: same, other, older (since before the rotation), unknown.
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"`
	From        string `json:"from,omitempty"` // the variable or file that it has its key from
	Why         string `json:"why,omitempty"`  // unknown
}

// An Open is a rotation that has not ended.
type Open struct {
	Rotation string    `json:"rotation"`
	Event    string    `json:"event"`
	Step     string    `json:"step"` // set, restart, test, finish: the one that it stands in
	Undoing  bool      `json:"undoing"`
	Started  time.Time `json:"started"`
	By       string    `json:"by"`
	AtWork   string    `json:"at_work,omitempty"` // the process that is at it now
	Where    string    `json:"where"`             // which key is where
	Help     string    `json:"help"`              // the commands that end it
	Error    string    `json:"error,omitempty"`   // the first one
}

// An Attempt is the last one to change the key, as the audit log has it.
type Attempt struct {
	Time     time.Time `json:"time"`
	Event    string    `json:"event"`
	Outcome  string    `json:"outcome"`
	Rotation string    `json:"rotation,omitempty"`
	By       string    `json:"by"`
	Error    string    `json:"error,omitempty"`
	Repeated int       `json:"repeated,omitempty"` // so many more like it, and Time is the last
	// Failed: it was put back or is stuck; or it was refused, and the key is due, or known
	// to others.
	Failed bool `json:"failed"`
}

const (
	atOnce = 8 // targets
	// grace is for what does not heed the end of its time.
	grace = 5 * time.Second
)

// look looks at targets, some at a time. whole: also at what says nothing of when the key is
// due: processes, the last attempt, and who goes on with the key before.
func look(ctx context.Context, targets []Target, limit time.Duration, whole bool) Report {
	r := Report{Result: Good, Targets: make([]Standing, len(targets))}
	turns := make(chan struct{}, atOnce)
	var group sync.WaitGroup
	for i, t := range targets {
		group.Go(func() {
			turns <- struct{}{}
			r.Targets[i] = t.within(ctx, limit, whole)
			<-turns
		})
	}
	group.Wait()
	if slices.ContainsFunc(r.Targets, func(s Standing) bool { return s.Result == Bad }) {
		r.Result = Bad
	}
	if len(targets) > 0 {
		r.Time = targets[0].Facts.Now().UTC()
	}
	return r
}

// within looks at one. What is not done in time is given up, and is a problem of it alone: a
// file on a disk that hangs heeds no context.
func (t Target) within(ctx context.Context, limit time.Duration, whole bool) Standing {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan Standing, 1)
	go func() { done <- t.look(ctx, limit, whole) }()
	select {
	case s := <-done:
		return s
	case <-time.After(limit + grace):
		s := Standing{Target: t.Called(), now: t.Facts.Now()}
		s.problem("timeout", fmt.Sprintf("not everything could be looked at within %s", limit), "--timeout gives it longer")
		return s.done()
	}
}

func (s *Standing) problem(kind, text, help string) {
	s.Problems = append(s.Problems, Problem{kind, text, help})
}

func (s *Standing) unseen(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(s.Unseen, text) && !slices.ContainsFunc(s.Problems, func(p Problem) bool { return p.Text == text }) {
		s.Unseen = append(s.Unseen, text)
	}
}

// unseenAll adds each line of an error that was joined.
func (s *Standing) unseenAll(err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		s.unseen("%s", line)
	}
}

func (s *Standing) has(kind string) bool {
	return slices.ContainsFunc(s.Problems, func(p Problem) bool { return p.Kind == kind })
}

// serverOf is the server that a problem is of; the zero Server for another problem.
func (s *Standing) serverOf(p Problem) Server {
	for _, one := range s.Servers {
		if p.Kind == "server" && one.wrong() == p.Text {
			return one
		}
	}
	return Server{}
}

// passes says whether a problem may come of the open rotation, and go with it: with one that
// is under way more of them than with one that waits for somebody.
func (s *Standing) passes(p Problem) bool {
	one := s.serverOf(p)
	of := p.Kind != "server" || one.Error == "" && (one.Secure == nil || *one.Secure)
	return of && slices.Contains([]string{"drift", "server", "process", "age_unknown"}, p.Kind) ||
		s.Open.AtWork != "" && slices.Contains([]string{"store", "server", "overdue"}, p.Kind)
}

// done makes the document whole: no list is null that has a meaning when it is empty.
func (s Standing) done() Standing {
	if s.Open != nil {
		while := map[bool]string{true: "open", false: "under way"}[s.Open.AtWork == ""]
		s.Problems = slices.DeleteFunc(s.Problems, func(p Problem) bool {
			passes := s.passes(p)
			if passes {
				s.Unseen = append(s.Unseen, "while the rotation is "+while+": "+p.Text)
			}
			return passes
		})
	}
	s.Result = Good
	if len(s.Problems) > 0 {
		s.Result = Bad
	}
	s.Problems, s.Unseen = append([]Problem{}, s.Problems...), append([]string{}, s.Unseen...)
	s.Stores, s.Servers, s.Processes = append([]Store{}, s.Stores...), append([]Server{}, s.Servers...), append([]Process{}, s.Processes...)
	return s
}

// look gathers, and judges on the way.
func (t Target) look(ctx context.Context, limit time.Duration, whole bool) Standing {
	s := &Standing{Target: t.Called(), now: t.Facts.Now()}
	t.stores(ctx, s)
	if t.Name == "" && len(s.Stores) > 0 {
		s.Target = s.Stores[0].Ref
	}
	t.open(ctx, s)
	t.servers(ctx, limit/2, s)
	if whole {
		t.processes(ctx, s)
	}
	if history := t.age(ctx, s); whole {
		t.last(s, history)
		t.oldKey(ctx, s, history)
	}
	return s.done()
}

// command is one of blnkctl that replaces or copies the key.
func (t Target) command(verb string) string {
	text := "blnkctl " + verb + t.Args
	if len(t.Facts.Spec.Restart) == 0 {
		text += " --restart manual:"
	}
	return text
}

// fill is what puts a key where there is none; first is the one of the first store. Where
// the server lets everybody in, a key alone would be one that nobody is asked for.
func (t Target) fill(ctx context.Context, first secret.Key) string {
	open := func(c doctor.Running) bool { return c.Text != nil && c.Effective != nil && !c.Effective.Secure() }
	switch {
	case !first.IsZero():
		return t.command("sync")
	case slices.ContainsFunc(t.Facts.Configurations(ctx), open):
		return "blnkctl init" + t.Args
	default:
		return "blnkctl keygen" + hint.Flags("--store", t.Facts.Spec.Stores)
	}
}

// flags name it to a command that takes no name of a target.
func (t Target) flags() string {
	if t.Name != "" {
		return " --target" + t.Named
	}
	return t.Args
}

// help is what helps against an error.
func (t Target) help(err error) string {
	if errors.Is(err, fs.ErrPermission) && t.Facts.UID != 0 {
		return cmp.Or(hint.Of(err), "run with sudo, or as the user that owns it")
	}
	return hint.Of(err)
}

// stores are which key is where.
func (t Target) stores(ctx context.Context, s *Standing) {
	all := t.Facts.Stores(ctx)
	history, _ := t.Facts.History(ctx) // a look less
	var first doctor.Store
	for i, one := range all {
		row := Store{Ref: one.Ref, Fingerprint: one.Key.Fingerprint()}
		if i == 0 {
			first = one
		}
		same := one.Key.Equal(first.Key) && !one.Key.IsZero()
		switch {
		case i > 0 && errors.Is(one.Err, doctor.ErrWriteOnly):
			row.Error = one.Err.Error()
			if slices.Contains(history.Unwritten, one.Ref) {
				s.drift = true
				s.problem("drift", one.Ref+" could not be written by an earlier run, and has another key, or none", t.command("sync"))
			}
		case one.Err != nil:
			row.Error = one.Err.Error()
			s.problem("store", row.Error, t.help(one.Err))
		case one.Key.IsZero():
			s.problem("store", one.Ref+" holds no key", t.fill(ctx, first.Key))
		case !same && !first.Key.IsZero():
			s.drift = true
			s.problem("drift", fmt.Sprintf("%s holds another key (%s) than %s (%s)", one.Ref, one.Key.Name(), first.Ref, first.Key.Name()), t.command("sync"))
		}
		if one.Err == nil {
			row.Same = &same
		}
		s.Stores = append(s.Stores, row)
	}
	s.Key.Fingerprint = first.Key.Fingerprint()
}

// oldKey are those who go on with the key before.
func (t Target) oldKey(ctx context.Context, s *Standing, h state.History) {
	if h.ProvedAt.IsZero() {
		return
	}
	log, err := t.Facts.Access(ctx)
	s.unseenAll(err)
	if log == nil || log.Requests == 0 {
		return
	}
	s.OldKey = append([]accesslog.Old{}, log.StillOld()...)
}
