package host

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/schedule"
	"github.com/blnkctl/blnkctl/target"
)

// A Result is what came of a wish: "printed", "planned", "unchanged", "installed" or
// "removed".
type Result struct {
	Result string          `json:"result"`
	Files  []schedule.File `json:"files"`
}

// Do prints the schedule, or changes what stands here as it is wished.
func Do(ctx context.Context, w Wish, getenv func(string) string) error {
	err := w.conflict()
	var job schedule.Job
	if err == nil {
		job, err = w.job(getenv)
	}
	if err != nil {
		return err
	}
	return said(here(w.Root, w.Environ, getenv).do(ctx, w, job))
}

// said adds what a program said that failed: systemctl, or crontab.
func said(err error) error {
	if exit, ok := errors.AsType[*run.ExitError](err); ok {
		return hint.Detail(err, strings.FieldsFunc(exit.Result.Output, func(r rune) bool { return r == '\n' })...)
	}
	return err
}

// stores are those of the schedule, each by its whole name where it can be opened.
func (w Wish) stores() []string {
	if opened, err := target.Open(w.Spec, w.Open); err == nil {
		return opened.Set.Names()
	}
	return w.Spec.Stores
}

func (h Host) do(ctx context.Context, w Wish, job schedule.Job) (err error) {
	var files []schedule.File
	if !w.Remove {
		if files, err = h.Files(w.Kind, job); err != nil {
			return err
		}
	}
	tell := func(result, text string) error {
		if w.Document != nil {
			return w.Document(Result{result, files})
		}
		return w.Print(screen.Clean(text))
	}
	if !w.Install && !w.Remove {
		h.remark(w, job)
		texts := make([]string, len(files))
		for i, f := range files {
			texts[i] = "# " + f.Name + "\n" + f.Text
		}
		return tell("printed", strings.Join(texts, "\n"))
	}
	plan, err := h.Plan(ctx, w.Kind, job, w.Remove, w.Force)
	if err != nil {
		return err
	}
	if plan.Empty() {
		w.Say("nothing is to be done: %s", map[bool]string{true: "there is none", false: h.See(w.Kind, job)}[w.Remove])
		return tell("unchanged", "")
	}
	if w.Install {
		h.remark(w, job)
	}
	if w.DryRun {
		return tell("planned", plan.Diff())
	}
	if w.Document != nil { // stdout is one
		w.Say("%s", strings.TrimSuffix(plan.Diff(), "\n"))
	} else if err := w.Print(screen.Clean(plan.Diff())); err != nil {
		return err
	}
	if w.Ask != nil {
		if err := w.Ask(ctx); err != nil {
			return err
		}
	}
	return h.apply(ctx, w, job, plan, func(result string) error { return tell(result, "") })
}

func (h Host) apply(ctx context.Context, w Wish, job schedule.Job, plan *Plan, tell func(result string) error) error {
	outcome := map[bool]string{true: "removed", false: "installed"}[w.Remove]
	record := outcome
	err := plan.Apply(ctx)
	if err != nil {
		record = "failed"
	}
	if failed := w.Record(context.WithoutCancel(ctx), audit.Record{Event: "schedule", Outcome: record, Stores: w.stores(), Reason: string(w.Kind) + " " + schedule.Name(job.Target)}); failed != nil {
		w.Warn("it is not in the audit log: %v", failed)
	}
	if err != nil {
		return fmt.Errorf("change the schedule: %w", err)
	}
	w.Say("%s; %s", outcome, map[bool]string{true: "nothing rotates the key by this any more", false: h.See(w.Kind, job)}[w.Remove])
	return tell(outcome)
}

func (h Host) remark(w Wish, job schedule.Job) {
	for _, text := range h.Remarks(w.Kind, job, w.UID, len(w.Notices) > 0 || w.Hooks) {
		w.Warn("%s", text)
	}
	for _, name := range w.Lacking() {
		w.Warn("%s of this shell is no part of a schedule, which all can read: put the secret into a file that only %s can read", name, job.User)
	}
}
