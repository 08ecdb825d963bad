// Package target is what a run works on: a Spec, which is plain data, and a
// Target, which is the same, opened. The flags, the journal of an open rotation
// and a named target of the configuration all become a Spec, and Open is the one
// place that opens it.
//
// The package knows no place, driver or protocol: the Openers are handed in. It
// opens and asks; it changes nothing but what a crash left half written
// (Target.Locate).
package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
)

// A Spec names everything that a rotation touches, so that another process can
// open the same again.
type Spec struct {
	// Stores are references of places that hold the key, write-only copies among
	// them. The first is the source of truth, and names the target.
	Stores []string `json:"stores"`
	// Settings are references of places that are written together with the key, each
	// with a value of its own: secure mode, say.
	Settings []string `json:"settings,omitempty"`
	Restart  []string `json:"restart"`
	Servers  []string `json:"servers"`
	// Dir is the working directory of commands in Restart.
	Dir string `json:"dir"`
	// CACert, Proxy and AllowPlaintext say how the servers are reached.
	CACert         string `json:"ca_cert,omitempty"`
	Proxy          string `json:"proxy,omitempty"`
	AllowPlaintext bool   `json:"allow_plaintext,omitempty"`
	// Timeout is how long the servers may take to answer as they should after the
	// restart; 0 is Target's to choose. RestartTimeout is how long the restart
	// itself may take.
	Timeout        time.Duration `json:"timeout_ns"`
	RestartTimeout time.Duration `json:"restart_timeout_ns"`
}

// Args are the references, as a command line has them.
func (s Spec) Args() string {
	return hint.Flags("--store", s.Stores) + hint.Flags("--restart", s.Restart) + hint.Flags("--server", s.Servers)
}

// Over is an earlier spec with what was given, by the name of its flag, in place of
// what it says. Its stores are found by the first alone.
func (s Spec) Over(earlier Spec, given func(flag string) bool) Spec {
	spec := earlier
	if len(s.Stores) > 1 || s.Stores[0] != spec.Stores[0] {
		spec.Stores = s.Stores
	}
	for flag, take := range map[string]func(){
		"restart":         func() { spec.Restart, spec.Dir = s.Restart, s.Dir },
		"server":          func() { spec.Servers = s.Servers },
		"ca-cert":         func() { spec.CACert = s.CACert },
		"proxy":           func() { spec.Proxy = s.Proxy },
		"allow-plaintext": func() { spec.AllowPlaintext = s.AllowPlaintext },
		"timeout":         func() { spec.Timeout = s.Timeout },
		"restart-timeout": func() { spec.RestartTimeout = s.RestartTimeout },
	} {
		if given(flag) {
			take()
		}
	}
	return spec
}

// From returns the index of a store among those that can be read, whatever path led to
// it. One that is none of them becomes the first: the target of a sync is that of the
// rotations, named after the first store.
func (s *Spec) From(ref string, open Openers) (int, error) {
	all, one := *s, *s
	one.Stores = []string{ref}
	set, _, err := OpenStores(&all, open)
	if err != nil {
		return 0, err
	}
	named, _, err := OpenStores(&one, open)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(set, func(s store.Store) bool { return store.Identity(s) == store.Identity(named[0]) })
	if i < 0 {
		s.Stores = slices.Insert(s.Stores, 0, ref)
	}
	return max(i, 0), nil
}

// SameStores says whether two specs are of the same places: the order of all but
// the first carries no meaning.
func (s Spec) SameStores(other Spec) bool {
	sorted := func(refs []string) []string { return slices.Sorted(slices.Values(refs)) }
	return len(s.Stores) > 0 && len(other.Stores) > 0 && s.Stores[0] == other.Stores[0] &&
		slices.Equal(sorted(s.Stores), sorted(other.Stores))
}

// ErrSpec: what was named does not go together, or is not enough. Errors that wrap
// it say what, and their hints what helps.
var ErrSpec = errors.New("")

// Refuse is an ErrSpec with a text of its own, and what helps.
func Refuse(help, format string, args ...any) error {
	return hint.Add(hint.As(ErrSpec, format, args...), "%s", help)
}

// A Restarter makes a running Blnk, server and workers, read its configuration
// again. Restart returns nil only when it believes that this has happened; it
// may be called again after any error. Its context ends when the time for a
// restart is up, with a cause that says so.
type Restarter interface {
	Restart(ctx context.Context) error
	String() string
}

// A Driver is a Restarter, and what the engine must know of it as data.
type Driver struct {
	Restarter
	// WorkersProved says that its success stands for the workers too.
	WorkersProved bool
	// Polls is how long the servers may take to answer as they should, unless the
	// person says otherwise; 0 is the usual time.
	Polls time.Duration
	// Stopped is the error of a Check of what does not run; Restart would start it.
	Stopped error
}

// A configured store holds a whole configuration of Blnk.
type configured interface {
	Path() string
	Config(ctx context.Context) ([]byte, error)
}

// Openers make of references what they name. Their errors are ready to be shown.
type Openers struct {
	// Store opens a store, or a copy that can only be written.
	Store   func(ref string, spec Spec) (store.Store, store.Copy, error)
	Restart func(ref string, spec Spec) (Driver, error)
	Server  func(url string, spec Spec) (*proof.Server, error)
}

// State is what the state folder keeps of a target: the journal of its one open
// rotation, what is known between rotations, and the key that the last one replaced.
// What saves is durable and atomic when it returns nil. LoadJournal returns nil where
// there is none.
type State interface {
	LoadJournal() ([]byte, error)
	SaveJournal([]byte) error
	ForgetJournal() error
	LoadHistory() (state.History, error)
	SaveHistory(state.History) error
	LoadPrevious() (state.Previous, error)
	SavePrevious(state.Previous) error
	ForgetPrevious() error
	Check() error   // whether it could save; nothing is changed
	Path() string   // where it is, for people
	Holder() string // the process that works on the target, "" for none
}

// A Target is everything that a run works on.
type Target struct {
	// Spec has canonical references, which name the same from anywhere.
	Spec
	Set      store.Set // the first is the source of truth
	Settings store.Set
	Copies   []store.Copy
	Drivers  []Driver
	Servers  []*proof.Server
	// WorkersProved: every driver's success stands for the workers too.
	WorkersProved bool
	Published     bool // no store told where the servers are, but a driver or a setting beside them
	State         State
}

// OpenStores opens the stores of a spec, and makes their references canonical. A
// copy that comes first, or a place that is named twice, is ErrSpec.
func OpenStores(spec *Spec, open Openers) (set store.Set, copies []store.Copy, err error) {
	set, copies, err = OpenPlaces(spec, open)
	if err == nil && len(copies) > 0 && (len(set) == 0 || spec.Stores[0] != set[0].String()) {
		err = Refuse("name a store that can be read first",
			"--store: %s can only be written, and the first store is the source of truth", copies[0])
	}
	return set, copies, err
}

// OpenPlaces is OpenStores for what has no source of truth: all may be copies.
func OpenPlaces(spec *Spec, open Openers) (set store.Set, copies []store.Copy, err error) {
	var refs []string
	for _, ref := range spec.Stores {
		one, writeOnly, err := open.Store(ref, *spec)
		switch {
		case err != nil:
			return nil, nil, err
		case writeOnly != nil:
			copies = append(copies, writeOnly)
			refs = append(refs, writeOnly.String())
		default:
			set = append(set, one)
			refs = append(refs, one.String())
		}
	}
	for i, ref := range refs {
		if slices.Contains(refs[:i], ref) {
			return nil, nil, Refuse("name it once", "--store: %s is given twice", ref)
		}
	}
	if first, second := set.SamePlace(); first != "" {
		return nil, nil, Refuse("name it once", "--store: %s and %s are the same place", first, second)
	}
	spec.Stores = refs
	return set, copies, nil
}

// Overlap is an ErrSpec where a store belongs to two of several targets, which have their
// stores by their names: a rotation of the one would take the key from the other. What
// cannot be opened is its own target's to tell. only is the target that it is asked for,
// nil for all.
func Overlap(stores map[string][]string, only *string, open Openers) error {
	type place struct{ of, ref string }
	known := map[string]place{}
	for _, name := range slices.Sorted(maps.Keys(stores)) {
		for _, ref := range stores[name] {
			one, writeOnly, err := open.Store(ref, Spec{})
			id := ""
			switch {
			case err != nil:
				continue
			case writeOnly != nil:
				id = writeOnly.String()
			default:
				id = store.Identity(one)
			}
			first, taken := known[id]
			if taken && first.of != name && (only == nil || *only == name || *only == first.of) {
				return Refuse("let one of them name it, and the other one go without", "%s has %s, which is a store of %s, too", called(name), ref, called(first.of))
			}
			known[id] = place{name, ref}
		}
	}
	return nil
}

func called(name string) string {
	if name == "" {
		return "the file itself"
	}
	return "the target " + name
}

// Open opens everything that a spec names. Servers that it does not name are
// looked for by Locate.
func Open(spec Spec, open Openers) (*Target, error) {
	t := &Target{Spec: spec, WorkersProved: true}
	t.Timeout = cmp.Or(t.Timeout, UsualTimeout)
	var err error
	if t.Set, t.Copies, err = OpenStores(&t.Spec, open); err != nil {
		return nil, err
	}
	t.Spec.Settings = nil
	for _, ref := range spec.Settings {
		one, _, err := open.Store(ref, spec)
		if err != nil {
			return nil, err
		}
		t.Settings = append(t.Settings, one)
		t.Spec.Settings = append(t.Spec.Settings, one.String())
	}
	var refs []string
	for _, ref := range spec.Restart {
		d, err := open.Restart(ref, t.Spec)
		if err != nil {
			return nil, err
		}
		refs = append(refs, d.String())
		t.Drivers = append(t.Drivers, d)
		t.WorkersProved = t.WorkersProved && d.WorkersProved
		if spec.Timeout == 0 {
			t.Timeout = max(t.Timeout, d.Polls)
		}
	}
	t.Restart = refs
	return t, nil
}

// Places are all that is written: the keys, and behind them the settings.
func (t *Target) Places() store.Set { return slices.Concat(t.Set, t.Settings) }

// UsualTimeout is Spec.Timeout where nobody says otherwise.
const UsualTimeout = 2 * time.Minute

// Locate opens the servers. Where none are named the drivers are asked where the
// server is; else the port stands in a blnk.json. repair says that the caller may
// put right a file that a crash left torn: no journal knows the port.
func (t *Target) Locate(ctx context.Context, open Openers, repair func() error) error {
	urls := t.Spec.Servers
	if len(urls) == 0 {
		found, err := t.published(ctx)
		t.Published = len(found) > 0
		if err == nil && len(found) == 0 {
			found, err = t.local(ctx, repair)
			_, unsaid := localServer(ctx, t.Set)
			t.Published = unsaid != nil
		}
		if err != nil {
			return err
		}
		urls = found
	}
	t.Spec.Servers, t.Servers = nil, nil
	for _, url := range urls {
		server, err := open.Server(url, t.Spec)
		if err != nil {
			return err
		}
		if slices.Contains(t.Spec.Servers, server.String()) {
			return Refuse("name it once", "--server: %s is given twice", server)
		}
		t.Spec.Servers = append(t.Spec.Servers, server.String())
		t.Servers = append(t.Servers, server)
	}
	return nil
}

// Mend puts right, under their locks, files that a crash left torn.
func (t *Target) Mend(ctx context.Context, wait time.Duration) error {
	unlock, err := t.Places().Lock(ctx, wait)
	if err != nil {
		return err
	}
	defer unlock()
	return t.Places().Repair(ctx)
}

// published asks the drivers.
func (t *Target) published(ctx context.Context) (urls []string, err error) {
	for _, d := range t.Drivers {
		l, ok := d.Restarter.(interface { // it knows addresses that it publishes on this host
			Servers(ctx context.Context) ([]string, error)
		})
		if !ok {
			continue
		}
		found, err := l.Servers(ctx)
		if err != nil {
			return nil, fmt.Errorf("find the server with '%s': %w", d, err)
		}
		for _, url := range found {
			if !slices.Contains(urls, url) { // two drivers may know the same server
				urls = append(urls, url)
			}
		}
	}
	return urls, nil
}

// local is the server that a blnk.json names by its port. What is wrong with a
// file is better said by its store, which says it of every file.
func (t *Target) local(ctx context.Context, repair func() error) ([]string, error) {
	url, err := localServer(ctx, t.Places())
	if errors.Is(err, textfile.ErrTorn) && repair != nil {
		if err := repair(); err != nil {
			return nil, err
		}
		url, err = localServer(ctx, t.Places())
	}
	if err == nil {
		return []string{url}, nil
	}
	if errors.Is(err, ErrNoServer) {
		// A driver that knows no server may know why.
		if _, fault := t.CheckDrivers(ctx, false); fault != nil {
			return nil, fault
		}
	}
	for _, one := range t.Set {
		if _, _, unread := one.Get(ctx); unread != nil && !(len(t.Settings) > 0 && errors.Is(unread, store.ErrNotFound)) {
			return nil, unread
		}
	}
	return nil, err
}

// CheckDrivers asks the drivers whether they could work. down: what does not run
// is no fault, but a remark.
func (t *Target) CheckDrivers(ctx context.Context, down bool) (remarks []string, err error) {
	for _, d := range t.Drivers {
		c, ok := d.Restarter.(interface {
			Check(ctx context.Context) error
		})
		if !ok {
			continue
		}
		err := c.Check(ctx)
		switch {
		case down && d.Stopped != nil && errors.Is(err, d.Stopped):
			remarks = append(remarks, err.Error()+"; the restart starts it")
		case err != nil:
			return remarks, fmt.Errorf("restart with '%s': %w", d, err)
		}
	}
	return remarks, nil
}

// ErrNoServer: nothing says where the server is. It is an ErrSpec.
var ErrNoServer = hint.As(ErrSpec, "--server is required where no blnkjson: store gives the port")

// localServer is the address on this host that the port in the first blnk.json
// among the stores gives; ErrNoServer where there is none.
func localServer(ctx context.Context, set store.Set) (string, error) {
	for _, one := range set {
		file, ok := one.(configured)
		if !ok {
			continue
		}
		config, err := file.Config(ctx)
		if err != nil {
			return "", err
		}
		effective, err := blnk.Resolve(config, nil)
		if err != nil {
			return "", Refuse("name the server with --server", "port in %s: %v", file.Path(), err)
		}
		port := effective.Port()
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", Refuse("name the server with --server", "port in %s: not a number from 1 to 65535", file.Path())
		}
		return "http://127.0.0.1:" + port, nil
	}
	return "", hint.Add(ErrNoServer, "name each replica: --server http://127.0.0.1:5001")
}
