package rotate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// The way back: the key that a rotation replaced is kept in the state folder for a
// while, and a secret manager may keep it for longer.

// ErrNoPrevious: there is no key to go back to. Errors that wrap it say why.
var ErrNoPrevious = errors.New("nothing to go back to")

// heldBack is how long a scheduled rotation waits after a person went back: until the
// next night, for whatever was wrong with the new key is to be found first.
const heldBack = 24 * time.Hour

// keepPrevious keeps the key that was replaced, or, where it is not to be kept, none: one
// from before would not be the one before any more. It may be repeated.
func (r *run) keepPrevious(ctx context.Context) error {
	old, next, now := r.rec.live(), r.rec.next(), r.env.Now().UTC()
	history, err := r.State.LoadHistory()
	kept, _ := r.State.LoadPrevious() // one that cannot be read is replaced
	switch {
	case r.rec.Compromised:
		return r.keepNone()
	case err != nil:
		return err
	case old.Equal(next), r.rec.Event == Sync && history.Rotation != r.rec.Rotation && history.Of(next):
		return nil // no key was replaced; a server was behind
	case r.rec.Event == Rollback:
		r.report.back = "so that cron does not do the same again, rotate --if-due and --if-older-than wait until " + screen.At(now.Add(heldBack))
		return r.keepNone()
	case kept.Key.Equal(old) && state.Marks(kept.Next, next): // by a run that was killed
		r.offerUntil(kept)
		return nil
	case r.rec.Event != Rotate && r.rec.Event != Sync || r.rec.Keep <= 0 || !blnk.Sendable(old):
		if err = r.keepNone(); r.rec.Event != Init {
			r.offerBack(ctx, next) // a store may keep it
		}
		return err
	}
	p := state.Previous{Key: old, KeptAt: now, Until: now.Add(r.rec.Keep), Next: state.Mark(next)}
	if history.Of(old) {
		p.ProvedAt, p.SeenAt = history.ProvedAt, history.SeenAt
	}
	if p.Target, err = json.Marshal(r.Spec); err == nil {
		err = r.State.SavePrevious(p)
	}
	if err != nil {
		return fmt.Errorf("it could not be kept, so that it cannot come back: %w", err)
	}
	r.offerUntil(p)
	return nil
}

func (r *run) keepNone() error {
	if err := r.State.ForgetPrevious(); err != nil {
		r.report.Help = cmp.Or(r.report.Help, "when it can be removed: blnkctl retire"+r.env.Named)
		return fmt.Errorf("it may still be kept: %w", err)
	}
	return nil
}

func (r *run) offerUntil(p state.Previous) {
	r.report.back = fmt.Sprintf("until %s the previous key can come back: blnkctl rollback%s", screen.At(p.Until), r.env.Named)
}

// Retrace is spec where there is a key to go back to: what was rotated with that key, with
// what was given, by the name of its flag, in place of what it says.
func Retrace(s target.State, spec target.Spec, given func(flag string) bool) target.Spec {
	var earlier target.Spec
	p, err := s.LoadPrevious()
	if err != nil || json.Unmarshal(p.Target, &earlier) != nil || len(earlier.Stores) == 0 {
		return spec
	}
	return spec.Over(earlier, given)
}

// A Back is a key to go back to, and where it is kept.
type Back struct {
	state.Previous        // of one that a store keeps only Key and SeenAt are known
	From           string // the store, "" for the state folder
}

// says is what a plan says of it.
func (b Back) says(now time.Time) string {
	from, age := "the state folder, until "+screen.At(b.Until), "of unknown age"
	if b.From != "" {
		from = b.From
	}
	if since := cmp.Or(b.ProvedAt, b.SeenAt); !since.IsZero() && !since.After(now) {
		age = "which is " + screen.Span(now.Sub(since)) + " old"
		if b.ProvedAt.IsZero() {
			age += " at least"
		}
	}
	return fmt.Sprintf("%s, %s, from %s", b.Key.Name(), age, from)
}

// LookBack finds the key that was in force before current, which the state of the target
// or one of its stores keeps: never one that others know, by env. It is an ErrNoPrevious
// where there is none.
func LookBack(ctx context.Context, t *target.Target, env Env, current secret.Key) (Back, error) {
	return (&run{Target: t, env: env}).lookBack(ctx, current)
}

func (r *run) lookBack(ctx context.Context, current secret.Key) (b Back, err error) {
	history, err := r.State.LoadHistory()
	if err != nil {
		return b, err
	}
	why := "no key is kept longer than keep_previous says (24h, if nothing else), and none with --compromised"
	if ended := cmp.Or(history.RolledBackAt, history.RetiredAt); !ended.IsZero() && history.Of(current) {
		how := map[bool]string{true: "previous key was retired", false: "last rotation was rolled back"}[history.RolledBackAt.IsZero()]
		return b, r.noPrevious("the %s at %s", how, screen.At(ended))
	}
	b.Previous, err = r.State.LoadPrevious()
	switch {
	case err != nil && !errors.Is(err, state.ErrDamaged) && !errors.Is(err, state.ErrOtherVersion):
		return b, err
	case err != nil:
		why = err.Error()
	case b.IsZero() || b.Ended(r.env.Now()):
	case b.Key.Equal(current) || !state.Marks(b.Next, current):
		why = "the key that is kept is not the one before " + current.Name()
	default:
		return b, r.unknown(b.Key)
	}
	for _, s := range r.Set {
		k, ok := s.(store.Keeper)
		if !ok {
			continue
		}
		b = Back{From: s.String()}
		b.Key, b.SeenAt, err = k.Previous(ctx)
		switch {
		case err == nil:
			return b, r.unknown(b.Key)
		case !errors.Is(err, store.ErrNotFound):
			return b, err
		}
		why += "; " + err.Error()
	}
	return Back{}, r.noPrevious("%s", why)
}

func (r *run) noPrevious(format string, args ...any) error {
	named := r.env.Named // a target of blnkctl.yaml has all that it takes
	if named == "" || strings.HasPrefix(named, " --") {
		named = r.env.Stores + cmp.Or(hint.Flags("--restart", r.Spec.Restart), " --restart REF")
	}
	return hint.Add(fmt.Errorf("%w: "+format, append([]any{ErrNoPrevious}, args...)...), "a new key instead: blnkctl rotate%s", named)
}

// unknown is an error where others know the key.
func (r *run) unknown(key secret.Key) error {
	err := r.env.refuse(key)
	if errors.Is(err, ErrCompromised) {
		err = r.noPrevious("the previous key, %s, is known to be compromised", key.Name())
	}
	return err
}

// findPrevious prepares the way back to the key that was in force before.
func (r *run) findPrevious(ctx context.Context, p *Plan) error {
	if err := r.findCurrent(ctx, p); err != nil {
		return err
	}
	var err error
	if p.back, err = r.lookBack(ctx, p.Current); err != nil {
		return err
	}
	if !r.proves() {
		return target.Refuse("name what restarts the server and its workers: blnkctl rollback"+r.env.Stores+" --restart REF", "--restart is required")
	}
	p.next, p.Due = p.back.Key, Due{Yes: true, Why: p.back.says(r.env.Now())}
	if r.in.Weak != nil && r.in.Weak(p.next) != "" { // also for who sees no plan
		p.Cautions = append(p.Cautions, "the key that comes back is weak: it "+r.in.Weak(p.next))
	}
	return nil
}

// offerBack says that there is a way back from current, where there is one.
func (r *run) offerBack(ctx context.Context, current secret.Key) {
	if b, err := r.lookBack(ctx, current); err == nil {
		r.report.back = "blnkctl rollback" + r.env.Named + " brings the previous key back: " + b.says(r.env.Now())
	}
}
