package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/schedule"
	"github.com/blnkctl/blnkctl/target"
)

// A Wish is what a person wants to become of a schedule: to see it, or to have it here,
// or not any more.
type Wish struct {
	Kind                           Kind
	Install, Remove, DryRun, Force bool
	At, Mail                       string // as they were typed, "" for the usual ones

	schedule.Facts                 // what is known; the rest is looked for
	Targets        []config.Target // of blnkctl.yaml
	All            bool            // one schedule for all of them
	Spec           target.Spec     // of a rotation, which has to be one that can be opened
	Open           target.Openers
	UID            int

	notices []config.Notice // of the targets

	Print    func(text string) error // what was asked for
	Document func(any) error         // nil: text is wanted
	Say      func(format string, args ...any)
	Warn     func(format string, args ...any)
	Ask      func(ctx context.Context) error           // nil: nobody is there to be asked
	Record   func(context.Context, audit.Record) error // into the audit log
}

// A Result is what came of a wish: "printed", "planned", "unchanged", "installed" or
// "removed".
type Result struct {
	Result string          `json:"result"`
	Files  []schedule.File `json:"files"`
}

// Do prints the schedule, or changes what stands here as it is wished.
func Do(ctx context.Context, w Wish, getenv func(string) string) error {
	job, err := w.job(getenv)
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

// job makes the job of a wish. What nothing could run is refused, as a rotation would.
func (w *Wish) job(getenv func(string) string) (job schedule.Job, err error) {
	w.Root = w.UID == 0
	var names []string
	for _, t := range w.Targets {
		w.notices = append(w.notices, t.Notify...)
		w.Policy.MaxAge, w.Policy.Windows = t.Policy.MaxAge, append(w.Policy.Windows, t.Policy.Windows...)
		spec := w.Spec
		if w.All {
			w.Target, spec.Dir = schedule.All, filepath.Dir(w.Config)
			spec.Stores, spec.Restart, spec.Servers = t.Stores, t.Restart, t.Servers
		}
		if w.All && w.Age == "" && t.Policy.MaxAge == 0 && !w.Remove {
			return job, target.Refuse("say it there, policy: {max_age: 90d}; or --if-older-than 90d", "%s does not say at which age the key of %s is due", w.Config, cmp.Or(t.Name, "its own target"))
		}
		opened, failed := target.Open(spec, w.Open)
		switch {
		case w.Remove && failed == nil:
			names = append(names, opened.Set.Names()...)
		case w.Remove:
			names = append(names, spec.Stores...)
		case len(spec.Restart) == 0 && w.All:
			return job, target.Refuse("add what restarts server and workers, as restart: systemd:blnk,blnk-worker", "%s: %s names no restart", w.Config, cmp.Or(t.Name, "its own target"))
		case len(spec.Restart) == 0:
			return job, target.Refuse("name what restarts server and workers, as --restart systemd:blnk,blnk-worker", "no --restart")
		case failed != nil:
			return job, failed
		default:
			folders, err := opened.Set.Folders()
			if err != nil {
				return job, err
			}
			names, w.Folders = append(names, opened.Set.Names()...), append(w.Folders, folders...)
		}
		w.Hooks = w.Hooks || slices.ContainsFunc(t.Notify, func(n config.Notice) bool { return strings.HasPrefix(n.To, "command:") })
		w.Restart, w.Stores = append(w.Restart, spec.Restart...), append(w.Stores, spec.Stores...)
	}
	w.Environ = append(w.Environ[:len(w.Environ):len(w.Environ)], "PATH="+Path(getenv("PATH"), w.UID))
	job = schedule.For(w.Facts)
	job.Stores = names
	for _, one := range []struct {
		flag, text string
		read       func(text string) error
	}{
		{"--mail", w.Mail, func(text string) (err error) { job.Mail, err = schedule.ParseMail(text); return err }},
		{"--at", w.At, func(text string) (err error) { job.When, err = schedule.ParseWhen(text); return err }},
		{"--if-older-than", w.Age, func(text string) (err error) { _, err = policy.ParseAge(text); return err }},
	} {
		if err == nil && one.text != "" && !w.Remove {
			if err = one.read(one.text); err != nil {
				err = hint.As(target.ErrSpec, "%s: %w", one.flag, err)
			}
		}
	}
	return job, err
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

// apply makes the changes, records them, and says what became of them.
func (h Host) apply(ctx context.Context, w Wish, job schedule.Job, plan *Plan, tell func(result string) error) (err error) {
	outcome, then := "installed", h.See(w.Kind, job)
	if w.Remove {
		outcome, then = "removed", "nothing rotates the key by this any more"
	}
	record := audit.Record{Event: "schedule", Outcome: outcome, Stores: job.Stores, Reason: string(w.Kind) + " " + schedule.Name(job.Target)}
	if err = plan.Apply(ctx); err != nil {
		record.Outcome = "failed"
	}
	if failed := w.Record(context.WithoutCancel(ctx), record); failed != nil {
		w.Warn("it is not in the audit log: %v", failed)
	}
	if err != nil {
		return fmt.Errorf("change the schedule: %w", err)
	}
	w.Say("%s; %s", outcome, then)
	return tell(outcome)
}

func (h Host) remark(w Wish, job schedule.Job) {
	for _, text := range h.Remarks(w.Kind, job, w.UID, len(w.notices) > 0 || w.Hooks) {
		w.Warn("%s", text)
	}
	for _, name := range w.Lacking() {
		w.Warn("%s of this shell is no part of a schedule, which all can read: put the secret into a file that only %s can read", name, job.User)
	}
}
