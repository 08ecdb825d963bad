package cmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/audit"
)

func newAuditCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show and check the record of all rotations",
		Long: `Show and check the record of all rotations.

Every attempt is recorded in the state folder with its outcome. Each record
holds the hash of the one before, so that a changed and a missing one are
noticed.`,
		Args: cobra.ArbitraryArgs,
		RunE: runGroup,
	}
	a.exits[cmd] = exits{exitOK: "the help is shown", exitUsage: ""}
	cmd.AddCommand(newAuditLogCmd(a), newAuditVerifyCmd(a))
	return cmd
}

func newAuditLogCmd(a *app) *cobra.Command {
	var last int
	cmd := &cobra.Command{
		Use:     "log [flags]",
		Short:   "Show the record, newest last",
		Long:    "Show the record, newest last. With -o json all of it is shown.",
		Example: "  blnkctl audit log -n 10\n  blnkctl audit log -o json",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return runAuditLog(a, last) },
	}
	cmd.Flags().IntVarP(&last, "lines", "n", 0, "show only the last `number` of records; 0 shows all")
	a.configured(cmd)
	a.exits[cmd] = exits{
		exitOK: "the record is shown", exitFailed: "the record could not be read", exitUsage: "",
		exitCheck: "a line is no record; the others are shown",
	}
	return cmd
}

func newAuditVerifyCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [flags]",
		Short: "Check that the record is whole and unchanged",
		Long: `Check that the record is whole and unchanged, and name the first bad line.

A changed record, a gap and a cut-off end are told apart. Somebody who may write
to the state folder can make a whole new record; a copy of its last hash, kept
elsewhere, would show that.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return runAuditVerify(a) },
	}
	a.configured(cmd)
	a.exits[cmd] = exits{
		exitOK: "the record is whole, or there is none", exitFailed: "the record could not be read", exitUsage: "",
		exitCheck: "the record was changed or is incomplete",
	}
	return cmd
}

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
	records, readErr := log.Records()
	if readErr != nil && !errors.Is(readErr, audit.ErrDamaged) {
		return readErr
	}
	if last > 0 && len(records) > last {
		records = records[len(records)-last:]
	}
	if err := printRecords(a, records); err != nil {
		return err
	}
	if readErr != nil {
		return fail(exitCheck, readErr, "see `blnkctl audit verify`")
	}
	return nil
}

func printRecords(a *app, records []audit.Record) error {
	if a.json() {
		if records == nil {
			records = []audit.Record{} // an empty list, not null
		}
		return a.printJSON(records)
	}
	if len(records) == 0 {
		a.say("no records")
		return nil
	}
	rows := [][]string{{"TIME", "OUTCOME", "OLD", "NEW", "BY"}}
	for _, r := range records {
		rows = append(rows, []string{r.Time.UTC().Format(time.RFC3339), r.Outcome, dash(r.Old), dash(r.New), r.User})
	}
	return a.printTable(rows)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
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
	if a.json() {
		if err := a.printJSON(auditDoc(report)); err != nil {
			return err
		}
	} else if report.Problem == nil {
		if err := a.print(fmt.Sprintf("%s: %d records, none changed or missing\n", log.Path(), report.Records)); err != nil {
			return err
		}
	}
	if p := report.Problem; p != nil {
		place := log.Path()
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d", place, p.Line)
		}
		return fail(exitCheck, fmt.Errorf("%s: %s: %s", place, p.Kind, p.Text), "")
	}
	return nil
}

type auditProblem struct {
	Kind string `json:"kind"`
	Line int    `json:"line"` // counts from 1; 0: not about a line
	Text string `json:"text"`
}

func auditDoc(r audit.Report) any {
	doc := struct {
		Records int           `json:"records"` // up to the first problem
		Problem *auditProblem `json:"problem"`
	}{Records: r.Records}
	if r.Problem != nil {
		doc.Problem = &auditProblem{string(r.Problem.Kind), r.Problem.Line, r.Problem.Text}
	}
	return doc
}
