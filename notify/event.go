package notify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/internal/screen"
)

// Kinds of events; config.NoticeKinds lists them.
const (
	Success   = "success"   // a key was replaced, copied or put in place, and proved
	Failure   = "failure"   // it was not, or it was and something around it failed
	Stuck     = "stuck"     // a person is needed
	Overdue   = "overdue"   // the key is a day past the time at which it was due
	Findings  = "findings"  // doctor found something
	Recovered = "recovered" // what was told of Failure, Stuck, Overdue or Findings has ended
	Test      = "test"      // somebody asked for a notice
)

// problems are the kinds that can last.
var problems = []string{Failure, Stuck, Findings, Overdue}

// Version is raised when a field of Event changes its meaning, or goes.
const Version = 1

// An Event is what a notice tells: facts, and never a key. A webhook gets it as JSON.
// The zero Kind is a run that did nothing worth telling, and may still end what lasts.
type Event struct {
	Kind     string    `json:"event"`
	Command  string    `json:"command"` // that ran: rotate, sync, init, rollback, doctor, status, notify test
	Target   string    `json:"target"`  // its name, or the place of its key
	Host     string    `json:"host"`
	User     string    `json:"user,omitempty"`
	Time     time.Time `json:"time"`
	Outcome  string    `json:"outcome,omitempty"` // as in the audit log
	ExitCode int       `json:"exit_code"`
	Rotation string    `json:"rotation,omitempty"`
	Old      string    `json:"old,omitempty"` // fingerprint; "" for none, or a weak key
	New      string    `json:"new,omitempty"`
	Error    string    `json:"error,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
	Findings []string  `json:"findings,omitempty"` // of doctor: rule, place and text
	Since    time.Time `json:"since,omitzero"`     // when it was told first, of what lasts or has ended
	Due      time.Time `json:"due,omitzero"`       // when the next rotation is, or was, due
	Overdue  bool      `json:"overdue,omitempty"`
	// Late: it was an earlier run, which did not come to tell it, or could not.
	Late bool   `json:"late,omitempty"`
	Help string `json:"help,omitempty"` // what to do, mostly a command
	// Audit is the end of the audit log: who cuts the log off later cannot change what
	// stands here.
	Audit *Head `json:"audit,omitempty"`

	// Attempt: the run could have replaced a key, so that earlier ones are looked for
	// that told nobody. Ends are the kinds that the run shows the end of.
	Attempt bool     `json:"-"`
	Ends    []string `json:"-"`
	// Waits: it failed before, and waits for its next try.
	Waits bool `json:"-"`
}

// A Head is the last record of the audit log.
type Head struct {
	Seq  int    `json:"seq"`
	Hash string `json:"hash"`
}

// mostText is how long one of the texts may be: a notice is no log.
const mostText = 500

// mostTexts is how many there may be in one list.
const mostTexts = 20

// clean is the event with its texts fit to be shown anywhere.
func (e Event) clean() Event {
	one := func(text string) string {
		text = screen.CleanLine(strings.Join(strings.Fields(text), " ")) // first, so that no half of a key is left
		if len(text) > mostText {
			text = strings.ToValidUTF8(text[:mostText], "") + "…"
		}
		return text
	}
	list := func(texts []string) (cleaned []string) {
		for i, text := range texts {
			if i == mostTexts {
				return append(cleaned, fmt.Sprintf("and %d more", len(texts)-mostTexts))
			}
			cleaned = append(cleaned, one(text))
		}
		return cleaned
	}
	for _, text := range []*string{&e.Target, &e.Host, &e.User, &e.Error, &e.Help} {
		*text = one(*text)
	}
	e.Warnings, e.Findings, e.Time, e.Since, e.Due = list(e.Warnings), list(e.Findings), e.Time.UTC(), e.Since.UTC(), e.Due.UTC()
	return e
}

// Document is the event as JSON, with its version and Text.
func (e Event) Document() ([]byte, error) {
	data, err := json.Marshal(struct {
		Version int `json:"version"`
		Event
		Text string `json:"text"`
	}{Version, e.clean(), e.Text()})
	if err != nil {
		return nil, fmt.Errorf("write notice: %w", err)
	}
	return data, nil
}

// Subject is one line that says it all, for the subject of a mail.
func (e Event) Subject() string {
	e = e.clean()
	what := map[string]string{
		Success: e.outcome(), Failure: e.Command + " failed: " + e.outcome(), Stuck: e.Command + " is stuck: a person is needed",
		Overdue: "the key is overdue since " + screen.At(e.Due), Findings: "doctor found something",
		Recovered: "recovered: " + e.outcome(), Test: "a test, nothing has happened",
	}[e.Kind]
	if e.ExitCode == Incomplete && e.Kind == Success {
		what += ", and something around it failed"
	}
	return "blnkctl on " + e.Host + ": " + e.Target + ": " + what
}

// Exit statuses that say what is told; `blnkctl help exit-codes` has all.
const (
	// Incomplete is that of a run that did its work, where something around it failed.
	Incomplete  = 8
	usage       = 2
	stuck       = 4
	held        = 5
	interrupted = 130
)

// Settle finds the Kind of a run that could have replaced a key by its exit status, and
// what it shows the end of. done says that it did something, failed that the last rotation
// was put back: a run that did nothing is no end of that. Of what was interrupted
// before its first effect, or found another rotation at work, there is nothing to tell;
// nor of a command that a person typed wrong, who is watching.
func (e *Event) Settle(watched, done, failed bool) {
	switch {
	case e.ExitCode == held, e.ExitCode == interrupted, e.ExitCode == usage && watched:
		e.Overdue = false
	case e.ExitCode == stuck:
		e.Kind = Stuck
	case e.ExitCode != 0 && e.ExitCode != Incomplete:
		e.Kind = Failure
	default:
		if done || !failed {
			e.Ends = []string{Failure, Stuck}
		}
		if !e.Overdue {
			e.Ends = append(e.Ends, Overdue)
		}
		if done {
			e.Kind = Success
		}
	}
}

// outcome is the outcome in words.
func (e Event) outcome() string {
	switch {
	case e.Kind == Recovered && (e.Outcome == "" || e.Outcome == "not_due"):
		return "what was told is over"
	case e.Kind == Failure && e.Outcome == "not_due":
		return "it waits for its next try"
	case e.Outcome == "":
		return "exit status " + strconv.Itoa(e.ExitCode)
	}
	return cmp.Or(map[string]string{
		"rolled_back": "everything was put back as it was", "refused": "nothing was changed",
		"restored": "the previous key is back in force", "secured": "secure mode is on",
	}[e.Outcome], strings.ReplaceAll(e.Outcome, "_", " "))
}

// Text is the event for people, a few lines.
func (e Event) Text() string {
	e = e.clean()
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s", e.Subject())
	if e.Error != "" {
		line("%s", e.Error)
	}
	for _, text := range append(e.Warnings, e.Findings...) {
		line("- %s", text)
	}
	old := cmp.Or(e.Old, "(none, or a weak one)")
	switch {
	case e.New == "" && e.Old != "":
		line("key %s", e.Old)
	case e.New == "":
	case e.Outcome == "rolled_back":
		line("key %s, not %s", old, e.New)
	case e.Kind == Stuck:
		line("key %s or %s", old, e.New)
	default:
		line("key %s, now %s", old, e.New) // no ">", which chats other than Slack show as it is sent to Slack
	}
	if !e.Since.IsZero() {
		line("first told %s", screen.At(e.Since))
	}
	if e.Kind != Overdue && e.Overdue {
		line("overdue since %s", screen.At(e.Due))
	} else if e.Kind != Overdue && !e.Due.IsZero() {
		line("due %s", screen.At(e.Due))
	}
	if e.Help != "" {
		line("hint: %s", e.Help)
	}
	when := screen.At(e.Time)
	if e.Late {
		when += " (told late: that run could not)"
	}
	line("%s on %s, %s, exit status %d", e.Command, e.Host, when, e.ExitCode)
	if e.Rotation != "" {
		line("rotation %s", e.Rotation)
	}
	if e.Audit != nil {
		line("audit log: record %d, %s", e.Audit.Seq, e.Audit.Hash)
	}
	return b.String()
}

// Variables are the facts as NAME=VALUE, for a command: all of them, also where there is
// nothing to say, so that none of an earlier event stays.
func (e Event) Variables() []string {
	e = e.clean()
	seq, hash := "", ""
	if e.Audit != nil {
		seq, hash = strconv.Itoa(e.Audit.Seq), e.Audit.Hash
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	all := []string{
		"EVENT", e.Kind, "COMMAND", e.Command, "TARGET", e.Target, "HOST", e.Host, "USER", e.User, "TIME", at(e.Time),
		"OUTCOME", e.Outcome, "EXIT_CODE", strconv.Itoa(e.ExitCode), "ROTATION", e.Rotation, "OLD", e.Old, "NEW", e.New,
		"ERROR", e.Error, "WARNINGS", strings.Join(e.Warnings, "\n"), "FINDINGS", strings.Join(e.Findings, "\n"),
		"SINCE", at(e.Since), "DUE", at(e.Due), "OVERDUE", yes(e.Overdue), "LATE", yes(e.Late), "HELP", e.Help,
		"AUDIT_SEQ", seq, "AUDIT_HASH", hash, "SUBJECT", ascii(e.Subject()), "TEXT", e.Text(),
	}
	var vars []string
	for i := 0; i < len(all); i += 2 {
		vars = append(vars, "BLNKCTL_HOOK_"+all[i]+"="+all[i+1])
	}
	return vars
}

func yes(is bool) string {
	if is {
		return "1"
	}
	return ""
}

// ascii makes a text fit for the header of a mail, where other letters need an encoding.
func ascii(text string) string {
	const most = 200
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), most)]
}
