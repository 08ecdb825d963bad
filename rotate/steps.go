package rotate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// set puts the new key into every store, and reads it back.
func (w *walk) set(ctx context.Context) error {
	for _, s := range w.order() {
		if ctx.Err() != nil {
			return w.interrupted(ctx)
		}
		err := w.replace(ctx, s, w.rec.oldIn(s.String()), w.rec.new())
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return w.interrupted(ctx)
		}
		if err != nil {
			return err
		}
	}
	w.writeCopies(ctx, w.rec.new())
	return nil
}

// unset puts the old key back into every store that holds the new one. A store
// that cannot be put back, or holds something else, is left and reported; the
// others go on.
func (w *walk) unset(ctx context.Context) error {
	for _, s := range w.order() {
		if err := w.replace(ctx, s, w.rec.new(), w.rec.oldIn(s.String())); err != nil {
			w.stuck = append(w.stuck, err.Error())
		}
	}
	w.writeCopies(ctx, w.rec.old())
	return nil
}

// replace puts next into a store that holds from. It looks first, so that it
// may be repeated, and afterwards, so that a write whose answer was lost still
// counts.
func (w *walk) replace(ctx context.Context, s store.Store, from, next secret.Key) error {
	key, at, err := s.Get(ctx)
	if errors.Is(err, store.ErrNotFound) && from.IsZero() {
		err = nil // where there was nothing, nothing is what to expect
	}
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", s, err)
	case key.Equal(next):
		return nil
	case next.IsZero():
		w.warn("%s held no key before, and holds %s now", s, key.Name())
		return nil
	case !key.Equal(from):
		return fmt.Errorf("%s: %w: it holds %s", s, store.ErrConflict, key.Name())
	}
	w.put = true
	_, putErr := s.Put(ctx, next, at)
	key, _, err = s.Get(ctx)
	switch {
	case err == nil && key.Equal(next):
		return nil
	case putErr != nil:
		return fmt.Errorf("write %s: %w", s, putErr)
	case err != nil:
		return fmt.Errorf("read %s back: %w", s, err)
	default:
		return fmt.Errorf("%s: %w right after the write: it holds %s", s, store.ErrConflict, key.Name())
	}
}

// restart lets the driver finish whatever signal comes: a restart cut in half
// is worse than one too many. On the way back its failure is remembered, and
// the proof decides.
func (w *walk) restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), w.Options.RestartTimeout,
		fmt.Errorf("not done within %s", w.Options.RestartTimeout))
	defer cancel()
	for _, d := range w.Restart {
		err := d.Restart(ctx)
		if err == nil {
			continue
		}
		err = fmt.Errorf("restart with '%s': %w", d, err)
		if errors.Is(err, ErrAtWork) {
			// It may start a server with either key at any time, so no proof
			// would last.
			return w.getStuck(ctx, err)
		}
		if !w.undoing() {
			return err
		}
		w.note("%v; the proof decides", err)
		w.unproved = err
	}
	return nil
}

// test proves the wanted key on every server, and that the stores still hold
// it.
func (w *walk) test(ctx context.Context) error {
	if !blnk.Sendable(w.rec.want()) {
		return fmt.Errorf("the %s key is not known, or cannot be sent: nothing to prove", w.names(true))
	}
	verdicts, err := w.await(ctx, w.rec.want(), w.rec.other(), w.Options.Timeout)
	w.noteServers(verdicts)
	if err != nil {
		if ctx.Err() != nil {
			return w.interrupted(ctx)
		}
		return err
	}
	w.warnAbout(verdicts)
	if w.undoing() {
		if len(w.stuck) > 0 {
			return errors.New("the old key is live again, but not every store holds it")
		}
		return nil
	}
	for _, s := range w.Stores {
		key, _, err := s.Get(context.WithoutCancel(ctx))
		if err != nil {
			return fmt.Errorf("read %s after the proof: %w", s, err)
		}
		if !key.Equal(w.rec.new()) {
			return fmt.Errorf("%s: %w during the restart: it holds %s", s, store.ErrConflict, key.Name())
		}
	}
	return nil
}

func (w *walk) noteServers(verdicts []proof.Verdict) {
	w.res.Servers = nil
	for i, s := range w.Servers {
		w.res.Servers = append(w.res.Servers, ServerState{
			URL: s.String(), Live: live(verdicts[i], w.undoing()),
			Sampled:   s.Sampled() && (verdicts[i].Proves()),
			OldScoped: verdicts[i] == proof.OtherScoped && !w.undoing(),
		})
	}
}

func (w *walk) warnAbout(verdicts []proof.Verdict) {
	for i, s := range w.Servers {
		switch {
		case verdicts[i] == proof.OtherScoped && !w.undoing():
			w.around("%s still lets the old key in, as a scoped API key: delete that API key", s)
		case verdicts[i] == proof.OtherScoped:
			w.warn("%s lets the discarded new key in as a scoped API key", s)
		}
		if s.Sampled() {
			w.warn("%s was sampled with %d connections: if it is a balancer, give one --server per replica", s, s.Agreeing())
		}
	}
	if w.unproved != nil {
		w.warn("workers not proved: %v", w.unproved)
	} else if !w.WorkersProved {
		w.warn("workers not proved: nothing here restarted them; one that was not restarted signs webhooks with the other key")
	}
	switch old := w.rec.old(); {
	case w.undoing() || blnk.Sendable(old):
	case old.IsZero():
		w.warn("the key that was in force before is not known: nobody asked whether it is refused now")
	default:
		w.note("the old key cannot be sent in a header, so it was not asked for")
	}
}

// oneLine makes an error fit for a list or a record: its first line, not too
// long.
func oneLine(text string) string {
	const most = 500
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
