package status

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
)

// mostLines is how many stores, servers and processes are shown of one target each, so
// that it fits a screen.
const mostLines = 4

// Text is the report for people: one target whole, several as a table with what is wrong.
func (r Report) Text(look screen.Look) string {
	var b strings.Builder
	if len(r.Targets) == 1 {
		s := r.Targets[0]
		b.WriteString(s.heading(look) + "\n")
		s.problems(&b, look)
		s.rows(&b, r.Time)
		return look.Fold(b.String())
	}
	rows := [][]string{{"TARGET", "STATUS", "KEY", "AGE", "NEXT DUE", "LAST ATTEMPT"}}
	for _, s := range r.Targets {
		rows = append(rows, []string{s.Target, s.says(), s.named(), s.aged(r.Time), s.next(r.Time, false), s.Last.brief(r.Time)})
	}
	b.WriteString(look.Table(rows, func(cell string) screen.Colour {
		switch {
		case cell == Good:
			return screen.Green
		case strings.HasSuffix(cell, " problem") || strings.HasSuffix(cell, " problems"):
			return screen.Red
		}
		return screen.Plain
	}))
	for _, s := range r.Targets {
		if s.Result == Bad {
			b.WriteString("\n" + s.heading(look) + "\n")
			s.problems(&b, look)
		}
	}
	return look.Fold(b.String())
}

// ErrBad: a target has problems.
var ErrBad = errors.New("bad")

// Err is nil for a report without problems, else ErrBad. whole: with a line for each
// problem, and what helps against the first; for who has not seen the text.
func (r Report) Err(whole bool) error {
	bad, head, help := 0, "", ""
	var lines []string
	for _, s := range r.Targets {
		for _, p := range s.Problems {
			line := p.Text
			if len(r.Targets) > 1 {
				line = s.Target + ": " + line
			}
			lines, help = append(lines, line), cmp.Or(help, p.Help)
		}
		if s.Result == Bad {
			bad, head = bad+1, s.Target+": "+s.says()
		}
	}
	if len(r.Targets) > 1 {
		head = fmt.Sprintf("%d of %d targets have problems", bad, len(r.Targets))
	}
	switch err := hint.As(ErrBad, "%s", head); {
	case bad == 0:
		return nil
	case !whole:
		return err
	default:
		return hint.Detail(hint.Add(err, "%s", help), lines...)
	}
}

func (s Standing) says() string {
	switch n := len(s.Problems); n {
	case 0:
		return Good
	case 1:
		return "1 problem"
	default:
		return fmt.Sprintf("%d problems", n)
	}
}

func (s Standing) heading(look screen.Look) string {
	colour := screen.Green
	if s.Result == Bad {
		colour = screen.Red
	}
	return screen.CleanLine(s.Target) + ": " + look.Paint(colour, s.says())
}

func (s Standing) problems(b *strings.Builder, look screen.Look) {
	for _, p := range s.Problems {
		b.WriteString("  " + look.Paint(screen.Red, "!") + " " + screen.CleanLine(p.Text) + "\n")
		if p.Help != "" {
			b.WriteString("    -> " + screen.CleanLine(p.Help) + "\n")
		}
	}
}

// rows are what is known, a line each.
func (s Standing) rows(b *strings.Builder, now time.Time) {
	row := func(name string, lines ...string) {
		more := len(lines) - mostLines
		if more > 1 {
			lines = append(slices.Clone(lines[:mostLines]), fmt.Sprintf("and %d more: -o json has them", more))
		}
		for _, line := range lines {
			fmt.Fprintf(b, "  %-10s %s\n", name, screen.CleanLine(line))
			name = ""
		}
	}
	row("key", s.named()+", "+s.aged(now))
	row("next due", s.next(now, true))
	var stores, servers, processes [][2]string
	for _, one := range s.Stores {
		stores = append(stores, [2]string{one.Ref, one.holds()})
	}
	for _, one := range s.Servers {
		does := one.does()
		if one.Sampled {
			does += " (a sample)"
		}
		servers = append(servers, [2]string{one.URL, does})
	}
	for _, one := range s.Processes {
		processes = append(processes, [2]string{fmt.Sprintf("%s (PID %d)", one.Name, one.PID), one.has()})
	}
	row("stores", aligned(stores)...)
	row("servers", aligned(servers)...)
	row("processes", aligned(processes)...)
	if !s.stateless {
		row("open", s.Open.text(now))
		row("last", s.Last.text(now))
	}
	if !s.RollbackUntil.IsZero() {
		row("rollback", "to the key before, until "+screen.When(s.RollbackUntil, now))
	} else if s.RollbackFrom != "" {
		row("rollback", "to the key before, from "+s.RollbackFrom)
	}
	row("old key", s.oldKey(now)...)
	row("not seen", s.Unseen...)
}

func (s Standing) named() string {
	if len(s.Stores) > 0 && s.Stores[0].Error != "" {
		return "not read"
	}
	return cmp.Or(s.Key.Fingerprint, "none, or a weak one")
}

// aged is since when the key is there.
func (s Standing) aged(now time.Time) string {
	if s.Key.How == "" {
		return "age not known"
	}
	return strings.ReplaceAll(s.Key.How, "_", " ") + " " + screen.Ago(s.Key.Since, now)
}

// next is when the key is due.
func (s Standing) next(now time.Time, long bool) string {
	k := s.Key
	at := func(t time.Time) string {
		if long {
			return screen.When(t, now)
		}
		return screen.At(t)
	}
	wait := ""
	if k.NextRun.After(now) && (k.Waiting || !k.NextDue.IsZero() && !k.NextDue.After(now)) {
		wait = "; a rotation may run " + at(k.NextRun)
	}
	switch {
	case k.Waiting && !long:
		return "waits until " + at(k.NextRun)
	case k.Waiting:
		return "waiting after a rotation that was rolled back" + wait
	case k.Due && k.NextDue.IsZero():
		return "now"
	case k.NextDue.IsZero() && k.MaxAge > 0:
		return "not known"
	case k.NextDue.IsZero() && long:
		return "no policy: max_age in blnkctl.yaml says when"
	case k.NextDue.IsZero():
		return "no policy"
	case k.Due:
		return "now, since " + at(k.NextDue)
	case !k.NextDue.After(now):
		return "since " + at(k.NextDue) + wait
	}
	return at(k.NextDue)
}

func (s Store) holds() string {
	switch {
	case s.Same == nil:
		return "not read: " + s.Error
	case *s.Same:
		return "this key"
	}
	if s.Fingerprint == "" {
		return "no key, or a weak one"
	}
	return "another key, " + s.Fingerprint
}

func (o *Open) text(now time.Time) string {
	switch {
	case o == nil:
		return "no rotation"
	case o.AtWork != "":
		return o.Rotation + " is under way by " + o.AtWork
	}
	way := ""
	if o.Undoing {
		way = "undo "
	}
	text := fmt.Sprintf("%s, in the step %s, begun %s by %s", o.Rotation, way+o.Step, screen.Ago(o.Started, now), o.By)
	if o.Error != "" {
		text += "; first error: " + o.Error
	}
	return text
}

func (a *Attempt) brief(now time.Time) string {
	if a == nil {
		return "none recorded"
	}
	return spoken(a.Outcome) + " " + screen.Ago(a.Time, now)
}

func (a *Attempt) text(now time.Time) string {
	if a == nil {
		return "none recorded"
	}
	text := fmt.Sprintf("%s: %s %s by %s", a.Event, spoken(a.Outcome), screen.When(a.Time, now), a.By)
	if a.Repeated > 0 {
		text += fmt.Sprintf(", %d times", 1+a.Repeated)
	}
	if a.Error != "" {
		text += ": " + a.Error
	}
	return text
}

func spoken(outcome string) string { return strings.ReplaceAll(outcome, "_", " ") }

// oldKey says who goes on with the key before.
func (s Standing) oldKey(now time.Time) (lines []string) {
	for _, c := range s.OldKey {
		sure := map[bool]string{true: "still used", false: "may still be used"}[c.Sure]
		lines = append(lines, fmt.Sprintf("%s by %s: refused %s, the last %s", sure, c.Address, screen.Times(c.Refused), screen.Ago(c.Last, now)))
	}
	if s.OldKey != nil && len(lines) == 0 {
		lines = []string{"used by nobody, in the last day of the servers' logs"}
	}
	return lines
}

// aligned are pairs as lines, the second ones below each other where that is not wide.
func aligned(pairs [][2]string) (lines []string) {
	const most = 50
	width := 0
	for _, pair := range pairs {
		width = max(width, utf8.RuneCountInString(pair[0]))
	}
	if width > most {
		width = 0
	}
	for _, pair := range pairs {
		lines = append(lines, fmt.Sprintf("%-*s  %s", width, pair[0], pair[1]))
	}
	return lines
}
