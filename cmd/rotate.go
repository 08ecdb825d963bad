package cmd

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/notify"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/rotate/site"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/target"
)

// rotateOptions are the flags of rotate, sync, init, rollback and retire, in the types
// that the engine takes; and what a schedule has it run with.
type rotateOptions struct {
	places
	intent   rotate.Intent
	all      bool
	parallel int
	from     string       // of sync
	init     *initOptions // nil: another command

	format               string
	bits                 int
	lockTimeout          time.Duration
	splay                time.Duration
	dryRun, ifDue        bool
	yes, verbose         bool
	onSuccess, onFailure string
}

func newRotateCmd(a *app) *cobra.Command {
	o := &rotateOptions{intent: rotate.Intent{Event: rotate.Rotate, Weak: keygen.SecretKey.Weakness}}
	o.intent.NewKey = o.newKey
	cmd := newCmd("", "rotate [TARGET] [flags]", a.forOne(o, func(ctx context.Context) error {
		if err := o.check(a); err != nil {
			return err
		}
		return a.runRotation(ctx, o)
	}))
	o.addPlaces(cmd)
	f := cmd.Flags()
	ageFlag(cmd, &o.intent.Policy.MaxAge, "if-older-than", "do nothing before the last rotation is that old: 90d")
	f.BoolVar(&o.ifDue, "if-due", false, "do nothing before it is due by the policy in blnkctl.yaml")
	o.addUsual(cmd)
	o.addAll(cmd)
	f.BoolVar(&o.intent.Force, "force", false, "whatever the policy forbids")
	f.DurationVar(&o.splay, "splay", 0, "wait a random while first, at most")
	f.BoolVar(&o.intent.Abort, "abort", false, "undo the open rotation")
	f.BoolVar(&o.intent.Abandon, "abandon", false, "forget the open rotation: a person mended it")
	f.BoolVar(&o.intent.Compromised, "compromised", false, "others know the old key: there is no way back to it")
	f.BoolVar(&o.intent.ServerDown, "server-down", false, "ask for no proof of the old key: servers are stopped")
	choice(cmd, f, (*string)(&o.intent.IfUnknown), "if-unknown", "", "key of unknown age", "adopt", "rotate", "fail")
	choice(cmd, f, &o.format, "format", "", "form", "prefixed", "base62", "base64url", "hex")
	f.IntVar(&o.bits, "bits", keygen.DefaultBits, "strength of the new key")
	o.addRare()
	configured(cmd, "store", "restart", "server", "splay")
	actions(cmd, "compromised", "force", "server-down", "abort", "abandon")
	return cmd
}

func newSyncCmd(a *app) *cobra.Command {
	o := &rotateOptions{intent: rotate.Intent{Event: rotate.Sync}}
	cmd := newCmd("", "sync [TARGET] [flags]", a.forOne(o, func(ctx context.Context) error {
		if o.from != "" {
			o.intent.Trust = true
			var err error
			if o.intent.Source, err = o.spec.From(o.from, target.Openers{Store: a.storeOpener(&o.places)}); err != nil {
				return err
			}
		}
		if len(o.spec.Stores) < 2 {
			help := "name the source of truth first: blnkctl sync --store REF --store REF…"
			if fromFile(o.cmd, "store") {
				help = a.whereToSay(targetName(o.cmd), "stores: [REF, REF], the source of truth first")
			}
			return usage(help, "sync needs two stores at least")
		}
		return a.runRotation(ctx, o)
	}))
	o.addPlaces(cmd)
	cmd.Flags().StringVar(&o.from, "from", "", "`REF`: copy this one, whatever key is live (default: the first)")
	complete(cmd.Flags(), "from", schemeNames(a.storeSchemes())...)
	o.addUsual(cmd)
	o.addAll(cmd)
	o.addRare()
	return cmd
}

// addPlaces, addUsual and addRare add the flags that rotate and sync share, in the
// order of a help: where the key is, what most people want, and the others.
func (o *rotateOptions) addPlaces(cmd *cobra.Command) {
	o.field = keygen.SecretKey.Field
	o.addRestart(cmd)
	o.addStores(cmd, "`REF`: where the key is (default "+defaultStore+")")
	o.addServers("`URL`: each server (default: the port in blnk.json)")
	configured(cmd, "store", "restart", "server")
}

func (o *rotateOptions) addUsual(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "run every check, show the plan, change nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show the last line of the restart's output")
	actions(cmd, "dry-run", "yes", "verbose")
}

func (o *rotateOptions) addRare() {
	f := o.cmd.Flags()
	f.DurationVar(&o.spec.Timeout, "timeout", target.UsualTimeout, "for servers to answer as they should")
	f.DurationVar(&o.spec.RestartTimeout, "restart-timeout", 3*time.Minute, "for the restart itself")
	f.DurationVar(&o.lockTimeout, "lock-timeout", 0, "for another rotation to end")
	f.StringVar(&o.intent.Reason, "reason", "", "`TEXT`: for the audit log")
	f.StringVar(&o.onSuccess, "on-success", "", "`COMMAND`: for sh, when it did something (BLNKCTL_HOOK_*)")
	f.StringVar(&o.onFailure, "on-failure", "", "`COMMAND`: for sh, when it failed")
	o.addConnection()
}

// check refuses what can be seen to be wrong in the flags of rotate alone.
func (o *rotateOptions) check(a *app) error {
	err := cmp.Or(refuseTogether(o.cmd, "if-due", "if-older-than", "force"), refuseTogether(o.cmd, "abort", "abandon", "dry-run"), refuseTogether(o.cmd, "abort", "compromised"), checkBits(o.cmd, o.bits))
	if err != nil {
		return err
	}
	o.intent.IfDue, o.intent.Policy = o.intent.Policy.MaxAge > 0 || o.ifDue, a.target.Policy.At(o.intent.Policy.MaxAge)
	if o.intent.IfDue && o.intent.Policy.MaxAge == 0 {
		return usage("say --if-older-than 90d, or "+a.whereToSay(targetName(o.cmd), "policy: {max_age: 90d}"), "--if-due: nothing says at which age a key is due")
	}
	if o.intent.IfDue && a.env.Getenv("CI") != "" && !given(o.cmd, "if-unknown") && !given(o.cmd, "state-dir") {
		return usage("keep the state with --state-dir, or say --if-unknown adopt, rotate or fail",
			"--%s: in CI the age of the key is forgotten from one job to the next", map[bool]string{true: "if-due", false: "if-older-than"}[o.ifDue])
	}
	return nil
}

// wait is the delay of --splay. One that stands in blnkctl.yaml is for cron, and keeps no
// person waiting.
func (o *rotateOptions) wait(ctx context.Context, a *app) error {
	o.intent.Policy.Splay = o.splay
	pause := o.intent.Policy.Pause(a.env.Now(), rand.N)
	if pause == 0 || o.dryRun || !o.intent.IfDue && !typed(o.cmd, "splay") {
		return nil
	}
	a.say("waiting %s (--splay %s)", pause.Round(time.Millisecond), o.splay)
	return interrupt.Sleep(ctx, pause)
}

// A work is a run of one of them.
type work struct {
	*app
	*rotateOptions
	*site.Site

	teller           *notify.Teller
	state            *state.Dir
	shown            []string // warnings that the person has read in the plan
	opened, declined bool     // there is a target to report on; the person answered no
}

// runRotation is rotate, sync, init and rollback: what the flags name is opened, the engine runs,
// and its report is rendered.
func (a *app) runRotation(ctx context.Context, o *rotateOptions) error {
	if err := cmp.Or(atLeast(o.cmd, 1, "timeout", "restart-timeout"), atLeast(o.cmd, 0, "lock-timeout", "splay")); err != nil {
		return err
	}
	if err := o.wait(ctx, a); err != nil {
		return err
	}
	w := &work{app: a, rotateOptions: o}
	err := w.openTarget(ctx)
	if w.opened = err == nil; !w.opened {
		return w.end(ctx, rotate.Report{Outcome: rotate.Refused}, err, err)
	}
	if o.dryRun {
		for _, line := range w.teller.Check() {
			w.warn("%s", line)
		}
		plan, err := w.Check(ctx)
		if err == nil {
			return w.renderPlan(plan)
		}
		report := rotate.Report{Outcome: rotate.Refused, Rotation: plan.OpenID(), Old: plan.Old}
		return w.end(ctx, report, err, w.renderReport(report, err))
	}
	_ = w.teller.Begin() // what it cannot remember is told twice
	report, err := w.Run(ctx)
	w.changed = report.Rotation != ""
	return w.end(ctx, report, err, w.renderReport(report, err))
}

// openTarget opens everything that the flags name.
func (w *work) openTarget(ctx context.Context) (err error) {
	if len(w.spec.Stores) == 0 { // what is there or not, a rotation of it may be open
		w.spec.Stores = []string{defaultStore}
	}
	w.teller = w.openTeller(&w.places, w.target.Notify)
	w.intent.Policy = w.app.target.Policy.At(w.intent.Policy.MaxAge)
	opt := site.Options{
		Spec: w.spec, Given: func(flag string) bool { return given(w.cmd, flag) }, Intent: w.intent,
		DryRun: w.dryRun, LockTimeout: w.lockTimeout,
		Env:   rotate.Env{Now: w.env.Now, Who: w.actor(), Named: w.named(), Progress: w.progress},
		Store: w.storeOpener(&w.places), Server: w.openServer, Driver: w.openDriver,
		Restart: restart.Options{Say: w.instruct}, Say: w.say, Warn: w.warn,
	}
	if !fromFile(w.cmd, "store") { // else they start elsewhere
		opt.Env.Stores = hint.Flags("--store", w.spec.Stores)
	}
	if w.canAsk() {
		opt.Env.Forget = w.confirmAbandon
		if !w.yes {
			opt.Env.Confirm = w.confirmPlan
		}
	}
	if w.verbose {
		opt.Restart.Show = w.env.Stderr.Detail
	}
	if w.spec.CACert != "" {
		opt.Spec.CACert, err = w.abs(w.spec.CACert)
	}
	if err == nil {
		opt.Spec.Dir, err = w.dirOf(w.cmd, "restart")
	}
	if err == nil && w.init != nil {
		opt.Secure, err = w.securing()
	}
	if err != nil {
		return err
	}
	if w.state, err = w.openState(); err == nil {
		opt.State, opt.Log, opt.Mask = w.state, w.auditLog(w.state), w.teller.Secrets()
		w.Site, err = site.Open(ctx, opt)
	}
	if err == nil && w.Open == nil && fromFile(w.cmd, "store") {
		err = target.Overlap(w.config.AllStores(), &w.app.target.Name, target.Openers{Store: opt.Store})
	}
	return err
}

// named is what names the target on a command line: its first store.
func (w *work) named() string {
	if name := targetName(w.cmd); name != "" {
		return " " + name
	}
	if w.spec.Stores[0] == defaultStore || fromFile(w.cmd, "store") {
		return ""
	}
	return hint.Flags("--store", w.spec.Stores[:1])
}

func (o *rotateOptions) newKey() (secret.Key, error) {
	return keygen.ForUse(keygen.SecretKey, keygen.Format(o.format), o.bits)
}

// confirmAbandon lets a person at the terminal decide what the servers cannot
// prove. --yes does not: it was typed before anybody knew why.
func (w *work) confirmAbandon(ctx context.Context, why error) error {
	w.warn("%v", why)
	return w.env.Stderr.Confirm(ctx, w.env.Stdin, "Forget the open rotation all the same?")
}
