// Package site is where a rotation is carried out: of what a person named it makes
// everything that a run of package rotate takes, and runs it.
//
// That is the target, opened, and where a rotation of it is open the one that its
// journal names; the state folder, the audit log and the locks; and the looks at the
// processes of this host. What stands around the key and is written besides it when
// secure mode is brought in place (blnkctl.yaml, modes, ignore files) is here too.
//
// It knows no scheme of a store or a driver, and talks to nobody: Options have both as
// functions.
package site

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/target"
)

// Options are what a person asked for, and what the program hands in.
type Options struct {
	// Spec has a store at least. Given says of a flag whether it was said: what is not
	// comes from the journal of an open rotation.
	Spec        target.Spec
	Given       func(flag string) bool
	Intent      rotate.Intent
	DryRun      bool // nothing is changed
	LockTimeout time.Duration
	// Secure is for an Init.
	Secure *Secure

	State *state.Dir
	Log   *audit.Log // in State
	// Mask must not show in what commands print, nor must the keys.
	Mask []secret.Key
	// Env has Now, Who, Confirm, Forget, Progress and Named, and Stores where they are to be named
	// as they were typed; the rest of it is made here.
	Env    rotate.Env
	Store  func(ref string, spec target.Spec) (store.Store, store.Copy, error)
	Server func(url string, spec target.Spec) (*proof.Server, error)
	// Driver opens a driver; Restart is what its options have besides what is known here.
	Driver  func(ref string, opt restart.Options) (target.Driver, error)
	Restart restart.Options
	// Say tells a person what is done, Warn what is wrong.
	Say, Warn func(format string, args ...any)
}

// A Site is a target with all that a run on this host needs.
type Site struct {
	*target.Target
	Folder *state.Target // of this target
	Open   *rotate.Open  // the rotation that the journal says is open, or nil

	opt    Options
	look   reach.Look // at the processes of the target
	keys   run.Keys
	around exposure.Around
}

// Open opens everything that was named, and where a rotation is open, what its journal
// names.
func Open(ctx context.Context, opt Options) (*Site, error) {
	s := &Site{opt: opt}
	spec := opt.Spec
	if opt.Intent.KeyOnly {
		spec.Restart = nil // secure mode stays off: there is nothing to prove
	}
	if !opt.Given("timeout") {
		spec.Timeout = 0 // the target's to choose
	}
	open := target.Openers{Store: s.master, Restart: s.driver, Server: opt.Server}
	set, _, err := target.OpenStores(&spec, open)
	if err != nil {
		return nil, err
	}
	s.Folder = opt.State.Target(set[0].String())
	s.Open, err = rotate.Load(ctx, s.Folder, set, opt.Env.Named)
	if err != nil && !opt.Intent.Abandon {
		return nil, err
	}
	err = nil // one that is forgotten need not be read
	switch {
	case s.Open != nil:
		s.keys.Add(s.Open.Keys...)
		spec = spec.Over(s.Open.Target, opt.Given)
		if o := s.Open; len(o.Target.Restart)+len(o.Target.Settings) == 0 {
			spec.Restart = nil // only a key, or a copy, is being written
		}
	case opt.Intent.OfPrevious():
		spec = rotate.Retrace(s.Folder, spec, opt.Given)
	case (opt.Intent.Abort || opt.Intent.Abandon) && !opt.Given("store"):
		err = rotate.RefuseOtherEnd(opt.State, s.Folder, set[0], opt.Intent.Abandon)
	}
	if opt.Secure != nil && err == nil {
		spec, err = s.secure(ctx, spec, set)
	}
	if opt.Intent.Event == rotate.Retire {
		spec.Restart, spec.Servers = nil, nil // nothing is asked or restarted
	}
	if err == nil && len(spec.Restart) == 0 && !opt.Intent.Abandon && !opt.Intent.Abort && opt.Secure == nil && s.Open == nil && !opt.Intent.OfPrevious() {
		err = target.Refuse("for services of systemd: --restart systemd:blnk,blnk-worker; of compose: --restart compose:", "--restart is required")
	}
	if err != nil {
		return nil, err
	}
	return s, s.open(ctx, spec, open)
}

// open opens the target, and finds its servers and what is looked at.
func (s *Site) open(ctx context.Context, spec target.Spec, open target.Openers) (err error) {
	if s.Target, err = target.Open(spec, open); err != nil {
		return err
	}
	s.Target.State = s.Folder
	mend := func() error { return s.Mend(ctx, s.opt.LockTimeout) }
	if s.opt.DryRun {
		mend = nil
	}
	if s.opt.Intent.Event == rotate.Retire { // nobody is asked
		return nil
	}
	if err := s.Locate(ctx, open, mend); err != nil && (len(spec.Restart) > 0 || !errors.Is(err, target.ErrNoServer) && !errors.Is(err, store.ErrNotFound)) {
		return err // where nothing is restarted, nobody has to be asked
	}
	if s.opt.Intent.KeyOnly {
		s.Settings, s.Spec.Settings = nil, nil
	}
	s.look = reach.Look{
		Set: s.Set, Others: len(s.Copies) > 0, Servers: Probes(s.Servers), Keys: s.keys.All,
		Settings: s.Settings, Secure: len(s.Settings) > 0,
	}
	for _, d := range s.Drivers {
		s.look.Drivers = append(s.look.Drivers, d.Restarter)
	}
	return nil
}

// master opens a store of the master key. Every other secret of blnk.json needs more
// than a restart to be replaced.
func (s *Site) master(ref string, spec target.Spec) (store.Store, store.Copy, error) {
	one, writeOnly, err := s.opt.Store(ref, spec)
	if _, ok := one.(*blnkjson.Store); ok && err == nil && !slices.Contains(spec.Settings, ref) {
		if _, field, _ := strings.Cut(one.String(), "#"); !strings.EqualFold(field, keygen.SecretKey.Field(blnkjson.Scheme)) {
			err = target.Refuse("", "%s: rotate replaces the master key only, server.secret_key", one)
		}
	}
	return one, writeOnly, err
}

func (s *Site) driver(ref string, spec target.Spec) (target.Driver, error) {
	opt := s.opt.Restart
	opt.Mask = func() []secret.Key { return append(s.keys.All(), s.opt.Mask...) }
	opt.Dir, opt.Work = spec.Dir, restart.Work(s.Folder.RestartFile())
	return s.opt.Driver(ref, opt)
}

// Probes are servers that were opened as a probe.Server, as what they are.
func Probes(servers []*proof.Server) (all []*probe.Server) {
	for _, s := range servers {
		if p, ok := s.Asker.(*probe.Server); ok {
			all = append(all, p)
		}
	}
	return all
}

// Check is rotate.Check.
func (s *Site) Check(ctx context.Context) (rotate.Plan, error) {
	intent, env := s.surround()
	plan, err := rotate.Check(ctx, s.Target, intent, env)
	if err == nil && s.opt.Secure != nil && !plan.Due.Yes { // what is missing around it is done all the same
		s.findAround(ctx)
		plan.Remarks = s.around.Lines()
	}
	return plan, err
}

// Run is rotate.Run. What secure mode wants around the key is done too, where it ends well.
func (s *Site) Run(ctx context.Context) (rotate.Report, error) {
	intent, env := s.surround()
	report, err := rotate.Run(ctx, s.Target, intent, env)
	if s.opt.Secure != nil && err == nil {
		s.complete(ctx, &report)
	}
	return report, err
}

// EndPrevious is rotate.EndPrevious.
func (s *Site) EndPrevious(ctx context.Context) (rotate.Retirement, error) {
	intent, env := s.surround()
	return rotate.EndPrevious(ctx, s.Target, intent, env, s.opt.DryRun)
}

// surround is what the engine needs besides the target.
func (s *Site) surround() (rotate.Intent, rotate.Env) {
	intent, env, left := s.opt.Intent, s.opt.Env, restart.Work(s.Folder.RestartFile())
	if make := intent.NewKey; make != nil {
		intent.NewKey = func() (secret.Key, error) {
			key, err := make()
			s.keys.Add(key)
			return key, err
		}
	}
	env.Stores = cmp.Or(env.Stores, hint.Flags("--store", s.Spec.Stores))
	env.Lock, env.Recorder, env.Compromised, env.Keys = s.lock, s.opt.Log, s.opt.State.Compromised(), s.keys.Add
	env.Settle, env.AtWork = left.Settle, left.AtWork
	env.Before = func(ctx context.Context, current secret.Key) (rotate.Findings, error) {
		found, err := s.look.Before(ctx, current)
		if err == nil && s.opt.Secure != nil {
			s.findAround(ctx)
			opens := func(text string) bool { return strings.Contains(text, restart.WritesOpen) }
			if slices.ContainsFunc(s.around.Notes, opens) { // a driver may know of it, too
				found.Remarks = slices.DeleteFunc(found.Remarks, opens)
			}
			found.Remarks = append(found.Remarks, s.around.Lines()...)
		}
		return rotate.Findings(found), err
	}
	env.Observe, env.Holders, env.Listening = s.look.Restart, s.look.Holders, s.look.Listening
	env.Instead, env.Why, env.Receivers, env.LeftBehind = s.look.Instead, s.look.Why, s.look.Receivers, s.look.LeftBehind
	env.Prepare = func(context.Context) error {
		s.mendAround(false)
		return nil
	}
	return intent, env
}

// lock keeps everybody else away. Under it, no other target's rotation can begin
// that has one of the stores.
func (s *Site) lock(ctx context.Context) (unlock func(), err error) {
	unlock, err = rotate.Lock(ctx, s.Folder, s.Places(), s.opt.LockTimeout, s.opt.DryRun)
	if err == nil && s.Open == nil && !s.opt.Intent.Abandon {
		if err = rotate.RefuseOverlap(ctx, s.opt.State, s.Folder, s.Set, s.opt.Spec, target.Openers{Store: s.opt.Store}); err != nil {
			unlock()
		}
	}
	return unlock, err
}
