// Package notify tells people, or their programs, what came of a run: whoever blnkctl.yaml
// names gets the facts over a webhook, in a chat or through a command of their own.
//
// A notice is given after the end of what it tells, and its failing changes nothing of
// that. What lasts is told again after a day, and its end once; what an earlier run did
// not come to tell is told by the next. What was told is remembered in the state folder;
// where that is lost, things are told twice, not never.
//
// It does not promise that anybody reads it, nor that a receiver gets a thing only once.
// The address of a webhook is a secret: it is in no error and no text. Facts hold
// fingerprints of keys, never keys.
package notify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
)

// Options are what a Teller needs besides the notices.
type Options struct {
	Dir string   // where relative paths of the notices start, and commands run
	Env []string // as NAME=VALUE
	// Command finds what command:NAME stands for.
	Command func(name string) (config.Command, error)
	// AllowPlaintext lets notices go over plain http to another machine.
	AllowPlaintext bool

	State  *state.Target // remembers what was told; nil: nothing is
	Log    *audit.Log    // nil: no notice has its end
	Store  string        // the first store, as the log names it
	Target string        // its name in blnkctl.yaml; "" for none
	Now    func() time.Time
}

// A Teller tells those whom a target names.
type Teller struct {
	opt       Options
	receivers []receiver
	secrets   []secret.Key
}

type receiver struct {
	config.Notice
	sender
	err error // why it cannot be reached at all
}

type sender interface {
	send(ctx context.Context, e Event) error
}

// Open opens the receivers. One that cannot be opened is told as one that was not
// reached: it keeps nobody from rotating a key.
func Open(notices []config.Notice, opt Options) *Teller {
	t := &Teller{opt: opt}
	for _, n := range notices {
		one := receiver{Notice: n}
		at, err := n.Receiver()
		switch {
		case err != nil:
		case at.Scheme == "command":
			var found config.Command
			found, err = opt.Command(at.Place)
			one.sender = command{found.Run, opt.Dir, Conceal(opt.Env, notices)}
		default:
			var address secret.Key
			one.sender, address, err = openWebhook(at, opt)
			t.secrets = append(t.secrets, parts(address)...)
		}
		one.err = err
		t.receivers = append(t.receivers, one)
	}
	return t
}

// Conceal is an environment without the variables that hold addresses: no program that
// blnkctl starts has to know them.
func Conceal(env []string, notices []config.Notice) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(Variables(notices), name)
	})
}

// Variables are the names of the variables that hold addresses.
func Variables(notices []config.Notice) (names []string) {
	for _, n := range notices {
		if at, err := n.Receiver(); err == nil && at.Source == "env" {
			names = append(names, at.Place)
		}
	}
	return names
}

// parts are what of an address must not show: all of it, and what in it nobody guesses.
func parts(address secret.Key) (all []secret.Key) {
	const guessed = 16
	if address.IsZero() {
		return nil
	}
	all = append(all, address)
	for part := range strings.FieldsFuncSeq(address.Reveal(), func(r rune) bool { return strings.ContainsRune("/?&=:@", r) }) {
		if len(part) >= guessed && !strings.Contains(part, ".") {
			all = append(all, secret.New(part))
		}
	}
	return all
}

// Secrets are the addresses, and parts of them, to be masked in what other programs print.
func (t *Teller) Secrets() []secret.Key { return t.secrets }

// Any says whether somebody is to be told.
func (t *Teller) Any() bool { return len(t.receivers) > 0 }

// Label is what notices call the target: by its name, or the place of its key.
func (t *Teller) Label() string {
	place, _, _ := strings.Cut(t.opt.Store, "#")
	return cmp.Or(t.opt.Target, place, "blnkctl")
}

// Remembers says whether what is told can be remembered by this user.
func (t *Teller) Remembers() bool { return t.opt.State != nil && t.opt.State.Check() == nil }

// Check says who cannot be told, as far as is known before anybody is, a line each.
func (t *Teller) Check() (lines []string) {
	for _, r := range t.receivers {
		if r.err != nil {
			lines = append(lines, fmt.Sprintf("would not be told: %s: %s", r.To, describe(r.err)))
		}
	}
	return lines
}

// Only keeps the receiver with a reference, and says whether there is one.
func (t *Teller) Only(to string) bool {
	t.receivers = slices.DeleteFunc(t.receivers, func(r receiver) bool { return r.To != to })
	return t.Any()
}

// Begin remembers, before a run that may replace a key, up to where the audit log was
// told: should that run be killed, the next one tells its end.
func (t *Teller) Begin() error {
	m, head := t.load(), t.head()
	known := len(m)
	for _, r := range t.receivers {
		m.of(r.To, head)
	}
	if len(m) == known {
		return nil
	}
	return t.save(m)
}

// Head is the last record of the audit log, nil for none.
func (t *Teller) Head() *Head {
	if head := t.head(); head.Seq > 0 {
		return &head
	}
	return nil
}

// Report is Tell, and returns what went wrong, a line each.
func (t *Teller) Report(ctx context.Context, e Event) []string {
	if !t.Any() {
		return nil
	}
	all, err := t.Tell(ctx, e)
	lines := notDelivered(all)
	if err != nil {
		lines = append(lines, err.Error())
	}
	return lines
}

// A Delivery is what became of the notices of one receiver.
type Delivery struct {
	To    string
	Kinds []string // of the notices; none: there was nothing to tell
	Err   error    // nil: it has them all
}

// notDelivered are the deliveries that failed, a line each, that name no address.
func notDelivered(all []Delivery) (lines []string) {
	for _, d := range all {
		if d.Err != nil {
			lines = append(lines, fmt.Sprintf("not told: %s: %s", d.To, describe(d.Err)))
		}
	}
	return lines
}

// describe is an error with what helps.
func describe(err error) string {
	if help := hint.Of(err); help != "" {
		return fmt.Sprintf("%v (%s)", err, help)
	}
	return err.Error()
}

// ErrForgotten: what was told cannot be remembered, so that it will be told again.
var ErrForgotten = errors.New("what was told cannot be remembered")

// Tell tells each receiver what it has to know. All of them together take no longer than
// the slowest, and that is bounded. The error is ErrForgotten, if any.
func (t *Teller) Tell(ctx context.Context, e Event) ([]Delivery, error) {
	m, head := t.load(), t.head()
	before, _ := json.Marshal(m) // neither can fail
	if e.Audit = nil; head.Seq > 0 {
		e.Audit = &head
	}
	if e.Time.IsZero() {
		e.Time = t.opt.Now()
	}
	all := make([]Delivery, len(t.receivers))
	var wait sync.WaitGroup
	for i, r := range t.receivers {
		o, late := m.of(r.To, head), []Event(nil)
		if e.Attempt {
			late = t.untold(o.Seq, head.Seq, e)
		}
		wait.Go(func() {
			if all[i] = r.tell(ctx, o, e, late); all[i].Err == nil && e.Attempt && head.Seq != unread {
				o.Seq = head.Seq
			}
		})
	}
	wait.Wait()
	if after, _ := json.Marshal(m); !bytes.Equal(before, after) && e.Kind != Test {
		if err := t.save(m); err != nil {
			return all, fmt.Errorf("%w: %w", ErrForgotten, err)
		}
	}
	return all, nil
}

// tell tells one receiver, and remembers what it has.
func (r receiver) tell(ctx context.Context, o *told, e Event, late []Event) (d Delivery) {
	d.To = r.To
	ctx, cancel := context.WithTimeout(ctx, r.within())
	defer cancel()
	for _, one := range append(late, r.due(o, e)...) {
		if one.Late {
			if one.Audit = e.Audit; !r.wants(one) {
				continue
			}
		}
		d.Kinds = append(d.Kinds, one.Kind)
		if d.Err = r.err; d.Err == nil {
			d.Err = r.send(ctx, one)
		}
		if d.Err != nil {
			return d // what is left goes with the next run's
		}
		if !one.Late {
			o.note(one)
		}
	}
	return d
}

// within is how long a receiver may take.
func (r receiver) within() time.Duration {
	if _, ok := r.sender.(command); ok {
		return commandLimit
	}
	return limit
}

// wants says whether a receiver takes an event. What was proved while something around it
// failed goes to who takes failures, too.
func (r receiver) wants(e Event) bool {
	return len(r.On) == 0 || e.Kind == Test || slices.Contains(r.On, e.Kind) ||
		e.Kind == Success && e.ExitCode == Incomplete && slices.Contains(r.On, Failure)
}

// due are the notices of an event that a receiver is to have now.
func (r receiver) due(o *told, e Event) (all []Event) {
	now, problem := e.Time, slices.Contains(problems, e.Kind)
	switch since := o.since(e.Ends); {
	case !since.IsZero() && !problem:
		// The end goes to who was told of the beginning, whatever else it takes, and
		// says all that a success would.
		end := e
		end.Kind, end.Since = Recovered, since
		all = append(all, end)
	case !problem && e.Kind != "" && r.wants(e):
		all = append(all, e)
	case problem && r.wants(e) && !o.lasts(e, now):
		e.Since = o.since([]string{e.Kind})
		return append(all, e) // which says, too, that it is overdue
	}
	if e.Overdue && e.Kind != Overdue {
		e.Kind, e.Since = Overdue, o.since([]string{Overdue})
		if r.wants(e) && !o.lasts(e, now) {
			all = append(all, e)
		}
	}
	return all
}

// note remembers that a notice was given.
func (o *told) note(e Event) {
	switch e.Kind {
	case Recovered:
		for _, kind := range e.Ends {
			delete(o.Lasting, kind)
		}
	case Failure, Stuck:
		o.mark(e, e.Kind)
		for kind, other := range map[string]string{Failure: Stuck, Stuck: Failure} {
			if was := o.Lasting[other]; kind == e.Kind && was != nil { // one takes the place of the other
				delete(o.Lasting, other)
				o.Lasting[kind].Since = was.Since
			}
		}
		if e.Overdue {
			o.mark(e, Overdue)
		}
	case Findings, Overdue:
		o.mark(e, e.Kind)
	}
}

// head is the last record of the audit log; the Seq of one that cannot be read is unread.
func (t *Teller) head() (h Head) {
	if t.opt.Log == nil {
		return h
	}
	err := t.opt.Log.Records(1, func(r audit.Record) error {
		h = Head{r.Seq, r.Hash}
		return nil
	})
	if err != nil {
		return Head{Seq: unread}
	}
	return h
}

const unread = -1

// mostLate is how many ends that nobody was told are told now: the last ones, since the
// log has all.
const mostLate = 10

// untold are the ends of earlier rotations of the target after a record, up to the last.
func (t *Teller) untold(after, last int, e Event) (late []Event) {
	if t.opt.Log == nil || after == unread || last <= after {
		return nil
	}
	_ = t.opt.Log.Records(last-after, func(r audit.Record) error {
		ended := !slices.Contains([]string{audit.Refused, audit.Stuck, audit.Requested, ""}, r.Outcome)
		if r.Seq <= after || !ended || r.Rotation == "" || r.Rotation == e.Rotation || !slices.Contains(r.Stores, t.opt.Store) {
			return nil
		}
		one := Event{
			Kind: Success, Command: r.Event, Target: e.Target, Host: r.Host, User: r.User, Time: r.Time, Outcome: r.Outcome,
			Rotation: r.Rotation, Old: r.Old, New: r.New, Error: r.Error, Warnings: r.Warnings, Late: true,
		}
		if r.Outcome == "rolled_back" {
			one.Kind, one.ExitCode = Failure, 3
		}
		late = append(late, one)
		return nil
	})
	return late[max(0, len(late)-mostLate):]
}

// Tried is what came of a test.
type Tried []struct {
	To        string `json:"to"`
	Delivered bool   `json:"delivered"`
	Error     string `json:"error,omitempty"`
}

// ErrNotDelivered: somebody was not told.
var ErrNotDelivered = errors.New("not everybody was told")

// Try sends a notice of kind Test to everybody, whatever they take.
func (t *Teller) Try(ctx context.Context, e Event) Tried {
	e.Kind = Test
	all, _ := t.Tell(ctx, e) // nothing is remembered of a test
	tried := make(Tried, len(all))
	for i, d := range all {
		tried[i].To, tried[i].Delivered = d.To, d.Err == nil
		if d.Err != nil {
			tried[i].Error = describe(d.Err)
		}
	}
	return tried
}

// Rows are a table for people.
func (all Tried) Rows() [][]string {
	rows := [][]string{{"RECEIVER", "RESULT"}}
	for _, one := range all {
		result := "delivered"
		if !one.Delivered {
			result = "failed: " + one.Error
		}
		rows = append(rows, []string{one.To, result})
	}
	return rows
}

// Err is ErrNotDelivered where that is so.
func (all Tried) Err() error {
	for _, one := range all {
		if !one.Delivered {
			return ErrNotDelivered
		}
	}
	return nil
}
