package cmd

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/schedule"
	"github.com/blnkctl/blnkctl/schedule/host"
	"github.com/blnkctl/blnkctl/target"
)

func newScheduleCmd(a *app) *cobra.Command {
	return newGroup("schedule", newScheduleKind(a, host.Cron), newScheduleKind(a, host.Systemd))
}

func newScheduleKind(a *app, kind host.Kind) *cobra.Command {
	o, w := &rotateOptions{}, host.Wish{Kind: kind, UID: a.env.UID, Say: a.say, Warn: a.warn}
	cmd := newCmd("schedule", string(kind)+" [TARGET] [flags]", func(cmd *cobra.Command) error { return a.runSchedule(cmd.Context(), o, w) })
	o.addPlaces(cmd)
	f := cmd.Flags()
	f.BoolVar(&w.All, "all", false, "for every target of blnkctl.yaml: one run of rotate --all")
	f.BoolVar(&w.Install, "install", false, "show what is to be changed on this host, ask, and do it")
	f.BoolVar(&w.Remove, "remove", false, "take away what --install has made")
	f.BoolVar(&w.DryRun, "dry-run", false, "only show what is to be changed")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	f.BoolVar(&w.Force, "force", false, "take no notice of what a person changed there")
	f.StringVar(&w.Age, "if-older-than", "", "`AGE`: at which a key is due (default: policy, or "+schedule.DefaultAge+")")
	f.StringVar(&w.At, "at", "", "`TIME`: of the day, as 04:30 (default: this host's own)")
	f.DurationVar(&w.Facts.Splay, "splay", 0, "wait a random while first, at most")
	f.StringVar(&w.Mail, "mail", "", "`ADDRESS`: to mail a failure to")
	actions(cmd, "all", "install", "remove", "dry-run", "yes", "force", "if-older-than", "at", "splay", "mail")
	o.addRare()
	return cmd
}

// runSchedule gathers what a schedule is made of.
func (a *app) runSchedule(ctx context.Context, o *rotateOptions, w host.Wish) error {
	err := cmp.Or(refuseTogether(o.cmd, "install", "remove"), atLeast(o.cmd, 0, "splay"))
	file, unread := a.configFile()
	if err = cmp.Or(err, unread); w.All {
		o.dir, err = file.Dir, cmp.Or(err, refuseBesideAll(o.cmd))
	} else if err == nil && !w.Remove {
		err = a.useDefault(&o.places)
	}
	private, failed := a.openState()
	dir, lost := a.env.Getwd()
	if err = cmp.Or(err, failed, lost); err != nil {
		return err
	}
	w.Facts = schedule.Facts{
		Target: targetName(o.cmd), Program: a.env.Program, Config: file.Path, Dir: dir, StateDir: private.Path(),
		TellState: given(o.cmd, "state-dir") && !fromFile(o.cmd, "state-dir") || a.env.Getenv("XDG_STATE_HOME") != "",
		Flags:     rotateFlags(o.cmd, elsewhere...), Environ: a.env.Environ, Host: a.actor().Host, User: a.actor().User,
		Age: w.Age, Splay: w.Splay,
	}
	w.Spec, w.Targets, w.Hooks = o.spec, a.targets, given(o.cmd, "on-failure") || given(o.cmd, "on-success")
	w.Open = target.Openers{Store: a.storeOpener(&o.places), Restart: func(ref string, _ target.Spec) (target.Driver, error) {
		return a.openDriver(ref, restart.Options{})
	}}
	w.Print = a.print
	if a.json() {
		w.Document = a.printJSON
	}
	if a.canAsk() && !o.yes {
		w.Ask = a.confirm("Make these changes?")
	}
	w.Record = a.record
	return host.Do(ctx, w, a.env.Getenv)
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
