package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/rotate"
)

// What rotate and sync print: the plan, the progress, and the report. Text, JSON
// and exit code are made of the engine's Plan and Report alone.

// renderPlan is the end of a dry run.
func (w *work) renderPlan(ctx context.Context, p rotate.Plan) error {
	if !w.json() {
		return w.print(w.planText(ctx, p, w.env.StdoutTTY) + "Dry run: nothing was changed.\n")
	}
	var holders []string
	if p.Open == nil && p.Due.Yes {
		for _, r := range w.look.Receivers(ctx, p.Current) {
			holders = append(holders, r.URL)
		}
	}
	return w.printJSON(p.Document(w.intent.Event, holders))
}

// confirmPlan shows the plan to the person at the terminal and asks.
func (w *work) confirmPlan(ctx context.Context, p rotate.Plan) error {
	w.steps.Pause()
	_, _ = fmt.Fprint(w.env.Stderr, w.planText(ctx, p, w.env.StderrTTY))
	question := "Rotate the key now?"
	if w.intent.Event == rotate.Sync {
		question = "Sync now?"
	}
	return w.confirm(ctx, question)
}

// planText is the plan for people, 80 columns wide as far as the names allow;
// only for a terminal are the notes wrapped, since elsewhere a line is easier to
// search for.
func (w *work) planText(ctx context.Context, p rotate.Plan, terminal bool) string {
	var b strings.Builder
	switch {
	case p.Open != nil:
		how := "finished"
		if p.Open.Undoing {
			how = "undone"
		}
		fmt.Fprintf(&b, "Rotation %s is open, %s.\nIt would be %s from step %q on, and no other one begun.\n",
			p.Open.Rotation, screen.CleanLine(p.Open.Begun()), how, p.Open.Row)
		if p.Open.FirstError != "" {
			fmt.Fprintf(&b, "It stopped because: %s\n", screen.CleanLine(p.Open.FirstError))
		}
		return b.String()
	case !p.Due.Yes:
		return "Nothing to do: " + screen.CleanLine(p.Due.Why) + "\n"
	case w.intent.Event == rotate.Sync:
		fmt.Fprintf(&b, "Copy the key: %s\n\n", p.Due.Why)
		screen.Items(&b, "differs", "%s", p.Differs)
		screen.Items(&b, "write", copyFormat, p.Copies)
		screen.Items(&b, "restart", "%s", p.Restart)
		screen.Items(&b, "test", "%s: this key taken, the one before and random ones refused", p.Servers)
	default:
		w.rotationText(ctx, &b, p)
	}
	if len(p.Remarks)+len(p.Cautions) > 0 {
		b.WriteByte('\n')
	}
	screen.Notes(&b, "Note: ", p.Remarks, terminal)
	screen.Notes(&b, "Warning: ", p.Cautions, terminal)
	b.WriteByte('\n')
	return b.String()
}

const copyFormat = "%s (write-only: last, and not read back)"

func (w *work) rotationText(ctx context.Context, b *strings.Builder, p rotate.Plan) {
	which := " " + p.Old
	if p.Old == "" {
		which = ", which is weak"
	}
	b.WriteString("Rotate the master key" + which)
	if w.intent.IfOlderThan > 0 && p.Due.Why != "" {
		fmt.Fprintf(b, "\n(%s)", p.Due.Why)
	}
	b.WriteString("\n\n")
	screen.Items(b, "1 set", "%s", p.Stores)
	screen.Items(b, "", copyFormat, p.Copies)
	screen.Items(b, "2 restart", "%s", p.Restart)
	screen.Items(b, "3 test", "%s: new key taken, old and random ones refused", p.Servers)
	screen.Items(b, "4 finish", "state and audit log in %s", []string{w.state.Path()})
	if p.Compromised {
		b.WriteString("\nThere is no way back to the old key: after a failure a person is needed.\n")
	} else {
		b.WriteString("\nAfter a failure the old key is put back, restarted with, and proved.\n")
	}
	b.WriteString("\nWho holds the key besides the server:\n")
	workers := "restarted by what --restart names"
	switch {
	case len(p.Cautions) > 0:
		workers = "see the warning below"
	case !w.target.WorkersProved:
		workers = "not proved: restart them too, they read the key at start"
	}
	screen.Items(b, "workers", "sign webhooks with it; %s", []string{workers})
	hooks := []string{"receivers must accept signatures of both keys meanwhile:"}
	for _, r := range w.look.Receivers(ctx, p.Current) {
		hooks = append(hooks, r.URL+" ("+r.What+")")
	}
	if len(hooks) == 1 {
		hooks = []string{"none known to the server or to blnk.json"}
	}
	screen.Items(b, "webhooks", "%s", hooks)
	screen.Items(b, "jobs", "%s", []string{"that use the master key (hooks, API keys, SDKs, Blnk Cloud)"})
	b.WriteString("Scoped API keys are not touched, nor is any other secret.\n")
}

// newSteps are the steps of a rotation on stderr.
func (a *app) newSteps() *screen.Steps {
	return &screen.Steps{W: a.env.Stderr, Terminal: a.env.StderrTTY && a.env.Getenv("TERM") != "dumb"}
}

// progress shows what the engine does.
func (w *work) progress(e rotate.Progress) {
	name := e.Step
	if e.Undo {
		name = "undo " + e.Step
	}
	switch {
	case w.global.quiet:
	case e.Kind == rotate.Started:
		w.steps.Begin(name)
	case e.Kind == rotate.Done:
		w.steps.End(fmt.Sprintf("  %-12s %s", name, screen.Time(e.Duration)))
	case e.Kind == rotate.Failed:
		w.steps.End(fmt.Sprintf("  %-12s %s after %s", name, w.paint(screen.Red, "failed"), screen.Time(e.Duration)))
	case e.Kind == rotate.Note:
		w.steps.Add("  " + screen.Clean(e.Text))
	}
}

// instruct tells a person what to do; -q does not silence it, for nothing goes
// on until it is done.
func (w *work) instruct(line string) {
	w.steps.Add(w.paint(screen.Bold, "now:") + " " + screen.Clean(line))
}

// printReport prints the document of -o json.
func (a *app) printReport(r rotate.Report, err error) error {
	r.Servers, r.Steps, r.Warnings = append([]rotate.ServerState{}, r.Servers...), append([]rotate.StepTime{}, r.Steps...), append([]string{}, r.Warnings...)
	doc := struct {
		rotate.Report
		Error string `json:"error,omitempty"`
		Why   string `json:"why,omitempty"` // of not_due and adopted
	}{Report: r, Why: r.Due.Why}
	if err != nil {
		doc.Error = err.Error()
	}
	return a.printJSON(doc)
}

// renderUnopened prints the document of a rotation that could not be opened. An
// error of usage has none, here as in every command.
func (w *work) renderUnopened(err error) error {
	if code, _ := classify(err); w.json() && code != exitUsage && w.intent.Event == rotate.Rotate {
		_ = w.printReport(rotate.Report{Outcome: rotate.Refused}, err) // err matters more
	}
	return err
}

// renderReport prints what came of a run, and turns its error into an exit code.
func (w *work) renderReport(r rotate.Report, err error) error {
	if w.json() {
		_ = w.printReport(r, err) // lostOutput says it, with the right code
	} else if nothing := r.Outcome == rotate.NotDue || r.Outcome == rotate.InSync; !r.Due.Waiting && (!nothing || !w.global.quiet) {
		_ = w.print(screen.Clean(resultText(r))) // with -q, cron sends no mail where there was nothing to do
	}
	for _, text := range r.Warnings {
		w.warn("%s", text)
	}
	if exit, ok := errors.AsType[*run.ExitError](err); ok && len(r.Outputs) == 0 && exit.Tail() != "" {
		r.Outputs = []string{exit.Tail()} // of a check
	}
	for i, text := range r.Outputs {
		r.Outputs[i] = "the output of the restart:\n  " + strings.ReplaceAll(text, "\n", "\n  ")
		if err == nil {
			w.warn("%s", r.Outputs[i])
		}
	}
	switch {
	case err != nil:
		return &exitError{err: err, details: r.Outputs}
	case r.Due.Waiting: // whoever runs this from cron is to hear of it until it is mended
		return fail(exitCheck, errors.New(r.Due.Why), "")
	case r.Incomplete:
		return fail(exitIncomplete, errors.New("rotated and proved, but something around it needs you: see the warnings"), r.Help)
	default:
		return nil
	}
}

// resultText is the result for people; "" where an error says it all.
func resultText(r rotate.Report) string {
	named := func(fingerprint string) string {
		if fingerprint == "" {
			return "a weak key"
		}
		return fingerprint
	}
	switch r.Outcome {
	case rotate.Rotated, rotate.Resumed:
		return fmt.Sprintf("rotated %s -> %s\n%s", named(r.Old), named(r.New), serverLines(r, "the new key is live, the old one is dead"))
	case rotate.RolledBack:
		return fmt.Sprintf("put back: %s is in force again\n%s", named(r.Old), serverLines(r, "the old key is live, the new one is dead"))
	case rotate.Synced:
		return fmt.Sprintf("synced to %s\n%s", named(r.New), serverLines(r, "this key is live"))
	case rotate.InSync:
		return "in sync: " + r.Due.Why + "\n"
	case rotate.NotDue:
		return "not due: " + r.Due.Why + "\n"
	case rotate.Adopted:
		return "adopted: " + r.Due.Why + "\n"
	case rotate.Abandoned:
		return "abandoned: the open rotation is forgotten\n"
	case rotate.None:
		return "there is no open rotation\n"
	default:
		return ""
	}
}

func serverLines(r rotate.Report, proof string) string {
	var b strings.Builder
	for _, s := range r.Servers {
		word, proof := "proved", proof
		if s.Sampled {
			word = "sampled"
		}
		if s.OldScoped {
			proof = "the new key is live, the old one is let in as a scoped API key"
		}
		fmt.Fprintf(&b, "  %s on %s: %s\n", word, s.URL, proof)
	}
	return b.String()
}
