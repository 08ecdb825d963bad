package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// A world is everything outside of the engine: two stores, a server and a
// worker that load the key of the second store when they start, a journal, the
// history and the audit log. Everything in it survives a crash of the engine.
// Each touch of it can meet a fault.
type world struct {
	keys     [2]secret.Key
	secure   secret.Key // the setting of a world that is to be secured, else without effect
	secures  bool
	server   blnkProcess
	worker   blnkProcess
	open     bool // secure mode is off
	scoped   secret.Key
	journal  []byte
	history  state.History
	previous state.Previous
	kept     secret.Key // by previous, in the beginning
	audit    []audit.Record

	mangle  func(before, after []byte) []byte // of a saved journal
	touches int
	faults  []fault // at most two, in order
	met     []fault
	trace   []string

	// What the invariants need to know of the past.
	turned    bool // a way back has begun
	restarted bool // the driver succeeded on the way forward, and the row test was begun
	broken    []string
	made      int
}

// A blnkProcess holds the key that it loaded when it started.
type blnkProcess struct {
	key  secret.Key
	dead bool
	lax  bool // it was started with secure mode off
}

// started is a process that was started now.
func (w *world) started() blnkProcess {
	return blnkProcess{key: w.keys[1], lax: w.secures && w.secure.IsZero()}
}

// A fault happens at one touch, counted from the beginning of the world.
type fault struct {
	at   int
	kind faultKind
}

type faultKind int

const (
	errBefore faultKind = iota // an error; nothing has happened
	errAfter                   // an error; it has happened all the same
	crashBefore
	crashAfter
	serverRestarts // on its own, before the touch
	workerRestarts
	serverDies // with the touch: silent until it is restarted
	kinds
)

func (k faultKind) String() string {
	return [...]string{"error before", "error after", "crash before", "crash after",
		"server restarts", "worker restarts", "server dies"}[k]
}

var (
	oldKey = secret.New("old-4fW8kZpQ2mX7vB1nR5tY9cL3hD6jS0gA")
	newKey = secret.New("new-9aK2jH5gF8dS1qW4eR7tY0uI3oP6zXcV")

	errFault = errors.New("injected fault")
	errNoKey = fmt.Errorf("cell: %w", store.ErrNotFound)
)

type crash struct{}

func newWorld(faults ...fault) *world {
	w := &world{faults: faults, keys: [2]secret.Key{oldKey, oldKey}}
	w.server.key, w.worker.key = oldKey, oldKey
	return w
}

// copy is another world with the same past.
func (w *world) copy() *world {
	c := *w
	c.journal, c.audit, c.met, c.trace, c.broken = slices.Clone(w.journal), slices.Clone(w.audit), slices.Clone(w.met), slices.Clone(w.trace), slices.Clone(w.broken)
	return &c
}

// touch runs a deed of the outside world, with the fault that hits it.
func (w *world) touch(name string, deed func()) error {
	w.touches++
	w.trace = append(w.trace, name)
	var hit []faultKind
	for len(w.faults) > 0 && w.faults[0].at == w.touches {
		hit = append(hit, w.faults[0].kind)
		w.met = append(w.met, w.faults[0])
		w.faults = w.faults[1:]
	}
	return w.suffer(name, hit, deed)
}

func (w *world) suffer(name string, hit []faultKind, deed func()) error {
	if slices.Contains(hit, serverRestarts) {
		w.server = w.started()
	}
	if slices.Contains(hit, workerRestarts) {
		w.worker = w.started()
	}
	for _, k := range hit {
		w.trace = append(w.trace, fmt.Sprintf("  ! %s at %s (touch %d)", k, name, w.touches))
	}
	switch {
	case slices.Contains(hit, crashBefore):
		panic(crash{})
	case slices.Contains(hit, errBefore):
		return errFault
	}
	deed()
	if slices.Contains(hit, serverDies) {
		w.server.dead = true
	}
	switch {
	case slices.Contains(hit, crashAfter):
		panic(crash{})
	case slices.Contains(hit, errAfter):
		return errFault
	}
	return nil
}

func (w *world) breach(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// A cell is one store of the world. The first is a swapper only in name: both
// compare.
type cell struct {
	*world
	i int
}

var _ store.Store = cell{}

func (c cell) String() string { return fmt.Sprintf("cell:%d", c.i) }

func (c cell) Get(ctx context.Context) (key secret.Key, at store.Version, err error) {
	if err := ctx.Err(); err != nil {
		return key, at, err
	}
	err = c.touch("get "+c.String(), func() { key = c.keys[c.i] })
	if err == nil && key.IsZero() {
		err = errNoKey
	}
	return key, store.Version(key.Reveal()), err
}

func (c cell) Put(ctx context.Context, next secret.Key, at store.Version) (v store.Version, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	conflict := false
	err = c.touch("put "+c.String(), func() {
		if conflict = c.keys[c.i].Reveal() != string(at); conflict {
			return
		}
		if next.Equal(newKey) && c.turned {
			c.breach("the new key went into %s after the way back had begun", c)
		}
		c.keys[c.i] = next
	})
	if conflict {
		return "", store.ErrConflict
	}
	return store.Version(next.Reveal()), err
}

// A flag is the setting that turns secure mode on.
type flag struct{ *world }

var _ store.Eraser = flag{}

func (f flag) String() string { return "flag:" }

func (f flag) Get(context.Context) (key secret.Key, at store.Version, err error) {
	err = f.touch("get flag", func() { key = f.secure })
	if err == nil && key.IsZero() {
		err = errNoKey
	}
	return key, store.Version(key.Reveal()), err
}

func (f flag) Put(_ context.Context, next secret.Key, at store.Version) (store.Version, error) {
	if !f.keys[0].Equal(f.keys[1]) || f.keys[0].IsZero() {
		f.breach("secure mode was turned on without a key")
	}
	return store.Version(next.Reveal()), f.touch("put flag", func() { f.secure = next })
}

func (f flag) Absence(context.Context) (string, error) { return "none", nil }

func (f flag) Erase(context.Context, store.Version, string) error {
	return f.touch("erase flag", func() { f.secure = secret.Key{} })
}

// A blank is a cell that can be empty again.
type blank struct{ cell }

var _ store.Eraser = blank{}

func (b blank) Absence(context.Context) (string, error) { return "none", nil }

func (b blank) Erase(context.Context, store.Version, string) error {
	if !b.secure.IsZero() {
		b.breach("the key went while secure mode was on")
	}
	return b.touch("erase "+b.String(), func() { b.keys[b.i] = secret.Key{} })
}

// securing makes it a world of the stock configuration: no key, secure mode off.
func securing(w *world) {
	w.secures, w.keys = true, [2]secret.Key{}
	w.server, w.worker = w.started(), w.started()
}

const aDay = 24 * time.Hour

// keeping makes it a world where the key before the last rotation is kept.
func keeping(w *world) { w.keep(thirdKey) }

// rotated makes it a world where the new key was replaced by the old one, and is kept.
func rotated(w *world) { w.keep(newKey) }

func (w *world) keep(key secret.Key) {
	now := time.Now()
	w.kept = key
	w.previous = state.Previous{Key: key, ProvedAt: now.Add(-time.Hour), KeptAt: now, Until: now.Add(aDay), Next: oldKey.Fingerprint()}
	w.history = state.History{Key: oldKey.Fingerprint(), ProvedAt: now}
}

// Restart starts the server and then the worker again; each can fail.
func (w *world) Restart(ctx context.Context) error {
	if w.restarted && !w.turned && !w.server.dead && w.server.key.Equal(newKey) && len(w.met) < 2 {
		w.breach("a restart that had succeeded was repeated without need")
	}
	if err := w.touch("restart server", func() { w.server = w.started() }); err != nil {
		return err
	}
	return w.touch("restart worker", func() { w.worker = w.started() })
}

func (w *world) String() string { return "world:" }

// Ask counts the same question asked in a row as one touch: the twentieth
// sample of a balancer is no new place for a fault.
func (w *world) Ask(ctx context.Context, key secret.Key) (answer blnk.Answer, err error) {
	if err := ctx.Err(); err != nil {
		return blnk.Nothing, err
	}
	deed := func() { answer = w.answer(key) }
	name := map[string]string{oldKey.Reveal(): "ask old", newKey.Reveal(): "ask new"}[key.Reveal()]
	if name == "" {
		name = "ask random"
	}
	if len(w.trace) > 0 && w.trace[len(w.trace)-1] == name {
		deed()
	} else if err = w.touch(name, deed); err != nil {
		return blnk.Nothing, err
	}
	if answer == blnk.Nothing {
		err = errors.New("connection refused")
	}
	return answer, err
}

func (w *world) answer(key secret.Key) blnk.Answer {
	switch {
	case w.server.dead:
		return blnk.Nothing
	case w.open, w.server.lax, key.Equal(w.scoped):
		return blnk.Lesser
	case key.Equal(w.server.key):
		return blnk.Live
	default:
		return blnk.Rejected
	}
}

func (w *world) LoadJournal() (data []byte, err error) {
	err = w.touch("load journal", func() { data = w.journal })
	return data, err
}

func (w *world) SaveJournal(data []byte) error {
	return w.touch("save journal", func() {
		if w.mangle != nil {
			data = w.mangle(w.journal, data)
		}
		w.journal = data
	})
}

func (w *world) ForgetJournal() error {
	return w.touch("forget journal", func() { w.journal = nil })
}

func (w *world) LoadHistory() (f state.History, err error) {
	err = w.touch("load history", func() { f = w.history })
	return f, err
}

func (w *world) SaveHistory(f state.History) error {
	return w.touch("save history", func() { w.history = f })
}

func (w *world) LoadPrevious() (p state.Previous, err error) {
	err = w.touch("load previous", func() { p = w.previous })
	return p, err
}

func (w *world) SavePrevious(p state.Previous) error {
	return w.touch("save previous", func() { w.previous = p })
}

func (w *world) ForgetPrevious() error {
	return w.touch("forget previous", func() { w.previous = state.Previous{} })
}

func (w *world) Append(_ context.Context, r audit.Record) error {
	return w.touch("append audit", func() {
		if !slices.ContainsFunc(w.audit, func(o audit.Record) bool {
			return r.Outcome != audit.Stuck && r.Outcome != audit.Refused && r.Rotation != "" && o.Rotation == r.Rotation && o.Outcome == r.Outcome
		}) {
			w.audit = append(w.audit, r)
		}
	})
}

func (*world) Check() error   { return nil }
func (*world) Path() string   { return "the state folder" }
func (*world) Holder() string { return "" }

// listen keeps what the invariants need from the progress.
func (w *world) listen(e Progress) {
	if e.Kind == Started && e.Undo && e.Step == rowSet {
		w.turned = true
	}
	if e.Kind == Started && !e.Undo && e.Step == rowTest {
		w.restarted = true
	}
}

// A process is a rotation that can be run: what Run, Check, Abort and Abandon
// take, so that a test can change a part of it.
type process struct {
	*target.Target
	Intent
	Env
}

func (p *process) Run(ctx context.Context) (Report, error) {
	return Run(ctx, p.Target, p.Intent, p.Env)
}
func (p *process) Check(ctx context.Context) (Plan, error) {
	return Check(ctx, p.Target, p.Intent, p.Env)
}
func (p *process) Abort(ctx context.Context) (Report, error) {
	p.Intent.Abort = true
	return Run(ctx, p.Target, p.Intent, p.Env)
}
func (p *process) Abandon(ctx context.Context, confirm func(error) error) (Report, error) {
	p.Intent.Abandon = true
	if confirm != nil {
		p.Env.Forget = func(_ context.Context, why error) error { return confirm(why) }
	}
	return Run(ctx, p.Target, p.Intent, p.Env)
}

// syncing makes it a sync.
func (p *process) syncing() *process {
	p.Event, p.NewKey = Sync, nil
	return p
}

// drive makes these its only driver.
func (p *process) drive(d target.Restarter) {
	p.Drivers = []target.Driver{{Restarter: d, WorkersProved: true}}
}

// process is a new process that works on this world.
func (w *world) process(in Intent) *process {
	secures := in.Event == Init
	if in.Event != Rollback {
		in.Event, in.NewKey = Rotate, func() (secret.Key, error) { w.made++; return newKey, nil }
	}
	p := &process{
		Target: &target.Target{
			Spec: target.Spec{
				Stores: []string{"cell:0", "cell:1"}, Restart: []string{"world:"}, Servers: []string{"world:"}, Dir: "/",
				Timeout: 20 * time.Second, RestartTimeout: time.Minute,
			},
			Set:     store.Set{cell{w, 0}, cell{w, 1}},
			Servers: []*proof.Server{{Asker: w}}, WorkersProved: true, State: w,
		},
		Intent: in,
		Env: Env{
			Lock:     func(context.Context) (func(), error) { return func() {}, nil },
			Recorder: w, Now: time.Now, Progress: w.listen, Compromised: &known{}, Keys: func(...secret.Key) {}, AtWork: func() string { return "" },
			Settle: func(context.Context, time.Duration, func(string, ...any)) error { return nil },
		},
	}
	if secures {
		p.Event, p.Weak = Init, func(secret.Key) string { return "" }
		p.Values = map[string]secret.Key{"flag:": secret.New("true")}
		p.Set, p.Settings, p.Spec.Settings = store.Set{blank{cell{w, 0}}, blank{cell{w, 1}}}, store.Set{flag{w}}, []string{"flag:"}
	}
	p.drive(w)
	return p
}

// run is one process: it ends with a result or with a crash.
func (w *world) run(do func(*process) (Report, error), in Intent) (res Report, crashed bool, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case crash:
			crashed = true
		default:
			panic(p)
		}
	}()
	res, err = do(w.process(in))
	return res, false, err
}

func forwards(p *process) (Report, error) { return p.Run(context.Background()) }
func aborts(p *process) (Report, error)   { return p.Abort(context.Background()) }

// holds compares the stores with what they held before.
func (w *world) holds(before [2]secret.Key) bool {
	return w.keys[0].Equal(before[0]) && w.keys[1].Equal(before[1])
}
