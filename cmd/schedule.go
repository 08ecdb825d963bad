package cmd

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/schedule"
	"github.com/blnkctl/blnkctl/schedule/host"
	"github.com/blnkctl/blnkctl/target"
)

type scheduleOptions struct {
	rotateOptions
	wish                     host.Wish
	age, at, mail, onFailure string
}

func newScheduleCmd(a *app) *cobra.Command {
	return newGroup("schedule", newScheduleKind(a, host.Cron), newScheduleKind(a, host.Systemd))
}

func newScheduleKind(a *app, kind host.Kind) *cobra.Command {
	o := &scheduleOptions{wish: host.Wish{Kind: kind, UID: a.env.UID, Say: a.say, Warn: a.warn}}
	cmd := newCmd("schedule", string(kind)+" [TARGET] [flags]", func(cmd *cobra.Command) error { return a.runSchedule(cmd.Context(), o) })
	o.addPlaces(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.wish.Install, "install", false, "show what is to be changed on this host, ask, and do it")
	f.BoolVar(&o.wish.Remove, "remove", false, "take away what --install has made")
	f.BoolVar(&o.wish.DryRun, "dry-run", false, "only show what is to be changed")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	f.BoolVar(&o.wish.Force, "force", false, "take no notice of what a person changed there")
	f.StringVar(&o.age, "if-older-than", "", "`AGE`: at which a key is due (default: policy, or "+schedule.DefaultAge+")")
	f.StringVar(&o.at, "at", "", "`TIME`: of the day, as 04:30 (default: this host's own)")
	f.DurationVar(&o.wish.Job.Splay, "splay", 0, "wait a random while first, at most")
	f.StringVar(&o.mail, "mail", "", "`ADDRESS`: to mail a failure to")
	actions(cmd, "install", "remove", "dry-run", "yes", "force", "if-older-than", "at", "splay", "mail")
	if kind == host.Systemd {
		f.StringVar(&o.onFailure, "on-failure", "", "`UNIT`: to start after a failure")
		actions(cmd, "on-failure")
	}
	o.addRare()
	return cmd
}

func (a *app) runSchedule(ctx context.Context, o *scheduleOptions) error {
	here := host.Here(a.env.UID == 0, a.env.Environ, a.env.Getenv)
	err := cmp.Or(refuseTogether(o.cmd, "install", "remove"), refuseTogether(o.cmd, "mail", "on-failure"), atLeast(o.cmd, 0, "splay"))
	if err == nil {
		err = a.makeJob(o)
	}
	if err != nil {
		return err
	}
	o.wish.Told = len(a.target.Notify) > 0
	o.wish.Print = func(text string) error { return a.print(screen.Clean(text)) }
	if a.json() {
		o.wish.Document = a.printJSON
	}
	if a.canAsk() && !o.yes {
		o.wish.Ask = func(ctx context.Context) error { return a.env.Stderr.Confirm(ctx, a.env.Stdin, "Make these changes?") }
	}
	o.wish.Record = func(ctx context.Context, outcome, what string) error {
		return a.record(ctx, audit.Record{Event: "schedule", Outcome: outcome, Stores: o.spec.Stores, Reason: what})
	}
	return here.Do(ctx, o.wish)
}

// makeJob makes the job of what was given.
func (a *app) makeJob(o *scheduleOptions) (err error) {
	f := schedule.Facts{
		Target: targetName(o.cmd), Program: a.env.Program, Age: o.age, Policy: a.target.Policy, Splay: o.wish.Job.Splay,
		Flags: rotateFlags(o.cmd, elsewhere...), Restart: o.spec.Restart, Environ: append(slices.Clone(a.env.Environ), "PATH="+host.Path(a.env.Getenv("PATH"), a.env.UID)),
		Host: a.actor().Host, User: a.actor().User, Root: a.env.UID == 0,
	}
	if !o.wish.Remove {
		if err = a.look(o, &f); err != nil {
			return err
		}
	}
	o.wish.Job, o.wish.Lacking = schedule.For(f), f.Lacking()
	if o.wish.Job.OnFailure = o.onFailure; o.mail != "" {
		o.wish.Job.Mail, err = schedule.ParseMail(o.mail)
	}
	if err == nil && o.at != "" {
		o.wish.Job.When, err = schedule.ParseWhen(o.at)
	}
	if err == nil && o.age != "" {
		_, err = policy.ParseAge(o.age)
	}
	if err != nil {
		err = fail(exitUsage, err, "")
	}
	return err
}

// look opens the places, as the rotation will.
func (a *app) look(o *scheduleOptions, f *schedule.Facts) error {
	if len(f.Restart) == 0 {
		return usage("name what restarts server and workers, as --restart systemd:blnk,blnk-worker", "no --restart")
	}
	for _, ref := range f.Restart {
		if _, err := a.openDriver(ref, restart.Options{}); err != nil {
			return err
		}
	}
	file, err := a.configFile()
	if err == nil {
		err = a.useDefault(&o.places)
	}
	if err != nil {
		return err
	}
	f.Config, f.Stores = file.Path, o.spec.Stores
	set, _, err := target.OpenStores(&o.spec, target.Openers{Store: a.storeOpener(&o.places)})
	if err != nil {
		return err
	}
	private, err := a.openState()
	if err == nil {
		f.StateDir, f.TellState = private.Path(), given(o.cmd, "state-dir") && !fromFile(o.cmd, "state-dir") || a.env.Getenv("XDG_STATE_HOME") != ""
		f.Folders, err = set.Folders()
	}
	if err == nil {
		f.Dir, err = a.env.Getwd()
	}
	return err
}

// rotateFlags are the flags of a command that another run, of rotate, needs too, but for
// those that it finds in blnkctl.yaml, and some.
func rotateFlags(cmd *cobra.Command, not ...string) (args []string) {
	not = append(not, "no-input", "output", "quiet", "reason", "stage", "key-file", "target", "all", "parallel")
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if _, action := f.Annotations[actionMark]; action || fromFile(cmd, f.Name) || slices.Contains(not, f.Name) {
			return
		}
		for _, v := range valuesOf(f) {
			if f.Value.Type() == "bool" {
				args = append(args, "--"+f.Name+"="+v)
			} else {
				args = append(args, "--"+f.Name, v)
			}
		}
	})
	return args
}
