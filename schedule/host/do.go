package host

import (
	"context"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/schedule"
)

// A Wish is what a person wants to become of a schedule: to see it, or to have it here,
// or not any more.
type Wish struct {
	Kind                           Kind
	Job                            schedule.Job
	Install, Remove, DryRun, Force bool
	UID                            int
	Told                           bool     // blnkctl.yaml says who hears of a failure
	Lacking                        []string // variables that the job will not have

	// Document gets a document where one is wanted in the place of what Print would get.
	Document func(any) error
	Print    func(text string) error                               // what was asked for
	Say      func(format string, args ...any)                      // what there is to be known besides
	Warn     func(format string, args ...any)                      //
	Ask      func(ctx context.Context) error                       // nil: nobody is there to be asked
	Record   func(ctx context.Context, outcome, what string) error // for the audit log
}

// A Result is what came of a wish: "printed", "planned", "unchanged", "installed" or
// "removed".
type Result struct {
	Result string          `json:"result"`
	Files  []schedule.File `json:"files"`
}

// Do prints the schedule, or changes what stands here as it is wished.
func (h Host) Do(ctx context.Context, w Wish) (err error) {
	var files []schedule.File
	if !w.Remove {
		if files, err = h.Files(w.Kind, w.Job); err != nil {
			return err
		}
	}
	tell := func(result, text string) error {
		if w.Document != nil {
			return w.Document(Result{result, files})
		}
		return w.Print(text)
	}
	if !w.Install && !w.Remove {
		h.remark(w)
		texts := make([]string, len(files))
		for i, f := range files {
			texts[i] = "# " + f.Name + "\n" + f.Text
		}
		return tell("printed", strings.Join(texts, "\n"))
	}
	plan, err := h.Plan(ctx, w.Kind, w.Job, w.Remove, w.Force)
	if err != nil {
		return err
	}
	if plan.Empty() {
		w.Say("nothing is to be done: %s", map[bool]string{true: "there is none", false: h.See(w.Kind, w.Job)}[w.Remove])
		return tell("unchanged", "")
	}
	if w.Install {
		h.remark(w)
	}
	if w.DryRun {
		return tell("planned", plan.Diff())
	}
	if w.Document == nil || w.Ask != nil {
		if err := w.Print(plan.Diff()); err != nil {
			return err
		}
	}
	if w.Ask != nil {
		if err := w.Ask(ctx); err != nil {
			return err
		}
	}
	return h.apply(ctx, w, plan, func(result string) error { return tell(result, "") })
}

func (h Host) apply(ctx context.Context, w Wish, plan *Plan, tell func(result string) error) error {
	outcome := map[bool]string{true: "removed", false: "installed"}[w.Remove]
	record := outcome
	err := plan.Apply(ctx)
	if err != nil {
		record = "failed"
	}
	if failed := w.Record(context.WithoutCancel(ctx), record, string(w.Kind)+" "+schedule.Name(w.Job.Target)); failed != nil {
		w.Warn("it is not in the audit log: %v", failed)
	}
	if err != nil {
		return fmt.Errorf("change the schedule: %w", err)
	}
	w.Say("%s; %s", outcome, map[bool]string{true: "nothing rotates the key by this any more", false: h.See(w.Kind, w.Job)}[w.Remove])
	return tell(outcome)
}

func (h Host) remark(w Wish) {
	for _, text := range h.Remarks(w.Kind, w.Job, w.UID, w.Told) {
		w.Warn("%s", text)
	}
	for _, name := range w.Lacking {
		w.Warn("%s of this shell is no part of a schedule, which all can read: put the secret into a file that only %s can read", name, w.Job.User)
	}
}
