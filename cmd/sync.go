package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/store"
)

func newSyncCmd(a *app) *cobra.Command {
	o := &rotateOptions{}
	var from string
	cmd := &cobra.Command{
		Use:   "sync --store REF --store REF… --restart REF [flags]",
		Short: "Copy the key from its source of truth to the copies and the servers",
		Long: `Copies the key from its source of truth (the first --store) to the other stores,
and brings it to servers that run with another key: restart and proof, as in a
rotation, or everything is put back. Where nothing differs it changes nothing,
restarts nothing and exits 0.

Where the servers run with the key of a copy and not with the source's, it is
not clear which one is right: that is refused, unless --from names the store to
copy from. So a host that follows a key which others rotate in Vault says
--from, and runs this from cron.`,
		Example: `  blnkctl sync --store vault:secret/blnk --store blnkjson:./blnk.json \
    --restart systemd:blnk,blnk-worker
  blnkctl sync -q --from vault:secret/blnk --store blnkjson:./blnk.json \
    --restart systemd:blnk,blnk-worker   # for cron`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSync(cmd, a, o, from) },
	}
	o.addPlaces(cmd)
	cmd.Flags().StringVar(&from, "from", "", "`REF` to copy from, whatever key is live (default: the first --store)")
	complete(cmd, "from", storeSchemeNames)
	configured(cmd, "store", "restart", "server")
	a.exits[cmd] = exits{
		exitOK: "every store and server has the key, or had it before", exitFailed: "", exitUsage: "", exitPutBack: "",
		exitHeld: "", exitAround: "",
		exitStuck:       "a person is needed; the journal is kept; `sync` continues, `rotate --abort` goes back",
		exitCheck:       "the source of truth is not the live key, and a copy is",
		exitInterrupted: "interrupted; before the first effect nothing is changed",
	}
	return cmd
}

func runSync(cmd *cobra.Command, a *app, o *rotateOptions, from string) error {
	if err := o.checkTimes(); err != nil {
		return err
	}
	if from != "" {
		if err := o.addSource(a, from); err != nil {
			return err
		}
	}
	if len(o.stores.refs) < 2 {
		return usage("name the source of truth first: blnkctl sync --store REF --store REF…", "sync needs two stores at least")
	}
	s, err := a.openRotation(cmd, o)
	if err != nil {
		return err
	}
	if from != "" {
		if err := s.trust(from); err != nil {
			return err
		}
	}
	s.intent.Event, s.intent.NewKey = rotate.Sync, nil
	if s.env.Confirm != nil {
		s.env.Confirm = s.confirmSync
	}
	ctx := cmd.Context()
	if o.dryRun {
		return s.dryRunSync(ctx)
	}
	res, err := rotate.Run(ctx, s.target, s.intent, s.env)
	return s.report(ctx, res, err)
}

// addSource puts the store to copy from first where it is not named already:
// the target of a sync is that of the rotations, named after the first store.
func (o *rotateOptions) addSource(a *app, from string) error {
	stores, _, err := o.stores.openPlaces(a, nil)
	if err != nil {
		return err
	}
	i, err := o.sourceAmong(a, stores, from)
	if err == nil && i < 0 {
		o.stores.refs = slices.Insert(o.stores.refs, 0, from)
	}
	return err
}

// sourceAmong finds the store that --from names, whatever path led to it; -1
// where it is none of them.
func (o *rotateOptions) sourceAmong(a *app, stores []store.Store, from string) (int, error) {
	named, err := (&storeFlags{refs: []string{from}, cmd: o.stores.cmd}).open(a, nil)
	if err != nil {
		return 0, err
	}
	return slices.IndexFunc(stores, func(s store.Store) bool {
		return store.Identity(s) == store.Identity(named[0])
	}), nil
}

// trust makes the store that --from names the source, whatever key is live.
func (s *session) trust(from string) error {
	i, err := s.options.sourceAmong(s.app, s.target.Set, from)
	if err != nil {
		return err
	}
	s.intent.Source, s.intent.Trust = max(i, 0), true
	return nil
}

func (s *session) confirmSync(ctx context.Context, p rotate.Plan) error {
	s.progress.pause()
	_, _ = fmt.Fprint(s.app.env.Stderr, s.syncText(p, s.app.env.StderrTTY))
	yes, err := s.app.confirm(ctx, "Sync now?", "--yes")
	if err == nil && !yes {
		err = errDeclined
	}
	return err
}

func (s *session) dryRunSync(ctx context.Context) error {
	p, err := rotate.Check(ctx, s.target, s.intent, s.env)
	if err != nil {
		return s.explain(ctx, rotate.Report{Rotation: openID(p.Open)}, err)
	}
	if s.app.json() {
		doc := s.planDoc(ctx, p)
		if doc.Would == "rotate" {
			doc.Would = "sync"
		}
		return s.app.printJSON(doc)
	}
	return s.app.print(s.syncText(p, s.app.env.StdoutTTY) + "Dry run: nothing was changed.\n")
}

func (s *session) syncText(p rotate.Plan, terminal bool) string {
	var b strings.Builder
	if p.Open != nil {
		s.openText(&b, p)
		return b.String()
	}
	if !p.Due.Yes {
		fmt.Fprintf(&b, "Nothing to do: %s\n", p.Due.Why)
		return b.String()
	}
	fmt.Fprintf(&b, "Copy the key: %s\n\n", p.Due.Why)
	steps(&b, "differs", p.Differs)
	steps(&b, "write", copyLines(p))
	steps(&b, "restart", p.Restart)
	steps(&b, "test", each(p.Servers, "%s: this key taken, the one before and random ones refused"))
	notes(&b, p.Findings, terminal)
	b.WriteByte('\n')
	return b.String()
}
