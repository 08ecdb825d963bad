package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/internal/screen"
)

// A Listing prints records one by one: as a JSON array, or for people: a row, and
// below it the rest, in lines of 80 columns wherever they go.
type Listing struct {
	JSON  bool
	Look  screen.Look
	Print func(text string) error // many records at once; an error ends it
	N     int                     // so many were added
	wait  strings.Builder
}

func (l *Listing) print(text string, most int) error {
	l.wait.WriteString(text)
	if l.wait.Len() <= most {
		return nil
	}
	text = l.wait.String()
	l.wait.Reset()
	return l.Print(text)
}

// Add adds a record. open says how a rotation stands that has not ended.
func (l *Listing) Add(r Record, open string) error {
	if l.N++; l.JSON {
		text, err := json.MarshalIndent(struct {
			Record
			Open bool `json:"open,omitempty"`
		}{r, open != ""}, "  ", "  ")
		if err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
		before := ",\n  "
		if l.N == 1 {
			before = "[\n  "
		}
		return l.print(before+string(text), 32<<10)
	}
	row := func(cells ...any) string {
		return screen.CleanLine(fmt.Sprintf("%-22s  %-11.11s  %-19.19s  %.19s", cells...)) + "\n"
	}
	text := row(screen.At(r.Time), r.Outcome, cmp.Or(r.Old, "-"), cmp.Or(r.New, "-"))
	if l.N == 1 {
		text = row("TIME", "OUTCOME", "OLD", "NEW") + text
	}
	for _, line := range r.details(open) {
		text += "  " + strings.Join(strings.Fields(screen.CleanLine(line)), " ") + "\n"
	}
	return l.print(l.Look.Fill(text), 32<<10)
}

// End prints the rest.
func (l *Listing) End() error {
	switch {
	case !l.JSON:
		return l.print("", 0)
	case l.N == 0:
		return l.print("[]\n", 0) // an empty list, not null
	}
	return l.print("\n]\n", 0)
}

func (r *Record) details(open string) (lines []string) {
	about, of := r.Event, " of "
	if r.Request != "" {
		about, of = about+" "+r.Request, " with the key of "
	}
	if len(r.Stores) > 0 {
		about += of + strings.Join(r.Stores, ", ")
	}
	about += " by " + r.User
	if r.SudoUser != "" {
		about += " (sudo by " + r.SudoUser + ")"
	}
	lines = append(lines, about+" on "+r.Host)
	add := func(there bool, format string, args ...any) {
		if there {
			lines = append(lines, fmt.Sprintf(format, args...))
		}
	}
	add(r.Compromised, "the old key was compromised")
	add(r.Reason != "", "reason: %s", r.Reason)
	add(r.Error != "", "error: %s", r.Error)
	add(r.Repeated > 0, "and %d more like it, the last at %s", r.Repeated, screen.At(r.Last))
	add(open != "", "this rotation is %s", open)
	add(r.Changed, "this is not what was recorded: see `blnkctl audit verify`")
	return lines
}
