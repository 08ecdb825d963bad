package rotate

import (
	"context"
	"slices"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A Copy is a place that takes the key and never gives it back (the secrets of
// a CI system, say). So it cannot be compared, is never the source of truth,
// and is written last; what goes wrong with it is said, and stops nothing.
type Copy interface {
	Write(ctx context.Context, key secret.Key) error
	String() string
}

// writeCopies gives every copy the key of this direction's end. A run that
// enters the row again writes again: there is nothing to look at.
func (w *walk) writeCopies(ctx context.Context, key secret.Key) {
	w.rec.Behind = w.writeEach(ctx, w.Copies, key)
}

// writeEach returns the references of those that could not be written.
func (w *walk) writeEach(ctx context.Context, copies []Copy, key secret.Key) (behind []string) {
	for _, c := range copies {
		if err := c.Write(ctx, key); err != nil {
			w.around("the copy in %s could not be written: %v", c, err)
			behind = append(behind, c.String())
		}
	}
	w.res.Behind = behind
	return behind
}

// behind is what there is to remember of copies that were not written: those of
// this rotation as it found them, and what was known of others.
func (w *walk) behind(before, now []string) (all []string) {
	for _, ref := range before {
		if !slices.Contains(w.Refs.Copies, ref) {
			all = append(all, ref)
		}
	}
	return append(all, now...)
}

// copiesBehind are the copies that an earlier run could not write.
func (w *walk) copiesBehind() (late []Copy, err error) {
	facts, err := w.Memory.LoadFacts()
	for _, c := range w.Copies {
		if slices.Contains(facts.Behind, c.String()) {
			late = append(late, c)
		}
	}
	return late, err
}

// catchUp writes the copies that are late, where nothing else differs: there is
// nothing to restart or to prove, and nothing to undo.
func (w *walk) catchUp(ctx context.Context, d difference) error {
	if w.Confirm != nil {
		if err := w.Confirm(ctx, d.plan); err != nil {
			return w.refuse(ctx, err)
		}
	}
	w.rec = w.syncRecord(d)
	w.res.Rotation, w.res.Old, w.res.New = w.rec.ID, d.source.Fingerprint(), d.source.Fingerprint()
	w.rec.Behind = w.writeEach(ctx, d.late, d.source)
	if err := w.remember(); err != nil {
		w.around("which copies are behind could not be recorded: %v", err)
	}
	w.res.Outcome = Synced
	w.record(ctx, Synced, nil)
	return nil
}

// purge destroys what the stores keep of a compromised key. It comes after the
// proof that the key is dead, and before the journal is forgotten, so that a
// crash in between is followed by another try.
func (w *walk) purge(ctx context.Context) {
	if !w.rec.Compromised || w.undoing() {
		return
	}
	for _, s := range w.Stores {
		p, ok := s.(store.Purger)
		if !ok {
			continue
		}
		if err := p.Purge(ctx, w.rec.oldIn(s.String())); err != nil {
			w.around("old versions of %s still hold the compromised key: %v", s, err)
		}
	}
}

// checkPurge asks beforehand whether the compromised key can be destroyed.
func (w *walk) checkPurge(ctx context.Context) error {
	for _, s := range w.Stores {
		if p, ok := s.(store.Purger); ok && w.Options.Compromised {
			if err := p.CheckPurge(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// around warns of something that failed and does not undo a proved rotation.
func (w *walk) around(format string, args ...any) {
	w.res.Around = w.res.Around || !w.undoing()
	w.warn(format, args...)
}

// remarks asks the stores what they have to say in the plan.
func (w *walk) remarks(ctx context.Context) (all []string, err error) {
	for _, s := range w.Stores {
		if r, ok := s.(store.Remarker); ok {
			said, err := r.Remarks(ctx)
			if err != nil {
				return nil, err
			}
			all = append(all, said...)
		}
	}
	return all, nil
}
