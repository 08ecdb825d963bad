package cmd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/target"
)

// rotateOptions are the flags of rotate and sync, in the types that the engine
// takes.
type rotateOptions struct {
	places
	intent rotate.Intent
	from   string       // of sync
	init   *initOptions // nil: another command

	unknown, format        string
	bits                   int
	lockTimeout            time.Duration
	dryRun, abort, abandon bool
	yes, verbose           bool
}

func newRotateCmd(a *app) *cobra.Command {
	o := &rotateOptions{intent: rotate.Intent{Event: rotate.Rotate}}
	cmd := newCmd("", "rotate [TARGET] [flags]", func(cmd *cobra.Command) error {
		if err := o.check(a); err != nil {
			return err
		}
		return a.runRotation(cmd.Context(), o)
	})
	o.addPlaces(cmd)
	f := cmd.Flags()
	f.Func("if-older-than", "`AGE`: do nothing before the last rotation is that old: 90d", func(text string) (err error) {
		o.intent.IfOlderThan, err = policy.ParseAge(text)
		return err
	})
	o.addUsual(cmd)
	f.BoolVar(&o.abort, "abort", false, "undo the open rotation")
	f.BoolVar(&o.abandon, "abandon", false, "forget the open rotation: a person mended it")
	f.BoolVar(&o.intent.Compromised, "compromised", false, "others know the old key: there is no way back to it")
	f.BoolVar(&o.intent.ServerDown, "server-down", false, "ask for no proof of the old key: servers are stopped")
	choice(cmd, f, &o.unknown, "if-unknown", "", "key of unknown age", "adopt", "rotate", "fail")
	choice(cmd, f, &o.format, "format", "", "form", "prefixed", "base62", "base64url", "hex")
	f.IntVar(&o.bits, "bits", keygen.DefaultBits, "strength of the new key")
	o.addRare()
	actions(cmd, "compromised", "server-down", "abort", "abandon")
	return cmd
}

func newSyncCmd(a *app) *cobra.Command {
	o := &rotateOptions{intent: rotate.Intent{Event: rotate.Sync}}
	cmd := newCmd("", "sync [TARGET] [flags]", func(cmd *cobra.Command) error {
		if err := o.checkTimes(); err != nil {
			return err
		}
		if o.from != "" {
			o.intent.Trust = true
			var err error
			if o.intent.Source, err = o.spec.From(o.from, target.Openers{Store: a.storeOpener(&o.places)}); err != nil {
				return err
			}
		}
		if len(o.spec.Stores) < 2 {
			return usage("name the source of truth first: blnkctl sync --store REF --store REF…", "sync needs two stores at least")
		}
		return a.runRotation(cmd.Context(), o)
	})
	o.addPlaces(cmd)
	cmd.Flags().StringVar(&o.from, "from", "", "`REF`: copy this one, whatever key is live (default: the first)")
	complete(cmd, "from", schemeNames(a.storeSchemes())...)
	o.addUsual(cmd)
	o.addRare()
	return cmd
}

// addPlaces, addUsual and addRare add the flags that rotate and sync share, in the
// order of a help: where the key is, what most people want, and the others.
func (o *rotateOptions) addPlaces(cmd *cobra.Command) {
	o.field = keygen.SecretKey.Field
	drivers := schemeNames((&app{}).restartSchemes())
	cmd.Flags().StringArrayVar(&o.spec.Restart, "restart", nil, "`REF`: what restarts server and workers: "+oneOf(drivers))
	complete(cmd, "restart", drivers...)
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
	o.addConnection()
}

// check refuses what can be seen to be wrong in the flags of rotate alone.
func (o *rotateOptions) check(a *app) error {
	err := cmp.Or(refuseTogether(o.cmd, "abort", "abandon", "dry-run"), refuseTogether(o.cmd, "abort", "compromised"), checkBits(o.cmd, o.bits))
	if err != nil {
		return err
	}
	if o.intent.IfOlderThan > 0 && a.env.Getenv("CI") != "" && !given(o.cmd, "if-unknown") && !given(o.cmd, "state-dir") {
		return usage("keep the state with --state-dir, or say --if-unknown adopt, rotate or fail",
			"--if-older-than: in CI the age of the key is forgotten from one job to the next")
	}
	return o.checkTimes()
}

func (o *rotateOptions) checkTimes() error {
	for flag, given := range map[string]time.Duration{"timeout": o.spec.Timeout, "restart-timeout": o.spec.RestartTimeout} {
		if given <= 0 {
			return usage("", "--%s: want more than 0s", flag)
		}
	}
	if o.lockTimeout < 0 {
		return usage("", "--lock-timeout: want 0s or more")
	}
	return nil
}

// A work is what a run of rotate or sync works on, and with.
type work struct {
	*app
	*rotateOptions
	look   reach.Look // at the processes of the target
	state  *state.Dir
	folder *state.Target // of this target
	target *target.Target
	open   *rotate.Open // the rotation that the journal says is open, or nil
	keys   *run.Keys

	shown    []string // warnings that the person has read in the plan
	declined bool     // the person answered no
}

// runRotation is rotate and sync: what the flags name is opened, the engine runs,
// and its report is rendered.
func (a *app) runRotation(ctx context.Context, o *rotateOptions) error {
	w := &work{app: a, rotateOptions: o, keys: &run.Keys{}}
	if err := w.openTarget(ctx); err != nil {
		return w.renderUnopened(err)
	}
	intent, env := w.surroundings()
	var report rotate.Report
	var err error
	switch {
	case o.dryRun:
		var plan rotate.Plan
		if plan, err = rotate.Check(ctx, w.target, intent, env); err == nil {
			return w.renderPlan(plan)
		}
		report = rotate.Report{Outcome: rotate.Refused, Rotation: plan.OpenID(), Old: plan.Old}
	case o.abort:
		report, err = rotate.Abort(ctx, w.target, intent, env)
	case o.abandon:
		report, err = rotate.Abandon(ctx, w.target, intent, env, w.confirmAbandon(ctx))
	default:
		report, err = rotate.Run(ctx, w.target, intent, env)
	}
	if w.init != nil && err == nil && !o.dryRun {
		w.complete(ctx, report)
	}
	return w.renderReport(report, err)
}

// openTarget opens everything that the flags name, and where a rotation is open,
// what its journal names.
func (w *work) openTarget(ctx context.Context) error {
	spec, err := w.absoluteSpec()
	if err != nil {
		return err
	}
	open := target.Openers{Store: w.openMaster, Restart: w.openRestart, Server: w.openServer}
	set, _, err := target.OpenStores(&spec, open)
	if err != nil {
		return err
	}
	if w.state, err = w.openState(); err != nil {
		return err
	}
	w.folder = w.state.Target(ref.Verbatim(set[0].String()))
	if w.open, err = rotate.Load(ctx, w.folder, set, w.named()); err != nil && !w.abandon {
		return err
	}
	switch {
	case w.open != nil:
		w.keys.Add(w.open.Keys...)
		spec = spec.Over(w.open.Target, func(flag string) bool { return given(w.cmd, flag) })
		if o := w.open; o.Event == rotate.Init && len(o.Target.Restart)+len(o.Target.Settings) == 0 {
			spec.Restart = nil // only a key is being written
		}
	case (w.abort || w.abandon) && !given(w.cmd, "store"):
		if err := rotate.RefuseOtherEnd(w.state, w.folder, set[0], w.abandon); err != nil {
			return err
		}
	}
	if w.init != nil {
		if err := w.openSettings(ctx, &spec, set); err != nil {
			return err
		}
	}
	if len(spec.Restart) == 0 && !w.abandon && !w.abort && w.init == nil && w.open == nil {
		return usage("for services of systemd: --restart systemd:blnk,blnk-worker; of compose: --restart compose:", "--restart is required")
	}
	if w.target, err = target.Open(spec, open); err != nil {
		return err
	}
	w.target.State = w.folder
	mend := func() error { return w.target.Mend(ctx, w.lockTimeout) }
	if w.dryRun {
		mend = nil
	}
	if err := w.target.Locate(ctx, open, mend); err != nil && (len(spec.Restart) > 0 || !errors.Is(err, target.ErrNoServer) && !errors.Is(err, store.ErrNotFound)) {
		return err // where nothing is restarted, nobody has to be asked
	}
	if w.intent.KeyOnly {
		w.target.Settings, w.target.Spec.Settings = nil, nil
	}
	w.look = reach.Look{
		Set: w.target.Set, Others: len(w.target.Copies) > 0, Servers: probes(w.target.Servers), Keys: w.keys.All,
		Settings: w.target.Settings, Secure: len(w.target.Settings) > 0,
	}
	for _, d := range w.target.Drivers {
		w.look.Drivers = append(w.look.Drivers, d.Restarter)
	}
	return nil
}

// absoluteSpec is what the flags say, so that another process can open it.
func (w *work) absoluteSpec() (spec target.Spec, err error) {
	if len(w.spec.Stores) == 0 { // what is there or not, a rotation of it may be open
		w.spec.Stores = []string{defaultStore}
	}
	spec = w.spec
	if w.init != nil && w.init.stage == "key" {
		spec.Restart = nil // secure mode stays off: there is nothing to prove
	}
	if !given(w.cmd, "timeout") {
		spec.Timeout = 0 // the target's to choose
	}
	if spec.CACert != "" {
		spec.CACert, err = w.abs(spec.CACert)
	}
	if err == nil {
		spec.Dir, err = w.dirOf(w.cmd, "restart")
	}
	return spec, err
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

// openMaster opens a store of the master key. Every other secret of blnk.json needs
// more than a restart to be replaced.
func (w *work) openMaster(ref string, spec target.Spec) (store.Store, store.Copy, error) {
	one, writeOnly, err := w.storeOpener(&w.places)(ref, spec)
	if slices.Contains(spec.Settings, ref) {
		return one, writeOnly, err
	}
	if _, ok := one.(*blnkjson.Store); ok && err == nil {
		_, field, _ := strings.Cut(one.String(), "#")
		if !strings.EqualFold(field, w.field(blnkjson.Scheme)) {
			err = usage("", "%s: rotate replaces the master key only, server.secret_key", one)
		}
	}
	return one, writeOnly, err
}

func (w *work) openRestart(ref string, spec target.Spec) (target.Driver, error) {
	var show func(string)
	if w.verbose {
		show = w.env.Stderr.Detail
	}
	return w.openDriver(ref, restart.Options{
		Dir: spec.Dir, Mask: w.keys.All, Say: w.instruct, Show: show, Work: restart.Work(w.folder.RestartFile()),
	})
}

// surroundings are what the engine needs besides the target.
func (w *work) surroundings() (rotate.Intent, rotate.Env) {
	stores := w.spec.Stores
	if fromFile(w.cmd, "store") { // they start elsewhere
		stores = w.target.Spec.Stores
	}
	left := restart.Work(w.folder.RestartFile())
	env := rotate.Env{
		Lock: w.lock, Recorder: audit.Open(w.state.Path(), w.env.Now), Now: w.env.Now, Who: w.actor(), Compromised: w.state.Compromised(),
		Named: w.named(), Stores: hint.Flags("--store", stores),
		Settle: left.Settle, AtWork: left.AtWork,
		Before: func(ctx context.Context, current secret.Key) (rotate.Findings, error) {
			found, err := w.look.Before(ctx, current)
			return rotate.Findings(found), err
		},
		Instead: w.look.Instead, Receivers: w.look.Receivers, LeftBehind: w.look.LeftBehind,
		Holders: w.look.Holders, Listening: w.look.Listening,
		Observe: w.look.Restart, Why: w.look.Why, Keys: w.keys.Add, Progress: w.progress,
	}
	intent := w.intent
	if intent.Event == rotate.Rotate {
		intent.NewKey, intent.Weak, intent.IfUnknown = w.newKey, keygen.SecretKey.Weakness, rotate.IfUnknown(w.unknown)
	}
	if w.init != nil {
		w.securing(&intent, &env)
	}
	if w.canAsk() && !w.yes {
		env.Confirm = w.confirmPlan
	}
	return intent, env
}

// lock keeps everybody else away. Under it, no other target's rotation can begin
// that has one of the stores.
func (w *work) lock(ctx context.Context) (unlock func(), err error) {
	unlock, err = rotate.Lock(ctx, w.folder, w.target.Places(), w.lockTimeout, w.dryRun)
	if err == nil && w.open == nil && !w.abandon {
		if err = w.refuseOverlap(&w.places, w.state, w.folder, w.target.Set); err != nil {
			unlock()
		}
	}
	return unlock, err
}

// refuseOverlap refuses stores that belong to the open rotation of another target.
func (a *app) refuseOverlap(p *places, dir *state.Dir, own *state.Target, set store.Set) error {
	open := a.storeOpener(p)
	return rotate.RefuseOverlap(dir, own, set, func(ref string) (store.Store, error) {
		one, _, err := open(ref, p.spec)
		return one, err
	})
}

func (w *work) newKey() (secret.Key, error) {
	key, err := keygen.ForUse(keygen.SecretKey, keygen.Format(w.format), w.bits)
	w.keys.Add(key)
	return key, err
}

// confirmAbandon lets a person at the terminal decide what the servers cannot
// prove. --yes does not: it was typed before anybody knew why.
func (w *work) confirmAbandon(ctx context.Context) func(error) error {
	if !w.canAsk() {
		return nil
	}
	return func(why error) error {
		w.warn("%v", why)
		return w.env.Stderr.Confirm(ctx, w.env.Stdin, "Forget the open rotation all the same?")
	}
}
