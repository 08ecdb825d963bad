package rotate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
)

// live says a verdict for a Result, seen from a want that is the new key.
func live(v proof.Verdict, undoing bool) string {
	switch v {
	case proof.Live, proof.OtherScoped, proof.OtherLive:
		if undoing == (v == proof.OtherLive) {
			return "new"
		}
		return "old"
	case proof.Mixed:
		return "mixed"
	case proof.Rejected:
		return "other"
	case proof.Open:
		return "open"
	default:
		return "down"
	}
}

// await asks all servers until every one of them proves want, one of them
// proves that waiting is useless (elsewhere, open), or the time is up. It tells
// the last verdict of each. The error says which server failed, and how.
func (w *walk) await(ctx context.Context, want, other secret.Key, within time.Duration) ([]proof.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	verdicts, reasons := make([]proof.Verdict, len(w.Servers)), make([]error, len(w.Servers))
	deadline, _ := ctx.Deadline()
	for pause := (proof.Pause{}); ; {
		err := w.round(ctx, want, other, verdicts, reasons)
		if err == nil || w.hopeless(err) || !pause.Wait(ctx, deadline) {
			return verdicts, err
		}
	}
}

// round asks every server that is not proved yet, once.
func (w *walk) round(ctx context.Context, want, other secret.Key, verdicts []proof.Verdict, reasons []error) error {
	var first error
	for i, s := range w.Servers {
		if verdicts[i].Proves() {
			continue
		}
		v, reason := s.Judge(ctx, want, other)
		if v == proof.OtherLive && verdicts[i] == proof.Mixed {
			v = proof.Mixed // which of several servers is met first is chance
		}
		// What a server said before it fell silent at the deadline tells more
		// than the deadline.
		if v != proof.Unknown || ctx.Err() == nil {
			w.noteVerdict(s, verdicts[i], v)
			verdicts[i], reasons[i] = v, reason
		}
		if v.Proves() {
			continue
		}
		err := w.notProved(s, verdicts[i], reasons[i])
		if w.hopeless(err) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// hopeless says whether waiting cannot help. A server that is still the one from
// before takes neither key where its own was lost.
func (w *walk) hopeless(err error) bool {
	return errors.Is(err, ErrOpen) || errors.Is(err, ErrElsewhere) && !(w.rec.ServerDown && !w.undoing())
}

// notProved phrases what a server lacks.
func (w *walk) notProved(s *proof.Server, v proof.Verdict, reason error) error {
	switch v {
	case proof.Open:
		return fmt.Errorf("%s lets a random key in: %w", s, ErrOpen)
	case proof.Rejected:
		return fmt.Errorf("%s refuses both the %s key and the %s one: %w", s, w.names(true), w.names(false), ErrElsewhere)
	case proof.OtherLive:
		return fmt.Errorf("%s still takes the %s key and refuses the %s one: %w", s, w.names(false), w.names(true), ErrStale)
	case proof.Mixed:
		return fmt.Errorf("%s answers differently from one connection to the next: several servers with different keys stand behind it", s)
	default:
		if reason == nil {
			return fmt.Errorf("%s: %w in time", s, ErrSilent)
		}
		return fmt.Errorf("%w: %w", ErrSilent, reason)
	}
}

// names calls the wanted key, or the other one, by its name.
func (w *walk) names(wanted bool) string {
	if wanted == (w.rec != nil && w.rec.Direction == undo) {
		return "old"
	}
	return "new"
}

// noteVerdict tells a change that a person who waits would like to know.
func (w *walk) noteVerdict(s *proof.Server, before, now proof.Verdict) {
	if before == now || now == proof.Unknown {
		return
	}
	text := map[proof.Verdict]string{
		proof.Mixed:     "answers differently from one connection to the next",
		proof.OtherLive: "still takes the " + w.names(false) + " key",
	}[now]
	if text != "" {
		w.note("%s %s", s, text)
	}
}
