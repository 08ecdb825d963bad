package cmd

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/audit"
)

func newAuditCmd(a *app) *cobra.Command {
	var last int
	show := newCmd("audit", "log [flags]", func(*cobra.Command) error { return runAuditLog(a, last) })
	show.Flags().IntVarP(&last, "lines", "n", 0, "show only the last `number` of records; 0 shows all")
	configured(show)
	verify := newCmd("audit", "verify [flags]", func(*cobra.Command) error { return runAuditVerify(a) })
	configured(verify)
	return newGroup("audit", show, verify)
}

// actor is who runs this program.
func (a *app) actor() audit.Actor { return audit.Who(a.env.UID, a.env.Getenv("SUDO_USER")) }

func (a *app) openAudit() (*audit.Log, error) {
	private, err := a.openState()
	if err != nil {
		return nil, err
	}
	return audit.Open(private.Path(), a.env.Now), nil
}

func runAuditLog(a *app, last int) error {
	if last < 0 {
		return usage("", "--lines: want 0 or more")
	}
	log, err := a.openAudit()
	if err != nil {
		return err
	}
	printer := a.printRecord
	if a.json() {
		printer = a.printRecordJSON
	}
	n := 0
	damage := log.Records(last, func(r audit.Record) error { n++; return printer(n, &r) })
	if damage != nil && !errors.Is(damage, audit.ErrDamaged) {
		return damage
	}
	return cmp.Or(printer(n, nil), damage)
}

// printRecord prints record number n, or what stands behind the last of n.
func (a *app) printRecord(n int, r *audit.Record) error {
	const columns = "%-20s  %-11s  %-19s  %-19s  %s\n"
	if r == nil {
		if n == 0 {
			a.say("no records")
		}
		return nil
	}
	line := ""
	if n == 1 {
		line = fmt.Sprintf(columns, "TIME", "OUTCOME", "OLD", "NEW", "BY")
	}
	line += fmt.Sprintf(columns, r.Time.UTC().Format(time.RFC3339), r.Outcome, cmp.Or(r.Old, "-"), cmp.Or(r.New, "-"), r.User)
	if r.Repeated > 0 {
		line += fmt.Sprintf("%-20s  and %d more like it, the last at %s\n", "", r.Repeated, r.Last.UTC().Format(time.RFC3339))
	}
	return a.print(line)
}

// printRecordJSON prints an array in the same way.
func (a *app) printRecordJSON(n int, r *audit.Record) error {
	switch {
	case r == nil && n == 0:
		return a.print("[]\n") // an empty list, not null
	case r == nil:
		return a.print("\n]\n")
	}
	text, err := json.MarshalIndent(r, "  ", "  ")
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	separator := ",\n  "
	if n == 1 {
		separator = "[\n  "
	}
	return a.print(separator + string(text))
}

func runAuditVerify(a *app) error {
	log, err := a.openAudit()
	if err != nil {
		return err
	}
	report, err := log.Verify()
	if err != nil {
		return err
	}
	switch {
	case a.json():
		err = a.printJSON(report)
	case report.Problem == nil:
		err = a.print(fmt.Sprintf("%s: %d records, none changed or missing\n", log.Path(), report.Records))
	}
	return cmp.Or(err, log.Err(report))
}
