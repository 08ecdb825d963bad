package cmd

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/schedule"
)

// What a rotation prints: the plan, the progress, and the report. Text, JSON
// and exit code are made of the engine's Plan and Report alone.

// renderPlan is the end of a dry run.
func (w *work) renderPlan(p rotate.Plan) error {
	return cmp.Or(w.show(p.Document(), w.env.Look.Fold(asTyped(w.cmd, p.Text(w.state.Path()))+"Dry run: nothing was changed.\n")), p.Due.Err())
}

// confirmPlan shows the plan to the person at the terminal and asks.
func (w *work) confirmPlan(ctx context.Context, p rotate.Plan) error {
	w.env.Stderr.Pause()
	_, _ = io.WriteString(w.env.Stderr, w.env.Stderr.Look.Fold(p.Text(w.state.Path())))
	w.shown = slices.Concat(p.Cautions, p.Remarks)
	err := w.env.Stderr.Confirm(ctx, w.env.Stdin, p.Question())
	w.declined = err != nil
	return err
}

// progress shows what the engine does.
func (w *work) progress(e rotate.Progress) {
	talk := w.env.Stderr
	if e.Kind == rotate.Idle || e.Kind == rotate.Stopped {
		talk.Pause()
	}
	switch {
	case e.Kind == rotate.Idle:
	case e.Kind == rotate.Urgent, e.Kind == rotate.Stopped:
		talk.Say(e.Text)
	case w.global.quiet:
	case e.Kind == rotate.Started:
		talk.Begin(e.Name())
	case e.Kind == rotate.Note:
		talk.Say("  " + e.Text)
	default:
		talk.End(e.Ended(talk.Look))
	}
}

// instruct tells a person what to do; -q does not silence it, for nothing goes
// on until it is done.
func (w *work) instruct(line string) { w.env.Stderr.Tell(screen.Bold, "now:", line) }

// end tells of a run that ended with err, which is shown as an error, and prints its
// document: last, so that it has what failed behind the run.
func (w *work) end(ctx context.Context, r rotate.Report, err, shown error) error {
	failed := w.tell(ctx, r, shown)
	if code, _ := classify(shown); w.json() && (w.opened || code != exitUsage) { // what could not be opened is as in report
		r.Warnings = slices.Concat(r.Warnings, failed)
		_ = w.printJSON(r.Document(err)) // lostOutput says it, with the right code
	}
	return w.told(failed, shown)
}

// renderReport prints what came of a run for people, and turns its error into an exit code.
func (w *work) renderReport(r rotate.Report, err error) error {
	if !w.json() && !w.global.quiet && !r.Due.Waiting {
		_ = w.print(w.env.Look.Fold(r.Text(w.env.Look)))
	}
	printed := r.Printed(err)
	if err == nil {
		r.Warnings = slices.Concat(r.Warnings, printed)
	}
	for _, text := range r.Warnings {
		if !slices.Contains(w.shown, text) {
			w.warn("%s", text)
		}
	}
	if w.global.quiet && r.Outcome == rotate.RolledBack {
		printed = append(printed, strings.TrimSpace(r.Text(screen.Look{})))
	}
	if err != nil {
		return hint.Detail(err, printed...)
	} else if err := r.Err(); err != nil {
		return err
	}
	for _, line := range r.Next(w.cron(r), targetName(w.cmd), len(w.spec.Restart) > 0) {
		if !w.global.quiet {
			w.env.Stderr.Tell(screen.Bold, "next:", line)
		}
	}
	return nil
}

// cron is a command, or one for a crontab, that does from now on what a person did by
// hand; "" where nobody did.
func (w *work) cron(r rotate.Report) string {
	dir, err := w.env.Getwd()
	by := r.Outcome == rotate.Rotated && w.env.Stderr.Look.Terminal() && !w.intent.IfDue
	if err != nil || !by && (w.init == nil || len(w.spec.Restart) == 0) {
		return ""
	}
	if w.init != nil && w.config.Path == "" { // it has made the blnkctl.yaml, which says the rest
		return "blnkctl schedule cron --install"
	}
	told := slices.DeleteFunc(slices.Clone(elsewhere), func(name string) bool { return !typed(w.cmd, name) }) // asTyped gives it those
	return schedule.For(schedule.Facts{Target: targetName(w.cmd), Program: w.env.Program, Dir: dir, Policy: w.target.Policy, Flags: rotateFlags(w.cmd, told...)}).Command()
}
