package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// again is when what lasts is told again: a day, less what two runs of a daily job may
// begin apart.
const again = 24*time.Hour - 30*time.Minute

// A memory is what each receiver was told, by its reference.
type memory map[string]*told

// told is what one receiver was told.
type told struct {
	// Seq is the record of the audit log up to which each end was told; unread where nobody
	// knows.
	Seq int `json:"seq"`
	// Lasting are the kinds of events that have not ended.
	Lasting map[string]*lasting `json:"lasting,omitempty"`
}

// lasting is what was told of a kind: since when, and when last of each cause, so that
// two that take turns are not told in turn, too.
type lasting struct {
	Since  time.Time            `json:"since"`
	Causes map[string]time.Time `json:"causes"`
}

// load reads the memory; what cannot be read is forgotten: told twice is better than
// never.
func (t *Teller) load() memory {
	m := memory{}
	if t.opt.State == nil {
		return m
	}
	data, err := t.opt.State.LoadTold()
	if err == nil && data != nil && json.Unmarshal(data, &m) != nil || m == nil {
		m = memory{}
	}
	maps.DeleteFunc(m, func(_ string, one *told) bool { return one == nil })
	return m
}

func (t *Teller) save(m memory) error {
	if t.opt.State == nil {
		return nil
	}
	maps.DeleteFunc(m, func(to string, _ *told) bool {
		return !slices.ContainsFunc(t.receivers, func(r receiver) bool { return r.To == to })
	})
	data, err := json.Marshal(m)
	if err == nil {
		err = t.opt.State.SaveTold(append(data, '\n'))
	}
	return err
}

// of returns what a receiver was told; who was told nothing is not told of what was
// before.
func (m memory) of(to string, head Head) *told {
	if m[to] == nil {
		m[to] = &told{Seq: head.Seq}
	}
	if m[to].Lasting == nil {
		m[to].Lasting = map[string]*lasting{}
	}
	return m[to]
}

// lasts says whether the same was told within a day. A time in the future says nothing:
// a clock was wrong.
func (o *told) lasts(e Event, now time.Time) bool {
	l := o.Lasting[e.Kind]
	if l == nil {
		return false
	}
	recent := func(at time.Time) bool { return !at.IsZero() && !at.After(now) && now.Sub(at) < again }
	n := 0
	for _, at := range l.Causes {
		if recent(at) {
			n++
		}
	}
	return recent(l.Causes[causeOf(e, e.Kind)]) || n >= mostCauses || e.Waits && n > 0
}

// mark remembers that an event was told as one of a kind.
func (o *told) mark(e Event, kind string) {
	l, now := o.Lasting[kind], e.Time
	if l == nil {
		l = &lasting{Since: now}
		o.Lasting[kind] = l
	}
	if l.Since.After(now) {
		l.Since = now
	}
	causes := map[string]time.Time{causeOf(e, kind): now}
	for cause, at := range l.Causes {
		switch {
		case e.Waits: // it stands for what it waits after
			causes[cause] = now
		case !at.After(now) && now.Sub(at) < again && causes[cause].IsZero():
			causes[cause] = at
		}
	}
	l.Causes = causes
}

// mostCauses is how many causes are told apart within a day, and told: what says
// something else each time is no news.
const mostCauses = 16

// since is when the first of these kinds was told that last; zero where none does.
func (o *told) since(kinds []string) (first time.Time) {
	for _, kind := range kinds {
		if l := o.Lasting[kind]; l != nil && (first.IsZero() || l.Since.Before(first)) {
			first = l.Since
		}
	}
	return first
}

// causeOf tells causes apart. Times, numbers and names of rotations differ each time, so
// that only words count; of findings, of which rule they are and where.
func causeOf(e Event, kind string) string {
	words := strings.Fields(e.Error)
	switch kind {
	case Findings: // rule and place
		words = nil
		for _, f := range e.Findings {
			where, _, _ := strings.Cut(f, ": ")
			words = append(words, where)
		}
	case Overdue:
		words = nil
	default:
		words = slices.DeleteFunc(words, func(w string) bool { return strings.ContainsAny(w, "0123456789") })
	}
	sum := sha256.Sum256([]byte(strings.Join(words, " ")))
	return hex.EncodeToString(sum[:8])
}
