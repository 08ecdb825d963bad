package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// What a person can do about an error, and which rotations are open elsewhere.

// end is what a rotation ends with that had an effect.
func (r *run) end(state, cause error) *endError {
	again, help := "blnkctl rotate"+r.env.Named, hint.Of(cause)
	if errors.Is(state, ErrUnrecorded) {
		cause = fmt.Errorf("the key is live and proved, but that could not be recorded: %w", cause)
	}
	e := &endError{error: hint.As(state, "%w", cmp.Or(cause, state)), details: r.stuck}
	if r.why != nil {
		e.advice = append(e.advice, r.why.Error())
		help = hint.Of(r.why)
	}
	switch {
	case errors.Is(state, ErrUndone):
		if _, command := errors.AsType[printer](cause); command && help == "" {
			help = "when that command works, run this again"
		}
		e.help = help
		return e
	case help != "":
		e.advice = append(e.advice, help)
	}
	if r.rec == nil { // the journal cannot be read
		e.help = "when the cause is mended: " + again
		return e
	}
	if why := r.rec.noUndo(); why != "" && r.rec.Row != rowFinish {
		e.advice = append(e.advice, "there is no way back: "+why)
	}
	e.advice = append(e.advice, "the journal of "+r.rec.Rotation+" is kept in "+r.State.Path())
	e.help = "when the cause is mended: " + r.rec.open().Ways(r.env.Named)
	return e
}

// situation adds to an end which key is where, and the ways out that are not in its hint.
func (r *run) situation(ctx context.Context, e *endError) {
	if r.rec == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	e.details = append(slices.Clone(e.details), r.change().Holds(ctx)...)
	servers := r.report.Servers
	if len(servers) == 0 {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		g := r.rec.goal()
		verdicts, _ := proof.Each(r.Servers, func(_ int, s *proof.Server) (proof.Verdict, error) {
			return r.heard(ctx, func(ctx context.Context) (proof.Verdict, error) { return g.prove(ctx, s) })
		})
		servers = r.states(verdicts)
	}
	called := events[r.rec.Event]
	says := map[string]string{
		"new": "runs with the " + called.next + " key, " + r.rec.next().Name(), "old": "runs with the " + called.other + " key, " + r.rec.live().Name(),
		"mixed": "takes either key, from one connection to the next", "open": "lets any key in", "other": "takes neither of the two keys",
	}
	for _, s := range servers {
		e.details = append(e.details, s.URL+" "+cmp.Or(says[s.Live], "does not answer"))
	}
	if r.rec.Row == rowFinish {
		return
	}
	e.advice = append(e.advice, "where --restart, --server or --timeout was wrong, give the right one with that command; "+
		"where a person has put one key everywhere: blnkctl rotate --abandon"+r.env.Named)
}

// advised adds to an error before the first effect what helps.
func (r *run) advised(ctx context.Context, err error) error {
	if help, _, down := strings.Cut(hint.Of(err), "; or have the restart start it"); down && r.in.Event == Sync {
		return hint.Add(err, "%s", help) // there is no --server-down
	}
	switch {
	case r.env.Why != nil && (errors.Is(err, ErrNotLive) || errors.Is(err, ErrOpen)):
		if why := r.env.Why(ctx); why != nil {
			return hint.Add(hint.Detail(err, why.Error()), "%s", hint.Of(why))
		}
	case hint.Of(err) != "" && !errors.Is(err, store.ErrNotFound):
	case errors.Is(err, store.ErrConflict):
		return hint.Add(err, "nothing was changed here; find out who else writes it, and run this again")
	case errors.Is(err, store.ErrDrift):
		return hint.Add(err, "ask the servers which one is live: blnkctl verify%s%s; this copies the first one's to the others: blnkctl sync%s",
			r.env.Stores, hint.Flags("--server", r.Spec.Servers), r.Spec.Args())
	case errors.Is(err, store.ErrNotFound):
		instead, sure := "", ""
		if r.env.Instead != nil {
			instead = r.env.Instead(ctx)
		}
		if hint.Of(err) != "" { // there is no such file
			sure = "where the path is right, "
		}
		// Where another store holds a key, that is the one to copy: a new one would lock
		// out whoever holds it.
		for _, s := range r.Set {
			if key, _, failed := s.Get(ctx); failed == nil && !key.IsZero() && instead == "" {
				instead = sure + "copy the key there: blnkctl sync --from " + hint.Quote(s.String()) + r.Spec.Args()
			}
		}
		return hint.Add(err, "%s", cmp.Or(instead, hint.Of(err), "make one: blnkctl keygen"+r.env.Stores))
	}
	return err
}

// unasked is the error for a server that proves nothing before the first effect.
func (r *run) unasked(s *proof.Server, reason error) error {
	help, down := hint.Of(reason), "" // --server-down helps where the server is down, and nothing else is known to be wrong
	switch {
	case help != "":
	case errors.Is(reason, syscall.ECONNREFUSED):
		help, down = "start the server first", "; where it is stopped on purpose, add --server-down"
	default:
		help, down = "is --server right?", " --server-down rotates without asking beforehand"
	}
	switch r.in.Event {
	case Sync: // it has to know which key is live
		down = ""
	case Init: // and it whether anybody is let in
		down = "; or leave --restart away: then only the files are written"
	}
	return hint.Add(fmt.Errorf("%w: %w", ErrSilent, reason), "%s", help+down)
}

// A printer is the error of a command, with the end of what it printed.
type printer interface {
	error
	Tail() string
}

// keepOutput remembers what a command printed that failed: its error names only how
// it ended. An undo often fails with the same words.
func (r *run) keepOutput(err error) {
	if p, ok := errors.AsType[printer](err); ok && p.Tail() != "" && !slices.Contains(r.report.Outputs, p.Tail()) {
		r.report.Outputs = append(r.report.Outputs, p.Tail())
	}
}

// Load reads the journal of a target, without its lock; nil where no rotation is
// open. A damaged one, or one of a version that this program does not know, is
// ErrJournal, and says which keys the stores of set hold. named is as Env has it.
func Load(ctx context.Context, s target.State, set store.Set, named string) (*Open, error) {
	rec, err := load(s, named)
	if rec != nil {
		o := rec.open()
		o.AtWork = s.Holder()
		return o, nil
	}
	if errors.Is(err, ErrJournal) {
		err = hint.Detail(err, (&store.Change{Set: set}).Holds(ctx)...)
	}
	return nil, err
}

// OpenOf is the open rotation that one of the stores is part of; nil where none is
// known. ErrJournal where one of them has a journal that cannot be read.
func OpenOf(ctx context.Context, dir *state.Dir, set store.Set) (*Open, error) {
	for _, name := range set.Names() {
		if o, err := Load(ctx, dir.Target(name), set, hint.Flags("--store", []string{name})); o != nil || err != nil {
			return o, err
		}
	}
	all, _ := Elsewhere(dir, nil) // a journal that cannot be read is its own target's to tell
	for _, o := range all {
		if slices.ContainsFunc(set.Names(), func(ref string) bool { return slices.Contains(o.Target.Stores, ref) }) {
			return o, nil
		}
	}
	return nil, nil
}

func load(s target.State, named string) (rec *record, err error) {
	data, err := s.LoadJournal()
	switch {
	case errors.Is(err, state.ErrDamaged) || errors.Is(err, state.ErrOtherVersion):
		err = fmt.Errorf("%w: %w", ErrJournal, err)
	case err != nil:
		return nil, err
	default:
		if rec, err = parseRecord(data); err != nil {
			err = fmt.Errorf("in %s: %w", s.Path(), err)
		}
	}
	help := "after a person repaired things: blnkctl rotate --abandon" + named
	if errors.Is(err, state.ErrOtherVersion) {
		help = "finish it with the blnkctl that began it; or, " + help
	}
	return rec, hint.Add(err, "%s", help)
}

// Lock keeps away other rotations of the target, and everybody who works on the same
// files whatever state folder they have. existing: no lock file is made.
func Lock(ctx context.Context, t *state.Target, set store.Set, wait time.Duration, existing bool) (unlock func(), err error) {
	take := t.Lock
	if existing {
		take = t.LockExisting
	}
	own, err := take(ctx, wait)
	if err == nil {
		var places func()
		if places, err = set.Lock(ctx, wait); err == nil {
			return func() { places(); own() }, nil
		}
		own()
	}
	if errors.Is(err, flock.ErrHeld) {
		err = hint.Add(err, "--lock-timeout 5m waits that long for it")
	}
	return nil, err
}

// Elsewhere are the open rotations of other targets than own (nil for none). A
// journal that cannot be read is its own target's to tell.
func Elsewhere(dir *state.Dir, own *state.Target) (all []*Open, err error) {
	targets, err := dir.OpenTargets()
	for _, t := range targets {
		if own != nil && t.Path() == own.Path() {
			continue
		}
		if open, err := Load(context.Background(), t, nil, ""); err == nil && open != nil {
			all = append(all, open)
		}
	}
	return all, err
}

// RefuseOtherEnd refuses to say that there is nothing to end of a target that nobody
// named, where a rotation of another one is open.
func RefuseOtherEnd(dir *state.Dir, own *state.Target, first store.Store, abandon bool) error {
	others, err := Elsewhere(dir, own)
	if err != nil || len(others) == 0 {
		return err
	}
	o, flag := others[0], "--abort"
	if abandon {
		flag = "--abandon"
	}
	return target.Refuse("name its first store: blnkctl rotate "+flag+hint.Flags("--store", o.Target.Stores[:1]),
		"no rotation of %s is open; one of %s is: %s, %s", first, o.Target.Stores[0], o.Rotation, o.Begun())
}

// ErrOverlap: a place belongs to the open rotation of another target.
var ErrOverlap = errors.New("part of an open rotation")

func (o *Open) overlaps(s store.Store, first string) error {
	return hint.Add(fmt.Errorf("%s is %w: %s, %s, of %s", s, ErrOverlap, o.Rotation, o.Begun(), o.Target.Stores[0]), "%s%s", first, o.Help())
}

// RefuseOverlap is ErrOverlap where a store belongs to an open rotation of another
// target than own: of two journals, one would end with a key that the other knows
// nothing of. A target is named after its first store as it is spelled, and a place
// can be named in other ways, or second: open tells by the place, where it can. The new
// key of such a rotation tells, too: its file was moved, or copied.
func RefuseOverlap(ctx context.Context, dir *state.Dir, own *state.Target, set store.Set, spec target.Spec, open target.Openers) error {
	if own == nil { // one of these may name a target
		for _, name := range set.Names() {
			if _, err := dir.Target(name).LoadJournal(); err != nil {
				return fmt.Errorf("%w: %w", ErrJournal, err)
			}
		}
	}
	others, err := Elsewhere(dir, own)
	for _, o := range others {
		for _, name := range o.Target.Stores {
			id := name
			if s, _, err := open.Store(name, spec); err == nil && s != nil {
				id = store.Identity(s)
			}
			for _, s := range set {
				if store.Identity(s) == id || s.String() == name {
					return o.overlaps(s, "")
				}
			}
		}
		for _, s := range set {
			if key, _, failed := s.Get(ctx); failed == nil && o.Event != Sync && key.Equal(o.Keys[1]) && !key.Equal(o.Keys[0]) {
				return o.overlaps(s, "where it was moved from there, put a link there that leads to it; then: ")
			}
		}
	}
	return err
}
