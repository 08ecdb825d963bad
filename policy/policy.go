// Package policy says when a key is due: how old it may become, how soon after a
// rotation the next may run, and in which hours of the week. It is pure: times and
// lengths in, a decision out; what is known of a key's age comes from its caller.
//
// It does not promise that a machine is awake in a window.
package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// A Policy is what a target of blnkctl.yaml says of the age of its key. The zero
// Policy knows no age at which a key is due, and lets a rotation run at any time.
type Policy struct {
	// MaxAge is the age at which a key is due; 0: none was said.
	MaxAge time.Duration
	// MinInterval is how long after a proved rotation the next one waits, unless it is
	// forced.
	MinInterval time.Duration
	// Windows are when a rotation may run; none: always.
	Windows []Window
	// Splay is the most that a run waits before it begins.
	Splay time.Duration
	// KeepPrevious is how long the previous key is kept, so that it can come back; 0
	// keeps none, nil is UsualKeep.
	KeepPrevious *time.Duration
}

// UsualKeep is Policy.KeepPrevious where nothing was said.
const UsualKeep = 24 * time.Hour

// Late is how long after the time at which a key is due it is overdue: what rotates it
// runs once a day.
const Late = 24 * time.Hour

// Keep is how long the previous key is kept.
func (p Policy) Keep() time.Duration {
	if p.KeepPrevious == nil {
		return UsualKeep
	}
	return *p.KeepPrevious
}

// At is the policy with another age at which a key is due; 0: its own.
func (p Policy) At(age time.Duration) Policy {
	p.MaxAge = cmp.Or(age, p.MaxAge)
	return p
}

// Check refuses what goes together at no time. of is what the policy is of.
func (p Policy) Check(of string) error {
	if p.MaxAge > 0 && p.MinInterval > p.MaxAge {
		return fmt.Errorf("%s: min_interval %s is longer than max_age %s, so that each key would be overdue", of, Age(p.MinInterval), Age(p.MaxAge))
	}
	return nil
}

// Lines are what the policy says, as blnkctl.yaml names it.
func (p Policy) Lines() (lines []string) {
	for _, one := range []struct {
		name string
		age  time.Duration
	}{{"max_age", p.MaxAge}, {"min_interval", p.MinInterval}, {"splay", p.Splay}} {
		if one.age > 0 {
			lines = append(lines, one.name+" "+Age(one.age))
		}
	}
	for _, w := range p.Windows {
		lines = append(lines, "window "+w.Text)
	}
	if p.KeepPrevious != nil {
		lines = append(lines, "keep_previous "+Age(*p.KeepPrevious))
	}
	return lines
}

// Age is a length as ParseAge reads it.
func Age(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}

// Next is when a key is due whose clock started at since: at its MaxAge, and inside a
// window. It is the zero time where the policy knows no age.
func (p Policy) Next(since time.Time) time.Time {
	if p.MaxAge == 0 || since.IsZero() {
		return time.Time{}
	}
	return p.Opens(since.Add(p.MaxAge))
}

// Pause is how long a run waits that begins now: up to Splay, and not past the end of an
// open window; not at all where none is open. n is rand.N.
func (p Policy) Pause(now time.Time, n func(time.Duration) time.Duration) time.Duration {
	most := p.Splay
	for _, w := range p.Windows {
		switch opens, closes := w.opens(now); {
		case !opens.After(now):
			most = min(most, closes.Sub(now))
		case p.Opens(now).After(now):
			return 0
		}
	}
	if most <= 0 {
		return 0
	}
	return n(most)
}

// Opens is the first time from t on at which a rotation may run.
func (p Policy) Opens(t time.Time) time.Time {
	var first time.Time
	for _, w := range p.Windows {
		if at, _ := w.opens(t); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	if first.IsZero() {
		return t
	}
	return first
}

// A Window is a time of the week, on the clock of a place.
type Window struct {
	Days     []time.Weekday // the days on which it opens
	From, To int            // minutes of the day; a To that is not after From is on the next day
	Zone     *time.Location
	Text     string // as it was written
}

// dayOf is a day by its name in lower case, or the first three letters of it; -1 for none.
func dayOf(text string) time.Weekday {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name := strings.ToLower(day.String()); text == name || text == name[:3] {
			return day
		}
	}
	return -1
}

// ParseWindow reads a window: days, hours and a time zone, as in "Sat,Sun 02:00-05:00
// Europe/Berlin", "Mon-Fri 22:00-02:00 UTC" or "daily 03:00-04:00 UTC".
func ParseWindow(text string) (w Window, err error) {
	w.Text = text
	word := strings.Fields(text)
	if len(word) != 3 {
		return w, errors.New(`want days, hours and a time zone, as in "Sun 02:00-05:00 Europe/Berlin"`)
	}
	if w.Days, err = parseDays(word[0]); err != nil {
		return w, err
	}
	from, to, ok := strings.Cut(word[1], "-")
	w.From, err = parseMinute(from)
	switch {
	case err == nil && to == "24:00": // as people write midnight
		w.To = 24 * 60
	case err == nil:
		w.To, err = parseMinute(to)
	}
	if !ok || err != nil || w.From == w.To {
		return w, fmt.Errorf("hours %q: want such as 02:00-05:00", word[1])
	}
	if w.Zone, err = time.LoadLocation(word[2]); err != nil || word[2] == "Local" {
		return w, hint.Add(fmt.Errorf("time zone %q is not known here", word[2]), "want a name such as UTC or Europe/Berlin; the others are in the package tzdata")
	}
	return w, nil
}

func parseDays(text string) (all []time.Weekday, err error) {
	lower := strings.ToLower(text)
	if lower == "daily" {
		lower = "sun-sat"
	}
	for part := range strings.SplitSeq(lower, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, to := dayOf(first), dayOf(last)
		if from < 0 || to < 0 {
			return nil, fmt.Errorf("days %q: want such as Sun, Sat,Sun, Mon-Fri or daily", text)
		}
		for d := from; ; d = (d + 1) % 7 {
			if !slices.Contains(all, d) {
				all = append(all, d)
			}
			if d == to {
				break
			}
		}
	}
	return all, nil
}

func parseMinute(text string) (int, error) {
	at, err := time.Parse("15:04", text)
	return at.Hour()*60 + at.Minute(), err
}

// opens is the first time from t on that lies in the window, and when that closes.
func (w Window) opens(t time.Time) (opens, closes time.Time) {
	local := t.In(w.Zone)
	for day := -1; ; day++ { // yesterday's may go on past midnight
		y, m, d := local.Date()
		if !slices.Contains(w.Days, time.Date(y, m, d+day, 12, 0, 0, 0, w.Zone).Weekday()) {
			continue
		}
		from, to := time.Date(y, m, d+day, 0, w.From, 0, 0, w.Zone), time.Date(y, m, d+day, 0, w.To, 0, 0, w.Zone)
		if w.To <= w.From {
			to = time.Date(y, m, d+day+1, 0, w.To, 0, 0, w.Zone)
		}
		if !to.After(from) { // it begins in the hour that a clock leaves out
			to = from.Add(time.Duration(w.To-w.From) * time.Minute)
		}
		switch {
		case t.Before(from):
			return from, to
		case t.Before(to):
			return t, to
		}
	}
}

// ParseAge reads a duration as people count the age of a key: in days (90d) or
// weeks (12w), or as Go writes it (36h).
func ParseAge(text string) (time.Duration, error) {
	age, err := time.ParseDuration(text)
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			const most = 36500 // a hundred years: far from where a Duration overflows
			var n int
			if n, err = strconv.Atoi(number); n > most {
				n = 0
			}
			age = time.Duration(n) * length
		}
	}
	if err != nil || age <= 0 {
		return 0, errors.New("want an age such as 90d, 12w or 36h")
	}
	return age, nil
}
