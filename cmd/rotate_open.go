package cmd

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/target"
)

// A session is one run of rotate or sync: what was asked for, and what it works
// on.
type session struct {
	app      *app
	options  *rotateOptions
	intent   rotate.Intent
	env      rotate.Env
	target   *target.Target
	drivers  []restart.Driver
	progress *progress
	state    *state.Dir
	folder   *state.Target
	open     *rotate.Open // the journal, where there is one
	keys     keyring
	outputs  []string // of restart commands that failed
	cause    error    // why a proof failed, where that was seen
}

// A keyring holds the keys that must not show in the output of commands.
type keyring struct {
	mu   sync.Mutex
	keys []secret.Key
}

func (k *keyring) add(keys ...secret.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = append(k.keys, keys...)
}

func (k *keyring) all() []secret.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys)
}

// openRotation opens everything that the flags name. Where a rotation is open,
// flags that are missing are the journal's.
func (a *app) openRotation(cmd *cobra.Command, o *rotateOptions) (*session, error) {
	s := &session{app: a, options: o, progress: newProgress(a)}
	if len(o.stores.refs) == 0 {
		o.stores.refs = []string{defaultStore}
	}
	spec, err := s.typed(cmd)
	if err != nil {
		return nil, err
	}
	set, _, err := target.OpenStores(&spec, s.openers())
	if err != nil {
		return nil, err
	}
	if s.state, err = a.openState(); err != nil {
		return nil, err
	}
	s.folder = s.state.Target(set[0].String())
	if err := s.readJournal(); err != nil && !o.abandon {
		return nil, err
	}
	if err := s.nothingToEnd(cmd, set[0].String()); err != nil {
		return nil, err
	}
	if s.open != nil {
		spec = s.continued(cmd, spec)
	}
	if len(spec.Restart) == 0 && !o.abandon && !o.abort {
		return nil, usage("for services of systemd: --restart systemd:blnk,blnk-worker; of compose: --restart compose:", "--restart is required")
	}
	if s.target, err = target.Open(spec, s.openers()); err != nil {
		return nil, err
	}
	s.target.State = s.folder
	s.prepare(cmd)
	return s, s.target.Locate(cmd.Context(), s.openers(), s.repair(cmd.Context()))
}

// typed is what the flags and the configuration say.
func (s *session) typed(cmd *cobra.Command) (target.Spec, error) {
	o := s.options
	reach := o.reach.options
	spec := target.Spec{
		Stores: o.stores.refs, Restart: o.restart, Servers: o.servers,
		CACert: reach.CACert, Proxy: reach.Proxy, AllowPlaintext: reach.AllowPlaintext, RestartTimeout: o.restartT,
	}
	if given(cmd, "timeout") {
		spec.Timeout = o.timeout
	}
	dir, err := s.app.dirOf(cmd, "ca-cert")
	if err != nil {
		return spec, err
	}
	spec.Absolute(dir)
	spec.Dir, err = s.app.dirOf(cmd, "restart")
	return spec, err
}

// continued is the spec of an open rotation, with what was typed in its place.
// Its stores are found by the first alone.
func (s *session) continued(cmd *cobra.Command, typed target.Spec) target.Spec {
	spec := s.open.Target
	if len(typed.Stores) > 1 || typed.Stores[0] != spec.Stores[0] {
		spec.Stores = typed.Stores
	}
	for flag, take := range map[string]func(){
		"restart":         func() { spec.Restart, spec.Dir = typed.Restart, typed.Dir },
		"server":          func() { spec.Servers = typed.Servers },
		"ca-cert":         func() { spec.CACert = typed.CACert },
		"proxy":           func() { spec.Proxy = typed.Proxy },
		"allow-plaintext": func() { spec.AllowPlaintext = typed.AllowPlaintext },
		"timeout":         func() { spec.Timeout = typed.Timeout },
		"restart-timeout": func() { spec.RestartTimeout = typed.RestartTimeout },
	} {
		if given(cmd, flag) {
			take()
		}
	}
	return spec
}

// openers open what a spec names.
func (s *session) openers() target.Openers {
	return target.Openers{Store: s.openStore, Restart: s.openDriver, Server: openServer}
}

func (s *session) openStore(ref string, spec target.Spec) (store.Store, store.Copy, error) {
	opt, err := s.options.stores.options(s.app)
	if err != nil {
		return nil, nil, err
	}
	opt.Proxy, opt.AllowPlaintext = spec.Proxy, spec.AllowPlaintext
	one, writeOnly, err := s.app.openPlace(ref, opt, keygen.SecretKey.Field)
	if err != nil || writeOnly != nil {
		return nil, writeOnly, err
	}
	return one, nil, masterKeyOnly(one)
}

// masterKeyOnly refuses a field of blnk.json that is not the master key: every
// other secret needs more than a restart to be replaced.
func masterKeyOnly(s store.Store) error {
	_, field, _ := strings.Cut(s.String(), "#")
	if _, ok := s.(*blnkjson.Store); ok && !strings.EqualFold(field, keygen.SecretKey.Field(blnkjson.Scheme)) {
		return usage("", "%s: rotate replaces the master key only, server.secret_key", s)
	}
	return nil
}

func (s *session) openDriver(ref string, spec target.Spec) (target.Driver, error) {
	scheme, driver, err := openRestart(s.app, ref, restart.Options{
		Dir: spec.Dir, Mask: s.keys.all, Say: s.progress.instruct, Lock: s.folder.RestartLock(),
	})
	if err != nil {
		return target.Driver{}, err
	}
	s.drivers = append(s.drivers, driver)
	return target.Driver{Restarter: watched{driver, s.keepOutput}, WorkersProved: scheme.WorkersProved, Polls: scheme.Polls}, nil
}

func openServer(url string, spec target.Spec) (*proof.Server, error) {
	server, err := probe.New(url, probe.Options{
		CACert: spec.CACert, Proxy: spec.Proxy, AllowPlaintext: spec.AllowPlaintext,
		// A connection that hangs leaves time for others.
		Timeout: min(probe.DefaultTimeout, max(spec.Timeout/4, time.Second)),
	})
	if err != nil {
		return nil, fail(exitUsage, err, "")
	}
	return proof.NewServer(server, !server.Loopback()), nil
}

// probes are the servers, as what they are.
func (s *session) probes() (all []*probe.Server) {
	for _, server := range s.target.Servers {
		if p, ok := server.Asker.(*probe.Server); ok {
			all = append(all, p)
		}
	}
	return all
}

// readJournal reads without the lock: what it finds decides what is opened, and
// the engine reads again with the lock held.
func (s *session) readJournal() error {
	data, err := s.folder.LoadJournal() // its error names the file
	if err == nil {
		if s.open, err = rotate.ReadJournal(data); err != nil {
			err = fmt.Errorf("in %s: %w", s.folder.Path(), err)
		}
	}
	if err != nil {
		return fail(exitStuck, err, s.journalHint(err))
	}
	if s.open != nil {
		s.keys.add(s.open.Keys...)
	}
	return nil
}

// prepare fills in what the engine needs besides the target.
func (s *session) prepare(cmd *cobra.Command) {
	o := s.options
	s.intent = rotate.Intent{
		Event: rotate.Rotate, NewKey: s.newKey, Weak: weakness,
		IfOlderThan: o.age, IfUnknown: rotate.IfUnknown(o.unknown.value),
		Compromised: o.compromised, ServerDown: o.serverDown, Reason: o.reason,
	}
	s.env = rotate.Env{
		Lock: s.lock, Recorder: audit.Open(s.state.Path(), s.app.env.Now), Now: s.app.env.Now,
		Host: hostName(), User: userName(s.app.env.UID),
		Before: s.preflight, Observe: s.observe, Progress: func(p rotate.Progress) { s.event(cmd.Context(), p) },
	}
	if s.app.canAsk() && !o.yes {
		s.env.Confirm = s.confirm
	}
}

// repair puts the stores right before the rotation would do so; a dry run does
// not.
func (s *session) repair(ctx context.Context) func() error {
	if s.options.dryRun {
		return nil
	}
	return func() error {
		unlock, err := s.target.Set.Lock(ctx, s.options.lockT)
		if err != nil {
			return err
		}
		defer unlock()
		return s.target.Set.Repair(ctx)
	}
}

// lock keeps away other rotations of the target, and everybody who works on
// the same files whatever state folder they have. A dry run makes no lock file.
func (s *session) lock(ctx context.Context) (func(), error) {
	take := s.folder.Lock
	if s.options.dryRun {
		take = s.folder.LockExisting
	}
	folder, err := take(ctx, s.options.lockT)
	if err != nil {
		return nil, err
	}
	places, err := s.target.Set.Lock(ctx, s.options.lockT)
	if err != nil {
		folder()
		return nil, err
	}
	unlock := func() { places(); folder() }
	if err := s.refuseOverlap(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// refuseOverlap refuses where another target's open rotation has one of the stores:
// of two journals, one would end with a key that the other knows nothing of. Under
// the lock, no other one can begin.
func (s *session) refuseOverlap() error {
	if s.open != nil || s.options.abandon {
		return nil
	}
	o, err := s.options.stores.overlapping(s.app, s.state, s.folder, s.target.Set)
	if o != nil {
		return o.refusal(exitUsage)
	}
	return err
}

func (s *session) newKey() (secret.Key, error) {
	format, err := keygen.ParseFormat(s.options.format.value)
	if err != nil {
		return secret.Key{}, err
	}
	key, err := keygen.ForUse(keygen.SecretKey, format, s.options.bits)
	s.keys.add(key)
	return key, err
}

// weakness says what is wrong with a key that is due whatever its age.
func weakness(key secret.Key) string {
	for _, f := range keygen.Check(key) {
		if f.Severity >= keygen.Weak {
			return f.Text
		}
	}
	return ""
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown host"
	}
	return name
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "user " + strconv.Itoa(uid)
}
