package supervise

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/blnkctl/blnkctl/secret"
)

const (
	// readLimit bounds one look into the store: more than the command of a
	// command: store may take.
	readLimit = 90 * time.Second
	// farthest is how far the looks move apart while the store cannot be read,
	// unless the interval itself is longer: a rotation that waits for this
	// command has minutes, not hours.
	farthest = 4 * time.Minute
)

// A watcher looks into the store again and again. It sends a key that differs
// from the one before, and tells in words when the store ceases or begins to
// hold a usable key: once each time, not at each look.
type watcher struct {
	source   Source
	interval time.Duration
	found    chan<- secret.Key
	say      func(string)
	warn     func(string)
}

// What a look into the store came to.
type sight int

const (
	readable sight = iota
	unreadable
	unusable
)

// run looks until ctx ends. key is the one that is known already.
func (w *watcher) run(ctx context.Context, key secret.Key) {
	last, wait := readable, w.interval
	for pause(ctx, jitter(wait)) {
		next, err := w.look(ctx)
		if ctx.Err() != nil {
			return
		}
		now := sightOf(err)
		if now != last {
			w.tell(now, err)
			last = now
		}
		if err != nil {
			wait = max(w.interval, min(2*wait, farthest))
			continue
		}
		wait = w.interval
		if next.Equal(key) {
			continue
		}
		key = next
		select {
		case w.found <- key:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watcher) look(ctx context.Context) (secret.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	return Read(ctx, w.source)
}

func sightOf(err error) sight {
	switch {
	case err == nil:
		return readable
	case errors.Is(err, ErrUnusable):
		return unusable
	}
	return unreadable
}

// tell says what changed. Errors of stores hold no key (package store).
func (w *watcher) tell(now sight, err error) {
	if now == readable {
		w.say(w.source.String() + " can be read again")
		return
	}
	w.warn("the command keeps the key that it has: " + err.Error())
}

// jitter makes a time up to a tenth shorter or longer, so that a fleet that
// was started by one hand does not ask its Vault in one moment.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// pause waits; false where ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
