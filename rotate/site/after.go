package site

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/notify"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/state"
)

// An After is what is done behind a run, when all of it is on the disk: the hooks of who
// began it, and the notices of the target. None of it changes what came of the run.
type After struct {
	Teller *notify.Teller
	// OnSuccess and OnFailure are commands of a shell, which run in Dir with Env.
	OnSuccess, OnFailure string
	Dir                  string
	Env                  []string

	Now             func() time.Time
	Who             audit.Actor
	Command, Target string // what ran, and for what
	Policy          policy.Policy
	Folder          *state.Target // of the target; nil: no age is known
	// Watched: a person at a terminal sees what was wrong with what was typed.
	Watched bool
}

// Event is what a run that ended with an exit status has to tell.
func (a After) Event(r rotate.Report, err error, code int, help string) notify.Event {
	e := notify.Event{
		Command: a.Command, Target: a.Target, Host: a.Who.Host, User: a.Who.User, Time: a.Now(), Outcome: string(r.Outcome), ExitCode: code,
		Rotation: r.Rotation, Old: r.Old, New: r.New, Warnings: slices.Clone(r.Warnings), Help: help,
		Attempt: true, Waits: errors.Is(err, rotate.ErrWaiting), Audit: a.Teller.Head(),
	}
	if err != nil {
		e.Error, _ = hint.Lines(err)
	}
	failed := false
	if a.Folder != nil {
		history, _ := a.Folder.LoadHistory() // what cannot be read has been an error of the run
		since := history.ProvedAt
		if since.IsZero() {
			since = history.SeenAt
		}
		failed, e.Due = history.Failures > 0, a.Policy.Next(since)
		e.Overdue = !e.Due.IsZero() && e.Time.Sub(e.Due) > policy.Late && r.Outcome != rotate.Rotated && r.Outcome != rotate.Resumed
	}
	idle := []rotate.Outcome{rotate.NotDue, rotate.Adopted, rotate.InSync, rotate.InPlace, rotate.None}
	e.Settle(a.Watched, !slices.Contains(idle, r.Outcome), failed)
	return e
}

// Do runs the hook and tells whom the target names. What failed comes back, a line each.
func (a After) Do(ctx context.Context, e notify.Event) (failed []string) {
	if ctx.Err() != nil { // the run was interrupted, and has ended in order
		ctx = context.WithoutCancel(ctx)
	}
	hook, flag := a.OnFailure, "--on-failure"
	if e.Kind == notify.Success {
		hook, flag = a.OnSuccess, "--on-success"
	}
	if hook != "" && e.Kind != "" {
		if err := notify.Hook(ctx, hook, a.Dir, a.Env, e); err != nil {
			failed = append(failed, flag+": "+err.Error())
			e.Warnings, e.ExitCode = append(e.Warnings, failed...), cmp.Or(e.ExitCode, notify.Incomplete)
		}
	}
	return append(failed, a.Teller.Report(ctx, e)...)
}
