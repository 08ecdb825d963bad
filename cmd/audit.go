package cmd

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/rotate"
)

func newAuditCmd(a *app) *cobra.Command {
	var last int
	show := newCmd("audit", "log [flags]", func(*cobra.Command) error { return runAuditLog(a, last) })
	show.Flags().IntVarP(&last, "lines", "n", 0, "`N`: only the last records; 0 shows all")
	configured(show)
	verify := newCmd("audit", "verify [flags]", func(*cobra.Command) error { return runAuditVerify(a) })
	configured(verify)
	return newGroup("audit", show, verify)
}

// actor is who runs this program.
func (a *app) actor() audit.Actor { return audit.Who(a.env.UID, a.env.Getenv("SUDO_USER")) }

// record writes into the audit log what the actor did.
func (a *app) record(ctx context.Context, r audit.Record) error {
	private, err := a.openState()
	if err != nil {
		return err
	}
	r.Actor = a.actor()
	return a.auditLog(private).Append(ctx, r)
}

func runAuditLog(a *app, last int) error {
	if last < 0 {
		return usage("", "--lines: want 0 or more")
	}
	private, err := a.openState()
	if err != nil {
		return err
	}
	list := audit.Listing{JSON: a.json(), Look: a.env.Look, Print: func(text string) error {
		_ = a.print(text)
		return a.out.Failed() // where nobody reads on, there is nothing to print
	}}
	log := audit.Open(private.Path(), a.env.Now)
	open, err := rotate.List(private, log, last, &list)
	if a.out.Failed() != nil {
		return a.out.Lost()
	} else if err != nil {
		return err
	}
	if list.N == 0 && !a.json() {
		a.say("no records")
	}
	for _, o := range open {
		a.say("%s is %s: %s", o.Rotation, o.Is(), o.Help())
	}
	report, err := log.Verify() // all of it, whatever was shown
	return cmp.Or(err, hint.Add(log.Err(report), "see `blnkctl audit verify`"))
}

func runAuditVerify(a *app) error {
	private, err := a.openState()
	if err != nil {
		return err
	}
	log := audit.Open(private.Path(), a.env.Now)
	report, err := log.Verify()
	if err != nil {
		return err
	}
	text := ""
	if report.Problem == nil {
		text = fmt.Sprintf("%s: %d records, none changed or missing\n", log.Path(), report.Records)
	}
	return cmp.Or(a.result(report, text), log.Err(report))
}
