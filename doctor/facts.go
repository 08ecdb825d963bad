package doctor

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/blnkctl/blnkctl/accesslog"
	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/leak"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/restart/docker"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// Sources are what the facts are gathered from.
type Sources struct {
	Spec target.Spec // with absolute references
	Open target.Openers
	// Dir is where blnkctl was started: the folder of the project; "" where only what the
	// Spec names counts.
	Dir string
	// ConfigFile is the blnkctl.yaml that counts, "" where there is none.
	ConfigFile string
	// Policy and Notices are those of the target in blnkctl.yaml.
	Policy  policy.Policy
	Notices []config.Notice
	// State is the private folder; nil where StateErr says why it cannot be read.
	State    *state.Dir
	StateErr error
	// Staged: of git, only what the next commit brings, and no process is asked for.
	Staged bool
	// VerifyFound: servers are asked whether a key that was found somewhere is alive.
	VerifyFound bool
	// Rotations are those that are open.
	Rotations []Rotation
	Flags     string // those that another run needs, too
	Named     string // the name of the target; "" for none
	Now       func() time.Time
	Env       []string // of this process, for the tools that are asked
	UID       int
	// Agreeing is that of proof.Verify for Live; 0 is proof.Agreeing.
	Agreeing int
	// Owners are those whose scoped keys are looked at: Blnk lists them by owner only.
	Owners []string
}

// A Rotation is an open one.
type Rotation struct {
	ID, Store, Where, Ways string
	Keys                   []secret.Key // the one before, the new one, those of stores
}

// Facts are what the rules look at. Each is gathered when the first rule asks for it,
// and once. Rules are run one after the other.
type Facts struct {
	Sources
	stores fact[[]Store]
	target fact[*target.Target]
	// unopened is of target: which drivers and servers, were there any, it lacks.
	unopened  error
	view      fact[reach.View]
	live      fact[proof.Result]
	schedules fact[[]Schedule]
	running   fact[[]Running]
	processes fact[[]restart.Process]

	containers fact[[]Container]
	docked     fact[[]*docker.Container]
	scoped     fact[Scoped]

	searched fact[searched]
	files    fact[[]keyFile]
	matcher  fact[*leak.Matcher]
	history  fact[state.History]
	access   fact[*accesslog.Log]
}

// A fact is gathered once.
type fact[T any] struct {
	once  sync.Once
	value T
	err   error
}

func (f *fact[T]) get(gather func() (T, error)) (T, error) {
	f.once.Do(func() { f.value, f.err = gather() })
	return f.value, f.err
}

// A Store is a place of the key. Err says why it cannot be read, Key is zero then, and
// where it holds none.
type Store struct {
	Ref    string
	Path   string // of the file; "" where it is none
	Key    secret.Key
	Err    error
	Opened store.Store // nil where it could not be opened, or is a write-only copy
}

// ErrWriteOnly is Store.Err of a copy that cannot be read.
var ErrWriteOnly = errors.New("it can only be written")

// Stores are the places that were named, each whether it can be read or not.
func (f *Facts) Stores(ctx context.Context) []Store {
	all, _ := f.stores.get(func() (all []Store, err error) {
		for _, ref := range f.Spec.Stores {
			one := Store{Ref: ref}
			opened, writeOnly, err := f.Open.Store(ref, f.Spec)
			switch {
			case err != nil:
				one.Err = err
			case writeOnly != nil:
				one.Ref, one.Err = writeOnly.String(), ErrWriteOnly
			default:
				one.Opened, one.Ref = opened, opened.String()
				if file, ok := opened.(interface{ Path() string }); ok {
					one.Path = file.Path()
				}
				if f.Staged && one.Path == "" {
					one.Err = errors.New("no file; a commit waits for no other place")
				} else if one.Key, _, err = opened.Get(ctx); err != nil && !errors.Is(err, store.ErrNotFound) {
					one.Err = err
				}
			}
			all = append(all, one)
		}
		return all, nil
	})
	return all
}

// Keys are the different keys that the stores hold.
func (f *Facts) Keys(ctx context.Context) (keys []secret.Key) {
	for _, s := range f.Stores(ctx) {
		if !s.Key.IsZero() && !slices.ContainsFunc(keys, s.Key.Equal) {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// Target is what was named, opened: readable stores, drivers, servers. The error says
// which of them cannot be; the others are there all the same.
func (f *Facts) Target(ctx context.Context) (*target.Target, error) {
	return f.target.get(func() (*target.Target, error) {
		t := &target.Target{Spec: f.Spec}
		for _, s := range f.Stores(ctx) {
			if s.Opened != nil {
				t.Set = append(t.Set, s.Opened)
			}
		}
		var failed error
		for _, ref := range f.Spec.Restart {
			d, err := f.Open.Restart(ref, f.Spec)
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			t.Drivers = append(t.Drivers, d)
		}
		err := t.Locate(ctx, f.Open, nil)
		if f.unopened = failed; !errors.Is(err, target.ErrNoServer) {
			f.unopened = errors.Join(failed, err)
		}
		return t, errors.Join(failed, err)
	})
}

// View is what drivers and ports tell of the processes; the error says of which they do
// not, but not that there is no server.
func (f *Facts) View(ctx context.Context) (reach.View, error) {
	return f.view.get(func() (reach.View, error) {
		t, _ := f.Target(ctx)
		var drivers []restart.Driver
		for _, d := range t.Drivers {
			drivers = append(drivers, d.Restarter)
		}
		var servers []*probe.Server
		for _, s := range t.Servers {
			if p, ok := s.Asker.(*probe.Server); ok {
				servers = append(servers, p)
			}
		}
		v, failed := reach.Observe(ctx, drivers, servers)
		v.Listening(servers) // also where a driver tells of the server
		return v, errors.Join(f.unopened, failed)
	})
}

// Live is what every server does with each of Keys and with random ones.
func (f *Facts) Live(ctx context.Context) (proof.Result, error) {
	return f.live.get(func() (proof.Result, error) {
		t, err := f.Target(ctx)
		if len(t.Servers) == 0 {
			return proof.Result{}, errors.Join(errors.New("no server is known"), err)
		}
		var q proof.Questions
		for _, s := range f.Stores(ctx) {
			if blnk.Sendable(s.Key) && !s.Key.IsZero() {
				q.Add(s.Key, s.Ref)
			}
		}
		return proof.Verify(ctx, t.Servers, q, proof.Accepted, cmp.Or(f.Agreeing, proof.Agreeing)), nil
	})
}

// A Running is a configuration that is in force, or would be at the next start.
type Running struct {
	// Place is the process ("unit blnk.service", "blnk start in /srv/blnk"), or the path
	// of a blnk.json that no process seen reads. It outlives a restart.
	Place   string
	Process *restart.Process // nil for a file alone
	Path    string           // of its blnk.json; "" where not known, or there is none
	Text    []byte           // of it; nil where not known. It holds keys
	// Effective is what comes of Text and the environment; nil where that may not be read,
	// or Err says why not. With Err it may be but a part.
	Effective blnk.Effective
	Err       error
}

// Configurations are those of every Blnk process that is seen, and of each blnk.json
// that is a store, or stands in Dir, and is read by none of them.
func (f *Facts) Configurations(ctx context.Context) []Running {
	all, _ := f.running.get(func() (all []Running, err error) {
		paths, read := f.configPaths(ctx), map[string]bool{}
		for _, p := range f.Processes(ctx) {
			one := Running{Place: p.Place(), Process: &p, Path: p.Config}
			var unread, failed error
			if one.Text, unread = readConfig(p.Config); errors.Is(unread, fs.ErrNotExist) {
				unread = nil
			}
			if p.Env != nil {
				one.Effective, failed = blnk.Resolve(one.Text, p.Env)
			}
			one.Err = cmp.Or(unread, failed)
			read[p.Config] = true
			all = append(all, one)
		}
		for _, path := range paths {
			text, err := readConfig(path)
			if read[path] || errors.Is(err, fs.ErrNotExist) {
				continue
			}
			read[path] = true
			one := Running{Place: path, Path: path, Text: text, Err: err}
			if err == nil {
				one.Effective, one.Err = blnk.Resolve(text, nil)
			}
			all = append(all, one)
		}
		return all, nil
	})
	return all
}

// configPaths are the blnk.json that this is about, whether they are there or not.
func (f *Facts) configPaths(ctx context.Context) []string {
	var paths []string
	if f.Dir != "" {
		paths = []string{filepath.Join(f.Dir, blnk.FileName)}
	}
	for _, s := range f.Stores(ctx) {
		if _, ok := s.Opened.(interface {
			Config(ctx context.Context) ([]byte, error)
		}); ok && !slices.Contains(paths, s.Path) {
			paths = append(paths, s.Path)
		}
	}
	return paths
}

// Processes are the Blnk processes that are seen, each once: those of the drivers, those
// at the ports, and those of this host that have to do with the same Blnk (ours).
func (f *Facts) Processes(ctx context.Context) []restart.Process {
	all, _ := f.processes.get(func() ([]restart.Process, error) { return f.look(ctx), nil })
	return all
}

func (f *Facts) look(ctx context.Context) (all []restart.Process) {
	if f.Staged {
		return nil
	}
	add := func(p restart.Process) {
		if p.PID == 0 || !slices.ContainsFunc(all, func(o restart.Process) bool { return o.PID == p.PID }) {
			all = append(all, p)
		}
	}
	v, _ := f.View(ctx)
	for _, p := range v.Processes {
		if (p.Server || p.Workers || p.Config != "") && (p.Restarts || f.ours(ctx, p)) {
			add(p)
		}
	}
	for _, p := range reach.Here() {
		if f.ours(ctx, p) {
			add(p)
		}
	}
	return all
}

// ours says that a process nobody named belongs to this Blnk, and not to another one on
// this host: it reads one of its blnk.json, has one of its keys or its database, or is a
// service of the same Compose project.
func (f *Facts) ours(ctx context.Context, p restart.Process) bool {
	if strings.HasPrefix(p.Name, "service ") || slices.ContainsFunc(f.configPaths(ctx), func(path string) bool { return textfile.Same(path, p.Config) }) {
		return true
	}
	e, err := blnk.Resolve(p.ReadConfig(), p.Env)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(f.Keys(ctx), e.SecretKey().Equal) || slices.ContainsFunc(f.configPaths(ctx), func(path string) bool {
		text, _ := readConfig(path)
		here, err := blnk.Resolve(text, nil)
		database := here.Value(blnk.Database).Text
		at, ok := blnk.PostgresAddress(database, nil)
		// A bare name ("postgres") is that of a container, of this project or another.
		return err == nil && ok && (isHere(at.Host) || strings.Contains(at.Host, ".")) &&
			p.Config != "" && !p.Isolated && e.Value(blnk.Database).Text.Equal(database)
	})
}

// Docked are all containers of the engine that the docker command reaches; ErrNothing
// where there is no such command.
func (f *Facts) Docked(ctx context.Context) ([]*docker.Container, error) {
	return f.docked.get(func() ([]*docker.Container, error) {
		if f.engine().Options.Command(0, "docker").Check() != nil {
			return nil, ErrNothing
		}
		return f.engine().List(ctx, "--all")
	})
}

// readConfig reads a blnk.json; what has no text, is an error. "" is no path, and none.
func readConfig(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := textfile.Glance(path, textfile.MaxSize)
	if err == nil && text == nil {
		err = errors.New(path + " is no file, or empty, or much too long")
	}
	return text, err
}
