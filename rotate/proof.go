package rotate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

// A verdict is what one server's answers, taken together, prove.
type verdict int

const (
	silent    verdict = iota // nothing yet
	mixed                    // different answers on different connections
	proved                   // the wanted key alone
	lesser                   // the wanted key; the other lives on as a scoped key
	stale                    // the other key: an old process, or no restart yet
	elsewhere                // neither: its key comes from somewhere else
	open                     // a random key gets in: secure mode is off
)

// live says it for a Result, seen from a want that is the new key.
func (v verdict) live(undoing bool) string {
	switch v {
	case proved, lesser, stale:
		if undoing == (v == stale) {
			return "new"
		}
		return "old"
	case mixed:
		return "mixed"
	case elsewhere:
		return "other"
	case open:
		return "open"
	default:
		return "down"
	}
}

// stranger makes a key that was never issued: the control of every proof. A
// server that takes it takes anything.
func stranger() secret.Key { return secret.New(rand.Text() + rand.Text()) }

// judge asks one server, each time on a fresh connection, for the wanted key,
// a random key and the other key (a zero one is not asked for), and says what
// the answers prove. The error tells why, where the verdict is silent.
func judge(ctx context.Context, s Server, want, other secret.Key) (verdict, error) {
	first, err := s.Ask(ctx, want)
	if first == blnk.Nothing {
		return silent, err
	}
	control, err := askOn(ctx, s, stranger())
	switch control {
	case blnk.Nothing:
		return silent, err
	case blnk.Live, blnk.Lesser:
		return open, nil
	}
	if first != blnk.Live {
		return judgeRefused(ctx, s, want, other)
	}
	return judgeLive(ctx, s, want, other)
}

// patience is how long a server that has just answered may keep back its next
// answer: a rate limiter lets a few questions through at a time, and a proof
// that began anew each time would never come to its end.
const patience = 5 * time.Second

// askOn asks a server that has answered before, until it answers again or
// patience is at its end.
func askOn(ctx context.Context, s Server, key secret.Key) (blnk.Answer, error) {
	deadline := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(pause*3/2, lastPause) {
		answer, err := s.Ask(ctx, key)
		if answer != blnk.Nothing || time.Now().Add(pause).After(deadline) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, err
		case <-time.After(pause):
		}
	}
}

// judgeLive: the wanted key was taken and a random one was not.
func judgeLive(ctx context.Context, s Server, want, other secret.Key) (verdict, error) {
	v := proved
	if blnk.Sendable(other) {
		switch answer, err := askOn(ctx, s, other); answer {
		case blnk.Nothing:
			return silent, err
		case blnk.Live:
			return mixed, nil
		case blnk.Lesser:
			v = lesser
		}
	}
	if found, err := sample(ctx, s, want, agreeing-1); found != proved {
		return found, err
	}
	return v, nil
}

// judgeRefused: neither the wanted key nor a random one was taken. The other
// one may be; or one of them by a neighbour behind the same address.
func judgeRefused(ctx context.Context, s Server, want, other secret.Key) (verdict, error) {
	if !blnk.Sendable(other) {
		return judgeForeign(ctx, s, want)
	}
	// All questions about one key in a row: servers that take turns would
	// otherwise each get always the same key.
	for i := range agreeing {
		switch answer, err := askOn(ctx, s, other); answer {
		case blnk.Nothing:
			return silent, err
		case blnk.Live:
			if i > 0 {
				return mixed, nil
			}
			return stale, nil
		}
	}
	return judgeForeign(ctx, s, want)
}

// judgeForeign: the wanted key was refused, and there is no other one to ask
// for, or it was refused too. A neighbour behind the same address may take it.
func judgeForeign(ctx context.Context, s Server, want secret.Key) (verdict, error) {
	for range agreeing - 1 {
		switch answer, err := askOn(ctx, s, want); answer {
		case blnk.Nothing:
			return silent, err
		case blnk.Live:
			return mixed, nil
		}
	}
	return elsewhere, nil
}

// Waiting for a server: the first question comes at once and the next ones
// soon, because a server is back within some 50 ms; a slow one is not pestered.
const (
	firstPause = 2 * time.Millisecond
	lastPause  = time.Second
)

// await asks all servers until every one of them proves want, one of them
// proves that waiting is useless (elsewhere, open), or the time is up. It tells
// the last verdict of each. The error says which server failed, and how.
func (w *walk) await(ctx context.Context, want, other secret.Key, within time.Duration) ([]verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	verdicts, reasons := make([]verdict, len(w.Servers)), make([]error, len(w.Servers))
	pause := firstPause
	for {
		err := w.round(ctx, want, other, verdicts, reasons)
		if err == nil || w.hopeless(err) {
			return verdicts, err
		}
		select {
		case <-ctx.Done():
			return verdicts, err
		case <-time.After(pause):
			pause = min(pause*3/2, lastPause)
		}
	}
}

// round asks every server that is not proved yet, once.
func (w *walk) round(ctx context.Context, want, other secret.Key, verdicts []verdict, reasons []error) error {
	var first error
	for i, s := range w.Servers {
		if verdicts[i] == proved || verdicts[i] == lesser {
			continue
		}
		v, reason := judge(ctx, s, want, other)
		if v == stale && verdicts[i] == mixed {
			v = mixed // which of several servers is met first is chance
		}
		// What a server said before it fell silent at the deadline tells more
		// than the deadline.
		if v != silent || ctx.Err() == nil {
			w.noteVerdict(s, verdicts[i], v)
			verdicts[i], reasons[i] = v, reason
		}
		if v == proved || v == lesser {
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
func (w *walk) notProved(s Server, v verdict, reason error) error {
	switch v {
	case open:
		return fmt.Errorf("%s lets a random key in: %w", s, ErrOpen)
	case elsewhere:
		return fmt.Errorf("%s refuses both the %s key and the %s one: %w", s, w.names(true), w.names(false), ErrElsewhere)
	case stale:
		return fmt.Errorf("%s still takes the %s key and refuses the %s one: %w", s, w.names(false), w.names(true), ErrStale)
	case mixed:
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
func (w *walk) noteVerdict(s Server, before, now verdict) {
	if before == now || now == silent {
		return
	}
	text := map[verdict]string{
		mixed: "answers differently from one connection to the next",
		stale: "still takes the " + w.names(false) + " key",
	}[now]
	if text != "" {
		w.note("%s %s", s, text)
	}
}
