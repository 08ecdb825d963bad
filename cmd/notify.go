package cmd

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/doctor"
	"github.com/blnkctl/blnkctl/notify"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/rotate/site"
	"github.com/blnkctl/blnkctl/state"
)

func newNotifyCmd(a *app) *cobra.Command {
	p, to := &places{}, ""
	test := newCmd("notify", "test [TARGET] [flags]", func(cmd *cobra.Command) error { return runNotifyTest(cmd.Context(), a, p, to) })
	p.cmd = test
	test.Flags().StringVar(&to, "to", "", "`REF`: only this one of notify: in blnkctl.yaml")
	complete(test.Flags(), "to", "webhook:", "slack:", "command:")
	test.Flags().BoolVar(&p.spec.AllowPlaintext, "allow-plaintext", false, "let the notice go over plain http to another host")
	actions(test, "to")
	configured(test)
	return newGroup("notify", test)
}

func runNotifyTest(ctx context.Context, a *app, p *places, to string) error {
	file, err := a.configFile()
	if err != nil {
		return err
	}
	name := targetName(p.cmd)
	notices, err := file.NoticesOf(name)
	if err != nil {
		return fail(exitUsage, err, "")
	} else if len(notices) == 0 {
		return usage(a.whereToSay(name, "notify: [slack:file:PATH]"), "nobody is to be told of anything")
	}
	teller := a.openTeller(p, notices)
	if to != "" && !teller.Only(to) {
		return usage("", "--to: blnkctl.yaml does not name that receiver")
	}
	results := teller.Try(ctx, notify.Event{Command: "notify test", Target: cmp.Or(name, "all targets"), Host: a.actor().Host, User: a.actor().User})
	return cmp.Or(a.result(map[string]any{"receivers": results}, a.env.Look.Table(results.Rows(), nil)), results.Err())
}

// openTeller opens those who are to be told, and what they were told of the first store.
func (a *app) openTeller(p *places, notices []config.Notice) *notify.Teller {
	file, _ := a.configFile() // where it is none, there are no notices
	opt := notify.Options{Target: a.target.Name, Dir: file.Dir, Env: a.env.Whole, AllowPlaintext: p.spec.AllowPlaintext, Now: a.env.Now, Command: file.Command}
	if private, err := a.openState(); err == nil {
		opt.Log = a.auditLog(private)
		if len(p.spec.Stores) > 0 {
			if one, _, err := a.storeOpener(p)(p.spec.Stores[0], p.spec); err == nil && one != nil {
				opt.Store, opt.State = one.String(), private.Target(one.String())
			}
		}
	}
	return notify.Open(notices, opt)
}

// auditLog is the one of a state folder, which blnkctl.yaml may copy to the system's.
func (a *app) auditLog(private *state.Dir) *audit.Log {
	log := audit.Open(private.Path(), a.env.Now)
	if file, err := a.configFile(); err == nil && file.Syslog {
		log.Syslog = &audit.Syslog{Path: a.env.Syslog, Warn: func(err error) { a.warn("%v", err) }}
	}
	return log
}

// tell runs the hooks and tells whom the target names, when a run has ended with err. What
// failed comes back.
func (w *work) tell(ctx context.Context, r rotate.Report, err error) (failed []string) {
	if w.dryRun || w.declined || !w.teller.Any() && w.onSuccess+w.onFailure == "" {
		return nil
	}
	dir, _ := w.env.Getwd() // without one, its command says so
	after := site.After{
		Teller: w.teller, OnSuccess: w.onSuccess, OnFailure: w.onFailure, Dir: dir, Env: w.env.Environ, Now: w.env.Now, Who: w.actor(),
		Command: w.cmd.Name(), Target: w.teller.Label(), Policy: w.target.Policy.At(w.intent.Policy.MaxAge), Watched: w.env.Stderr.Look.Terminal(),
	}
	if w.Site != nil {
		after.Folder = w.Folder
	}
	code, help := exitOK, ""
	if err != nil {
		code, help = classify(err)
	}
	if !w.global.quiet {
		w.env.Stderr.Begin("tell")
		defer w.env.Stderr.Pause()
	}
	return after.Do(ctx, after.Event(r, err, code, asTyped(w.cmd, help)))
}

// tellFindings tells what doctor found where nobody sees it, and that it is gone.
func (a *app) tellFindings(ctx context.Context, o *doctorOptions, report doctor.Report, err error) error {
	teller := a.openTeller(&o.places, a.target.Notify)
	e := report.Event("doctor", teller.Label(), a.actor().Host, a.actor().User, asTyped(o.cmd, "blnkctl doctor"+o.spec.Args()))
	if o.staged || e.Kind != "" && a.env.Stderr.Look.Terminal() {
		return err
	}
	if len(o.choice.Only) > 0 { // which says nothing of the others
		e.Ends = nil
	}
	return a.told(teller.Report(ctx, e), err)
}

// told warns of what failed behind a run, which is the exit status only of one that had
// no other.
func (a *app) told(failed []string, err error) error {
	for _, line := range failed {
		a.warn("%s", line)
	}
	if err == nil && len(failed) > 0 {
		err = fail(exitIncomplete, errors.New("done, but a hook failed or somebody was not told: see the warnings"), "`blnkctl notify test` tries everybody")
	}
	return err
}
