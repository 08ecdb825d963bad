package cmd

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/store/command"
)

// A session is one run of rotate: the rotation, and what it was opened from.
type session struct {
	app      *app
	options  *rotateOptions
	rotation *rotate.Rotation
	progress *progress
	state    *state.Dir
	target   *state.Target
	drivers  []restart.Driver
	servers  []*probe.Server
	copies   []*command.Copy
	open     *rotate.Open // the journal, where there is one
	keys     keyring
	outputs  []string // of restart commands that failed
	culprit  culprit  // of a proof that failed
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
	stores, copies, err := o.stores.openPlaces(a, keygen.SecretKey.Field)
	if err != nil {
		return nil, err
	}
	if err := firstIsReadable(o.stores.refs, stores, copies); err != nil {
		return nil, err
	}
	s.copies = copies
	for _, st := range stores {
		if err := masterKeyOnly(st); err != nil {
			return nil, err
		}
	}
	if s.state, err = a.openState(); err != nil {
		return nil, err
	}
	s.target = s.state.Target(stores[0].String())
	if err := s.readJournal(); err != nil && !o.abandon {
		return nil, err
	}
	if err := s.nothingToEnd(cmd, stores[0].String()); err != nil {
		return nil, err
	}
	if stores, err = s.allStores(stores); err != nil {
		return nil, err
	}
	refs, err := s.references(cmd, stores)
	if err != nil {
		return nil, err
	}
	return s, s.assemble(cmd, stores, refs)
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

// firstIsReadable refuses a write-only copy as the source of truth.
func firstIsReadable(refs []string, stores []store.Store, copies []*command.Copy) error {
	if len(stores) > 0 && (len(copies) == 0 || refs[0] != copies[0].String()) {
		return nil
	}
	return usage("name a store that can be read first", "--store: %s can only be written, and the first store is the source of truth", copies[0])
}

// readJournal reads without the lock: what it finds decides which references
// are opened, and the engine reads again with the lock held.
func (s *session) readJournal() error {
	data, err := s.target.LoadJournal() // its error names the file
	if err == nil {
		if s.open, err = rotate.ReadJournal(data); err != nil {
			err = fmt.Errorf("in %s: %w", s.target.Path(), err)
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

// references makes all references absolute, and fills in what an open rotation
// knows.
func (s *session) references(cmd *cobra.Command, stores []store.Store) (rotate.References, error) {
	refs := rotate.References{Restart: s.options.restart, Servers: s.options.servers}
	for _, st := range stores {
		refs.Stores = append(refs.Stores, st.String())
	}
	for _, c := range s.copies {
		refs.Copies = append(refs.Copies, c.String())
	}
	var err error
	if refs.Dir, err = s.app.dirOf(cmd, "restart"); err != nil {
		return refs, err
	}
	if s.open != nil {
		s.fromJournal(cmd, &refs)
	}
	if err := s.reached(cmd, &refs); err != nil {
		return refs, err
	}
	if len(refs.Restart) == 0 && !s.options.abandon && !s.options.abort {
		return refs, usage("for services of systemd: --restart systemd:blnk,blnk-worker; of compose: --restart compose:", "--restart is required")
	}
	return refs, nil
}

// fromJournal takes what was not typed from the open rotation.
func (s *session) fromJournal(cmd *cobra.Command, refs *rotate.References) {
	open := s.open.Refs
	refs.Dir = open.Dir
	if !given(cmd, "restart") {
		refs.Restart = open.Restart
	}
	if !given(cmd, "server") {
		refs.Servers = open.Servers
	}
	reach := &s.options.reach.options
	if !given(cmd, "ca-cert") {
		reach.CACert = open.CACert
	}
	if !given(cmd, "proxy") {
		reach.Proxy = open.Proxy
	}
	if !given(cmd, "allow-plaintext") {
		reach.AllowPlaintext = open.AllowPlaintext
	}
}

// allStores takes the stores of the open rotation where only the first was
// named: it is what the rotation is found by.
func (s *session) allStores(stores []store.Store) ([]store.Store, error) {
	if s.open == nil || len(stores)+len(s.copies) > 1 || stores[0].String() != s.open.Refs.Stores[0] {
		return stores, nil
	}
	all := s.options.stores
	all.refs = slices.Concat(s.open.Refs.Stores, s.open.Refs.Copies)
	stores, copies, err := all.openPlaces(s.app, keygen.SecretKey.Field)
	s.copies = copies
	return stores, err
}

// assemble puts the rotation together.
func (s *session) assemble(cmd *cobra.Command, stores []store.Store, refs rotate.References) error {
	o := s.options
	s.rotation = &rotate.Rotation{
		Stores: stores, Refs: refs, WorkersProved: true,
		Journal: s.target, Memory: s.target, Recorder: audit.Open(s.state.Path(), s.app.env.Now),
		Lock: s.lock, NewKey: s.newKey, Weak: weakness, Preflight: s.preflight,
		Tell: func(e rotate.Event) { s.event(cmd.Context(), e) }, Now: s.app.env.Now,
		Host: hostName(), User: userName(s.app.env.UID), Options: s.timed(cmd, o.options()),
	}
	if s.app.canAsk() && !o.yes {
		s.rotation.Confirm = s.confirm
	}
	for _, c := range s.copies {
		s.rotation.Copies = append(s.rotation.Copies, c)
	}
	for i, ref := range refs.Restart {
		if err := s.openDriver(cmd, i, ref); err != nil {
			return err
		}
	}
	o.reach.options.Timeout = question(s.rotation.Options.Timeout)
	if len(refs.Servers) == 0 {
		var err error
		if refs.Servers, err = s.findServers(cmd.Context(), stores); err != nil {
			return err
		}
		s.rotation.Refs.Servers = refs.Servers
	}
	return s.openServers(refs.Servers)
}
