// Package doctor holds a Blnk server against the security guide of Blnk: one
// function per rule, all over one set of facts that is gathered once.
//
// A rule says what is wrong, where, how that is known and which command mends it.
// Evidence names places, counts and fingerprints; a key is never in it. Where a rule
// cannot look (no git, no permission, no Docker), it is "not checked", with why, and
// never counted as passed.
//
// It asks what is there (files, /proc, the servers, the tools that drivers use, git)
// and changes nothing; the network it uses is that of the servers named. It does not
// promise that a server without findings is safe: what the guide asks of people
// (reviews, advisories, maintenance) it can only list.
package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/target"
)

// Severity is how much a finding matters, in the words of SARIF.
type Severity string

// The severities. A Note is good to know and fails nothing.
const (
	Error   Severity = "error"   // the ledger, or its key, is open to others
	Warning Severity = "warning" // a rule of the guide is broken
	Note    Severity = "note"
)

// A Rule is one thing that is looked at.
type Rule struct {
	// ID is stable: BLNK, the step of the guide's check list, a number in it.
	ID string `json:"id"`
	// Title is what holds where the rule passes, as a statement.
	Title    string   `json:"title"`
	Severity Severity `json:"severity"` // of its findings
	// Sentence of the Guide that it belongs to.
	Sentence string `json:"sentence"`
	// check looks, and tells the result what it finds, what it cannot look at, and that
	// what it is about is there.
	check check
}

type check func(ctx context.Context, f *Facts, r *Result)

// ErrNothing: what a fact is about does not exist here.
var ErrNothing = errors.New("nothing of the kind is here")

// A Finding is one place where a rule does not hold. Its texts may quote what others
// wrote, but for keys, and are not yet fit for a terminal.
type Finding struct {
	// Place is what a baseline names: a path, a URL, a process or container. It is the
	// same in the next run.
	Place string `json:"place"`
	Text  string `json:"text"` // what is wrong there, in one line
	// Evidence is how that is known, a line each.
	Evidence []string `json:"evidence,omitempty"`
	// Remedy is a command that mends it, or what a person has to do.
	Remedy   string   `json:"remedy"`
	Severity Severity `json:"severity"`
	// Fix mends it without a restart; nil where a person decides.
	Fix *Fix `json:"-"`
	// Accepted is the reason of the baseline.
	Accepted string `json:"accepted,omitempty"`
}

// A Fix is a change of files that needs no restart.
type Fix struct {
	Diff  string // for people, before it is done
	Apply func(context.Context) error
}

// State is how a rule came out.
type State string

// The states.
const (
	Passed     State = "passed"
	Failed     State = "failed"
	NotChecked State = "not_checked"
	Skipped    State = "skipped" // by --skip, or not named by --rule
	NoSubject  State = "nothing" // what the rule is about is not here: no container, no scoped key
)

// A Result is one rule and what came of it.
type Result struct {
	Rule
	Link     string    `json:"link"`
	State    State     `json:"state"`
	Why      string    `json:"why,omitempty"` // it could not look, or not any further
	Findings []Finding `json:"findings"`

	seen bool // what the rule is about is here
	err  error
}

// saw says that what the rule is about is here.
func (r *Result) saw(is bool) { r.seen = r.seen || is }

// unsure says what could not be looked at, each once. ErrNothing is no such error.
func (r *Result) unsure(errs ...error) {
	for _, err := range errs {
		said := err != nil && r.err != nil && strings.Contains(r.err.Error(), err.Error())
		if !said && !errors.Is(err, ErrNothing) {
			r.err = errors.Join(r.err, err)
		}
	}
}

// add makes a finding with the severity of the rule, and returns it to be changed. One
// that stands there, as replicas of a service say it again, is not added.
func (r *Result) add(place, text, remedy string, evidence ...string) *Finding {
	one := Finding{Place: place, Text: text, Evidence: evidence, Remedy: remedy, Severity: r.Severity}
	if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Place == place && f.Text == text }) {
		r.Findings = append(r.Findings, one)
		return &r.Findings[len(r.Findings)-1]
	}
	return &one
}

// A Report is a run of all rules.
type Report struct {
	Outcome string   `json:"result"` // passed, failed
	Rules   []Result `json:"rules"`
	Expired []string `json:"expired"` // lines of the baseline that are past their date
}

// A Choice says which rules run.
type Choice struct{ Only, Skip []string }

// Check refuses an ID that is no rule's, and that nothing is left to look at.
func (c Choice) Check(rules []Rule) error {
	const help = "blnkctl doctor --list names them"
	for _, id := range append(slices.Clone(c.Only), c.Skip...) {
		if !slices.ContainsFunc(rules, func(r Rule) bool { return strings.EqualFold(r.ID, id) }) {
			return target.Refuse(help, "no rule has the ID %s", hint.Command(id)) // a variable may be empty, and then no rule would run
		}
	}
	if !slices.ContainsFunc(rules, func(r Rule) bool { return c.has(r.ID) }) {
		return target.Refuse(help, "--rule and --skip leave no rule")
	}
	return nil
}

// Args are the flags that say so.
func (c Choice) Args() string { return hint.Flags("--rule", c.Only) + hint.Flags("--skip", c.Skip) }

func (c Choice) has(id string) bool {
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(one string) bool { return strings.EqualFold(one, id) })
	}
	return !in(c.Skip) && (len(c.Only) == 0 || in(c.Only))
}

// Run holds the facts against the rules. A finding that the baseline accepts fails
// nothing; a rule that was asked for by name and could not look fails.
func Run(ctx context.Context, rules []Rule, f *Facts, choice Choice, baseline []config.Exception) (Report, error) {
	r := Report{Outcome: "passed", Expired: []string{}}
	for _, rule := range rules {
		one := Result{Rule: rule, Link: Link(rule.Sentence), State: Skipped, Findings: []Finding{}}
		if choice.has(rule.ID) {
			one.look(ctx, f)
			if ctx.Err() != nil {
				return r, context.Cause(ctx)
			}
			one.accept(baseline, f.Now())
		}
		if one.fails() || one.Why != "" && len(choice.Only) > 0 {
			r.Outcome = "failed"
		}
		r.Rules = append(r.Rules, one)
	}
	for _, e := range baseline {
		if !e.Until.After(f.Now()) {
			r.Expired = append(r.Expired, e.ID+" "+e.Place)
		}
	}
	return r, nil
}

func (r *Result) look(ctx context.Context, f *Facts) {
	r.check(ctx, f, r)
	switch {
	case len(r.Findings) > 0:
		r.State = Failed
	case r.err != nil:
		r.State = NotChecked
	case r.seen:
		r.State = Passed
	default:
		r.State = NoSubject
	}
	if r.err != nil {
		r.Why = r.err.Error()
	}
}

// accept marks what the baseline accepts.
func (r *Result) accept(baseline []config.Exception, now time.Time) {
	open := 0
	for i := range r.Findings {
		one := &r.Findings[i]
		for _, e := range baseline {
			if strings.EqualFold(e.ID, r.ID) && e.Place == one.Place && e.Until.After(now) {
				one.Accepted = e.Reason
			}
		}
		if one.Accepted == "" {
			open++
		}
	}
	if r.State == Failed && open == 0 {
		if r.State = Passed; r.Why != "" {
			r.State = NotChecked
		}
	}
}

// fails says whether one of the findings is worse than a note.
func (r *Result) fails() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Accepted == "" && f.Severity != Note })
}

// Fixes are what can be mended at once, each once. What the baseline accepts is left alone.
func (r Report) Fixes() (fixes []*Fix) {
	for _, f := range r.findings() {
		if f.Fix != nil && f.Accepted == "" && !slices.Contains(fixes, f.Fix) {
			fixes = append(fixes, f.Fix)
		}
	}
	return fixes
}

// Hands are those of who mends.
type Hands struct {
	Say, Warn func(format string, args ...any)
	Ask       func(ctx context.Context) error // whether what was said is right; nil: it is
	Record    func(ctx context.Context, r audit.Record) error
}

// Mend says which changes need no restart, asks, makes them and records it. What fails is
// a warning: its finding stays. done: there was something to do.
func (r Report) Mend(ctx context.Context, h Hands) (done bool, err error) {
	fixes, made := r.Fixes(), []string{}
	if len(fixes) == 0 {
		h.Say("nothing here can be mended without a restart or a decision")
		return false, nil
	}
	for _, f := range fixes {
		h.Say("%s", strings.TrimSuffix(f.Diff, "\n"))
	}
	if h.Ask != nil {
		if err := h.Ask(ctx); err != nil {
			return false, err
		}
	}
	for _, f := range fixes {
		if err := f.Apply(ctx); err != nil {
			h.Warn("%v", err)
			continue
		}
		what, _, _ := strings.Cut(f.Diff, "\n")
		made = append(made, what)
	}
	if len(made) > 0 {
		if err := h.Record(ctx, audit.Record{Event: "doctor --fix", Outcome: "fixed", Reason: strings.Join(made, "; ")}); err != nil {
			h.Warn("it is not in the audit log: %v", err)
		}
	}
	return true, nil
}

// Table lists rules.
func Table(rules []Rule, look screen.Look) string {
	table := [][]string{{"RULE", "SEVERITY", "GUIDE", "WHAT HOLDS"}}
	for _, r := range rules {
		table = append(table, []string{r.ID, string(r.Severity), r.Sentence, r.Title})
	}
	return look.Table(table, nil)
}

// Names are the IDs of all rules, each with its title, for the completion of a shell.
func Names() (all []string) {
	for _, r := range Rules() {
		all = append(all, r.ID+"\t"+r.Title)
	}
	return all
}

// Listed are rules as a document, as if none had run.
func Listed(rules []Rule) []Result {
	r, _ := Run(context.Background(), rules, &Facts{Sources: Sources{Now: time.Now}}, Choice{Only: []string{""}}, nil) // nothing runs
	return r.Rules
}
