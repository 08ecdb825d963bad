package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/schedule"
	"github.com/blnkctl/blnkctl/target"
)

// A Wish is what a person wants to become of a schedule: to see it, or to have it here,
// or not any more.
type Wish struct {
	Kind                           Kind
	Install, Remove, DryRun, Force bool
	Age, At, Mail                  string // as they were typed, "" for the usual ones
	Splay                          time.Duration

	schedule.Facts             // what is known; the rest is looked for
	Spec           target.Spec // of a rotation, which has to be one that can be opened
	Open           target.Openers
	UID            int
	Notices        []config.Notice

	Print    func(text string) error // what was asked for
	Document func(any) error         // nil: text is wanted
	Say      func(format string, args ...any)
	Warn     func(format string, args ...any)
	Ask      func(ctx context.Context) error           // nil: nobody is there to be asked
	Record   func(context.Context, audit.Record) error // into the audit log
}

// job makes the job of a wish. What nothing could run is refused, as a rotation would.
func (w *Wish) job(getenv func(string) string) (job schedule.Job, err error) {
	w.Restart, w.Stores = w.Spec.Restart, w.Spec.Stores
	w.Facts.Age, w.Facts.Splay = w.Age, w.Splay
	w.Root = w.UID == 0
	w.Hooks = w.Hooks || slices.ContainsFunc(w.Notices, func(n config.Notice) bool { return strings.HasPrefix(n.To, "command:") })
	if w.Remove {
		return schedule.For(w.Facts), nil
	}
	if len(w.Restart) == 0 {
		return job, target.Refuse("name what restarts server and workers, as --restart systemd:blnk,blnk-worker", "no --restart")
	}
	opened, err := target.Open(w.Spec, w.Open)
	if err != nil {
		return job, err
	}
	if w.Folders, err = opened.Set.Folders(); err != nil {
		return job, err
	}
	w.Environ = append(w.Environ[:len(w.Environ):len(w.Environ)], "PATH="+Path(getenv("PATH"), w.UID))
	job = schedule.For(w.Facts)
	if w.Mail != "" {
		job.Mail, err = schedule.ParseMail(w.Mail)
		err = of("--mail", err)
	}
	if err == nil && w.At != "" {
		job.When, err = schedule.ParseWhen(w.At)
		err = of("--at", err)
	}
	if err == nil && w.Age != "" {
		_, err = policy.ParseAge(w.Age)
		err = of("--if-older-than", err)
	}
	return job, err
}

// of names the flag of a fault.
func of(flag string, err error) error {
	if err == nil {
		return nil
	}
	return hint.As(target.ErrSpec, "%s: %w", flag, err)
}

// conflict is the error of flags that contradict each other.
func (w *Wish) conflict() error {
	switch {
	case w.Install && w.Remove:
		return target.Refuse("leave one of them away", "--install and --remove exclude each other")
	case w.Splay < 0:
		return of("--splay", errors.New("want 0s or more"))
	}
	return nil
}
