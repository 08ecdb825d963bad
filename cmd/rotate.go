package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
)

// rotateOptions are the flags of rotate.
type rotateOptions struct {
	stores   storeFlags
	restart  []string
	servers  []string
	reach    serverFlags
	age      time.Duration
	unknown  choice
	dryRun   bool
	timeout  time.Duration
	restartT time.Duration
	lockT    time.Duration
	format   choice
	bits     int
	yes      bool
	reason   string

	compromised, serverDown bool
	abort, abandon          bool
}

const defaultStore = "blnkjson:./blnk.json"

func newRotateCmd(a *app) *cobra.Command {
	o := &rotateOptions{
		unknown: newChoice("adopt", "rotate", "fail"),
		format:  newChoice("prefixed", "base62", "base64url", "hex"),
	}
	cmd := &cobra.Command{
		Use:   "rotate --restart REF [flags]",
		Short: "Replace the key everywhere, restart, and prove it, or put everything back",
		Long: `Replaces the master key in every store, restarts the server and its workers,
and proves on every server that the new key is in force, the old one is dead and
a random one is refused. Where that fails, everything is put back and the old
key is proved instead.

An open rotation (after a crash, or one that needed a person) is finished first,
and then the run stops. On a terminal the plan is shown and confirmed.`,
		Example: `  blnkctl rotate --restart systemd:blnk,blnk-worker
  blnkctl rotate --dry-run --restart systemd:blnk,blnk-worker
  blnkctl rotate --if-older-than 90d --restart 'sh:…'   # for cron
  blnkctl rotate --abort                                # undo an open rotation`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRotate(cmd, a, o) },
	}
	o.add(cmd)
	configured(cmd, "store", "restart", "server")
	a.exits[cmd] = exits{
		exitOK: "", exitFailed: "", exitUsage: "", exitPutBack: "", exitHeld: "", exitAround: "",
		exitStuck:       "a person is needed; the journal is kept; `rotate` continues, `rotate --abort` goes back",
		exitCheck:       "the stores or the servers hold different keys",
		exitInterrupted: "interrupted; before the first effect nothing is changed",
	}
	return cmd
}

// addPlaces adds the flags that say where the key is and how long to wait: those
// that rotate and sync share.
func (o *rotateOptions) addPlaces(cmd *cobra.Command) {
	o.stores.add(cmd, "`REF` of a place that holds the key; the first is the source of truth (default "+defaultStore+")")
	f := cmd.Flags()
	f.StringArrayVar(&o.restart, "restart", nil, "`REF` of what restarts server and workers: "+strings.Join(restartSchemeNames(), ", "))
	complete(cmd, "restart", restartSchemeNames)
	f.StringArrayVar(&o.servers, "server", nil, "`URL` of a server, one per replica (default: the port in blnk.json)")
	o.reach.add(cmd)
	f.BoolVar(&o.dryRun, "dry-run", false, "run every check, show the plan, change nothing")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long the servers may take to answer as they should (manual: 15m)")
	f.DurationVar(&o.restartT, "restart-timeout", 3*time.Minute, "how long the restart itself may take")
	f.DurationVar(&o.lockT, "lock-timeout", 0, "how long to wait for another rotation")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	f.StringVar(&o.reason, "reason", "", "`text` for the audit log")
	actions(cmd, "dry-run", "yes")
}

func (o *rotateOptions) add(cmd *cobra.Command) {
	o.addPlaces(cmd)
	f := cmd.Flags()
	f.Func("if-older-than", "change nothing unless the last proved rotation is older than this `age`, e.g. 90d", func(text string) (err error) {
		o.age, err = config.ParseAge(text)
		return err
	})
	f.Var(&o.unknown, "if-unknown", "what to do with a key never seen before")
	f.Var(&o.format, "format", "form of the new key")
	f.IntVar(&o.bits, "bits", keygen.DefaultBits, "strength of the new key")
	f.BoolVar(&o.compromised, "compromised", false, "others know the old key: there is no way back to it")
	f.BoolVar(&o.serverDown, "server-down", false, "no proof of the old key beforehand: the servers are stopped, or the key is lost")
	f.BoolVar(&o.abort, "abort", false, "undo the open rotation")
	f.BoolVar(&o.abandon, "abandon", false, "forget the open rotation, after a person repaired things")
	actions(cmd, "compromised", "server-down", "abort", "abandon")
}

func runRotate(cmd *cobra.Command, a *app, o *rotateOptions) error {
	if err := o.check(cmd, a); err != nil {
		return err
	}
	s, err := a.openRotation(cmd, o)
	if err != nil {
		return a.reportRefused(err)
	}
	ctx := cmd.Context()
	switch {
	case o.dryRun:
		return s.dryRun(ctx)
	case o.abort:
		res, err := rotate.Abort(ctx, s.target, s.intent, s.env)
		return s.report(ctx, res, err)
	case o.abandon:
		res, err := rotate.Abandon(ctx, s.target, s.intent, s.env, s.confirmAbandon(ctx))
		return s.report(ctx, res, err)
	default:
		res, err := rotate.Run(ctx, s.target, s.intent, s.env)
		return s.report(ctx, res, err)
	}
}

// check refuses what can be seen to be wrong in the flags alone.
func (o *rotateOptions) check(cmd *cobra.Command, a *app) error {
	if err := refuseTogether(cmd, "abort", "abandon", "dry-run"); err != nil {
		return err
	}
	if err := refuseTogether(cmd, "abort", "compromised"); err != nil {
		return err
	}
	if err := o.checkTimes(); err != nil {
		return err
	}
	if o.bits < secret.MinBits || o.bits > keygen.MaxBits {
		return usage("see `blnkctl rotate --help`", "--bits %d: want %d to %d", o.bits, secret.MinBits, keygen.MaxBits)
	}
	if o.age > 0 && a.env.Getenv("CI") != "" && !given(cmd, "if-unknown") && !given(cmd, "state-dir") {
		return usage("keep the state with --state-dir, or say --if-unknown adopt, rotate or fail",
			"--if-older-than: in CI the age of the key is forgotten from one job to the next")
	}
	return nil
}

func (o *rotateOptions) checkTimes() error {
	switch {
	case o.timeout <= 0:
		return usage("", "--timeout: want more than 0s")
	case o.restartT <= 0:
		return usage("", "--restart-timeout: want more than 0s")
	case o.lockT < 0:
		return usage("", "--lock-timeout: want 0s or more")
	default:
		return nil
	}
}

// errDeclined: a person answered the plan with no.
var errDeclined = errors.New("not confirmed")

// confirm shows the plan to the person at the terminal and asks.
func (s *session) confirm(ctx context.Context, p rotate.Plan) error {
	s.progress.pause()
	_, _ = fmt.Fprint(s.app.env.Stderr, s.planText(ctx, p, s.app.env.StderrTTY))
	yes, err := s.app.confirm(ctx, "Rotate the key now?", "--yes")
	if err == nil && !yes {
		err = errDeclined
	}
	return err
}

// confirmAbandon lets a person at the terminal decide what the servers cannot
// prove. --yes does not: it was typed before anybody knew why.
func (s *session) confirmAbandon(ctx context.Context) func(error) error {
	if !s.app.canAsk() {
		return nil
	}
	return func(why error) error {
		s.app.warn("%v", why)
		yes, err := s.app.confirm(ctx, "Forget the open rotation all the same?", "a terminal")
		if err == nil && !yes {
			err = errDeclined
		}
		return err
	}
}
