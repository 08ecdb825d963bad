package cmd

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/doctor"
	"github.com/blnkctl/blnkctl/leak"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/target"
)

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	places
	choice                  doctor.Choice
	owners                  []string
	report, file            string
	list, fix, yes, verbose bool
	staged, hook, verify    bool
}

func newDoctorCmd(a *app) *cobra.Command {
	o := &doctorOptions{places: places{reads: true}}
	cmd := newCmd("", "doctor [flags]", nil)
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if given := len(args) > 0; given != (o.report != "") || len(args) > 1 {
			return usage("blnkctl doctor --report sarif blnkctl.sarif", "want one FILE with --report, and nothing without it")
		}
		o.file = strings.Join(args, "")
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), a, o) }
	o.addStores(cmd, "`REF`: where the key is (default: blnk.json, if there)")
	f := cmd.Flags()
	o.addRestart(cmd)
	o.addServers("`URL`: each server (default: the port in blnk.json)")
	f.StringArrayVar(&o.owners, "owner", nil, "`OWNER`: look at the scoped keys of this one")
	f.StringArrayVar(&o.choice.Only, "rule", nil, "`ID`: only this rule")
	f.StringArrayVar(&o.choice.Skip, "skip", nil, "`ID`: not this rule")
	complete(cmd.Flags(), "rule", doctor.Names()...)
	complete(cmd.Flags(), "skip", doctor.Names()...)
	f.BoolVar(&o.list, "list", false, "list the rules")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show the evidence, and what passed")
	f.BoolVar(&o.fix, "fix", false, "mend modes and ignore files; shows the changes first")
	f.BoolVarP(&o.yes, "yes", "y", false, "with --fix: do not ask")
	f.Func("report", "`FORMAT` FILE: write this file, too: sarif or junit", func(text string) error {
		return word{&o.report, []string{"sarif", "junit"}}.Set(text)
	})
	complete(cmd.Flags(), "report", "sarif", "junit")
	f.BoolVar(&o.staged, "staged", false, "only: what git has staged holds no key; for a hook")
	f.BoolVar(&o.hook, "hook", false, "print a pre-commit hook for git")
	f.BoolVar(&o.verify, "verify-found", false, "ask the servers whether a key that was found is alive")
	o.addConnection()
	actions(cmd, "list", "fix", "yes", "verbose", "report", "staged", "hook", "verify-found")
	configured(cmd, "store", "restart", "server", "owner")
	return cmd
}

func runDoctor(ctx context.Context, a *app, o *doctorOptions) error {
	rules := doctor.Rules()
	err := cmp.Or(o.choice.Check(rules), refuseTogether(o.cmd, "list", "hook", "staged", "fix"),
		refuseTogether(o.cmd, "list", "hook", "report"), refuseTogether(o.cmd, "list", "hook", "verify-found"))
	if err != nil {
		return err
	}
	switch {
	case o.list:
		return a.show(doctor.Listed(rules), doctor.Table(rules, a.env.Look))
	case o.hook:
		return a.print(leak.Hook)
	case o.staged && len(o.choice.Only)+len(o.choice.Skip) > 0:
		return usage("blnkctl doctor --staged", "--staged is one rule: it goes with neither --rule nor --skip")
	case o.staged:
		o.choice = doctor.Choice{Only: []string{doctor.GitRule}}
	}
	report, err := a.examine(ctx, o, rules)
	if err == nil && o.fix {
		var done bool
		if done, err = a.mend(ctx, o, report); done && err == nil {
			report, err = a.examine(ctx, o, rules)
		}
	}
	if err != nil {
		return err
	}
	if o.report != "" {
		var path string
		if path, err = a.abs(o.file); err == nil {
			err = report.Write(path, o.report, thisBuild().Version)
		}
	}
	switch {
	case err != nil:
	case a.json():
		err = a.printJSON(report)
	case a.global.quiet && (o.staged || report.Outcome == "passed"):
	case o.staged, a.global.quiet: // cron mails it
		err = a.print(a.env.Look.Fold(report.Brief(a.env.Look, o.verbose)))
	default:
		err = a.print(a.env.Look.Fold(report.Text(a.env.Look, o.verbose)))
	}
	return a.tellFindings(ctx, o, report, cmp.Or(err, report.Err()))
}

// examine gathers the facts anew, and holds them against the rules.
func (a *app) examine(ctx context.Context, o *doctorOptions, rules []doctor.Rule) (doctor.Report, error) {
	file, err := a.configFile()
	if err != nil {
		return doctor.Report{}, err
	}
	facts := a.facts(&o.places)
	facts.ConfigFile, facts.Owners, facts.Staged, facts.VerifyFound = file.Path, o.owners, o.staged, o.verify
	facts.Policy, facts.Notices, facts.Flags, facts.Named = a.target.Policy, a.target.Notify, elsewhereFlags(o.cmd), targetName(o.cmd)
	if facts.Dir, err = a.abs("."); err != nil {
		return doctor.Report{}, err
	}
	if err := a.useDefault(&o.places); err != nil {
		if len(o.spec.Servers)+len(o.spec.Restart)+len(o.choice.Only) == 0 && !o.staged {
			return doctor.Report{}, err // nothing to look at is no good sign
		}
		o.spec.Stores = nil // rules that need one say so
	}
	for _, ref := range o.spec.Restart {
		if _, _, err := a.restartSchemes().Find(ref); err != nil && !o.staged {
			return doctor.Report{}, fail(exitUsage, err, "")
		}
	}
	facts.Spec = o.spec
	if facts.Spec.Dir, err = a.dirOf(o.cmd, "restart"); err != nil {
		return doctor.Report{}, err
	}
	if facts.StateErr == nil {
		open, err := rotate.Elsewhere(facts.State, nil)
		facts.StateErr = err
		for _, one := range open {
			facts.Rotations = append(facts.Rotations, doctor.Rotation{ID: one.Rotation, Store: one.Target.Stores[0], Where: one.Where(), Ways: one.Help(), Keys: one.Keys})
		}
	}
	return doctor.Run(ctx, rules, facts, o.choice, file.Baseline)
}

// facts are what doctor and status look at, of these places.
func (a *app) facts(p *places) *doctor.Facts {
	f := &doctor.Facts{Sources: doctor.Sources{Spec: p.spec, Now: a.env.Now, Env: a.env.Environ, UID: a.env.UID}}
	f.Open = target.Openers{Store: a.storeOpener(p), Server: a.openServer, Restart: func(ref string, spec target.Spec) (target.Driver, error) {
		return a.openDriver(ref, restart.Options{Dir: spec.Dir})
	}}
	f.State, f.StateErr = a.openState()
	return f
}

// mend lets doctor mend what it found, where a person agrees.
func (a *app) mend(ctx context.Context, o *doctorOptions, report doctor.Report) (done bool, err error) {
	h := doctor.Hands{Say: a.say, Warn: a.warn, Record: a.record}
	switch {
	case o.yes:
	case a.canAsk():
		h.Say = func(format string, args ...any) { a.env.Stderr.Say(fmt.Sprintf(format, args...)) } // with -q, too: nobody agrees to what is not shown
		h.Ask = a.confirm("Make these changes?")
	default:
		h.Ask = func(context.Context) error {
			return usage("blnkctl doctor --fix --yes"+o.spec.Args()+o.choice.Args(), "--fix: no terminal to ask whether these changes are right")
		}
	}
	return report.Mend(ctx, h)
}
