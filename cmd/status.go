package cmd

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/doctor"
	"github.com/blnkctl/blnkctl/notify"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/status"
	"github.com/blnkctl/blnkctl/target"
)

// statusOptions are the flags of status and due.
type statusOptions struct {
	places
	asked   status.Asked
	soon    time.Duration
	metrics string
}

func newStatusCmd(a *app) *cobra.Command {
	o := &statusOptions{}
	cmd := o.command(a, "status [TARGET] [flags]", runStatus)
	cmd.Flags().StringVar(&o.metrics, "metrics", "", "`FILE`: write metrics for node_exporter, too: ….prom")
	_ = cmd.MarkFlagFilename("metrics", "prom")
	return cmd
}

func newDueCmd(a *app) *cobra.Command {
	o := &statusOptions{}
	cmd := o.command(a, "due [TARGET] [flags]", runDue)
	ageFlag(cmd, &o.soon, "in", "due within that time counts, too: 7d")
	return cmd
}

// command is what both have; with nothing named it is about the blnk.json that is here.
func (o *statusOptions) command(a *app, use string, run func(context.Context, *app, *statusOptions) error) *cobra.Command {
	cmd := newCmd("", use, func(cmd *cobra.Command) (err error) {
		o.asked.Name, o.asked.Verb = targetName(cmd), cmd.Name()
		if o.asked.File, err = a.configFile(); err == nil && o.asked.Name == "" && len(o.asked.File.Stores)+len(o.asked.File.Targets) == 0 {
			err = a.useDefault(&o.places)
		}
		if err == nil {
			o.spec.Dir, err = a.dirOf(cmd, "restart")
		}
		if o.asked.Spec = o.spec; err != nil {
			return err
		}
		return run(cmd.Context(), a, o)
	})
	o.asked.Origin = func(flag string) string { return origin(cmd, flag) }
	o.asked.Facts = func(spec target.Spec, dir string) *doctor.Facts {
		return a.facts(&places{cmd: cmd, spec: spec, reads: true, looks: true, dir: dir})
	}
	o.addStores(cmd, "`REF`: where the key is (default: all of blnkctl.yaml, else "+defaultStore+")")
	o.addRestart(cmd)
	o.addServers("`URL`: each server (default: the port in blnk.json)")
	ageFlag(cmd, &o.asked.MaxAge, "max-age", "in place of the policy's: 90d")
	cmd.Flags().DurationVar(&o.asked.Limit, "timeout", time.Minute, "for each target")
	o.addConnection()
	configured(cmd)
	return cmd
}

func ageFlag(cmd *cobra.Command, into *time.Duration, name, text string) {
	cmd.Flags().Func(name, "`AGE`: "+text, func(text string) (err error) {
		*into, err = policy.ParseAge(text)
		return err
	})
}

func runStatus(ctx context.Context, a *app, o *statusOptions) error {
	report, err := o.asked.Look(ctx, o.metrics)
	if report.Targets == nil {
		return err
	}
	err = errors.Join(err, a.result(report, asTyped(o.cmd, report.Text(a.env.Look))))
	err = cmp.Or(err, report.Err(a.global.quiet || a.json())) // else its problems stand on stdout
	if a.env.Stderr.Look.Terminal() {
		return err // who looks has seen it
	}
	return a.told(report.Tell(ctx, o.asked.File, a.actor(), func(store string, notices []config.Notice) *notify.Teller {
		return a.openTeller(&places{cmd: o.cmd, spec: target.Spec{Stores: []string{store}}}, notices)
	}), err)
}

func runDue(ctx context.Context, a *app, o *statusOptions) error {
	answers, err := o.asked.Due(ctx, o.soon)
	for _, text := range answers.Warnings() {
		a.warn("%s", text)
	}
	if err == nil {
		err = cmp.Or(a.result(answers, answers.Text(a.env.Look)), answers.Err())
	}
	if errors.Is(err, status.ErrNotDue) {
		return exitStatus(exitNotDue)
	}
	return err
}
