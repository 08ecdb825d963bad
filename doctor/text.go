package doctor

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
)

// Text is the report for people: what failed first, then what was not checked, a
// count, and the guide's check list. verbose adds evidence, and rules that passed.
func (r Report) Text(look screen.Look, verbose bool) string {
	var b strings.Builder
	b.WriteString(r.Brief(look, verbose))
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s\n\n%s\n", r.count(look), GuideURL)
	r.checklist(&b, look)
	return b.String()
}

// Brief is what of Text stands before the count; "" where all is well.
func (r Report) Brief(look screen.Look, verbose bool) string {
	var b strings.Builder
	for id, f := range r.findings() {
		if f.Accepted == "" || verbose {
			f.write(&b, id, look, verbose)
		}
	}
	blind := r.blind()
	for _, one := range r.Rules {
		switch ids := blind[one.Why]; {
		case one.Why != "" && len(ids) >= together && !verbose && one.ID != ids[0]: // said with the first
		case one.Why != "" && len(ids) >= together && !verbose:
			fmt.Fprintf(&b, "%s  not checked: %s: %s\n", look.Paint(screen.Yellow, "?   "), screen.CleanLine(firstLine(one.Why)), strings.Join(ids, ", "))
		case one.Why != "":
			fmt.Fprintf(&b, "%s  %s%snot checked: %s: %s\n", look.Paint(screen.Yellow, "?   "), one.ID, gap(look), one.Title, screen.CleanLine(firstLine(one.Why)))
		case verbose && one.State == Passed:
			fmt.Fprintf(&b, "%s  %s%s%s\n", look.Paint(screen.Green, "ok  "), one.ID, gap(look), one.Title)
		}
	}
	for _, line := range r.Expired {
		fmt.Fprintf(&b, "The baseline's date is over: %s\n", screen.CleanLine(line))
	}
	return b.String()
}

// findings are all of them, the worst first, each with the ID of its rule.
func (r Report) findings() iter.Seq2[string, Finding] {
	return func(yield func(string, Finding) bool) {
		for _, severity := range []Severity{Error, Warning, Note} {
			for _, one := range r.Rules {
				for _, f := range one.Findings {
					if f.Severity == severity && !yield(one.ID, f) {
						return
					}
				}
			}
		}
	}
}

// So many rules that cannot look for the same reason are one line.
const together = 3

// blind are the rules that could not look, by the reason.
func (r Report) blind() map[string][]string {
	ids := map[string][]string{}
	for _, one := range r.Rules {
		ids[one.Why] = append(ids[one.Why], one.ID)
	}
	return ids
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// gap is what stands behind an ID: for programs a column, for a person who has few of
// them the further lines begin below the ID.
func gap(look screen.Look) string {
	if look.Terminal() {
		return " "
	}
	return "  "
}

func (f Finding) write(b *strings.Builder, id string, look screen.Look, verbose bool) {
	word, colour := map[Severity]string{Error: "FAIL", Warning: "warn", Note: "note"}[f.Severity], map[Severity]screen.Colour{Error: screen.Red, Warning: screen.Yellow}[f.Severity]
	if f.Accepted != "" {
		word, colour = "kept", screen.Plain
	}
	fmt.Fprintf(b, "%s  %s%s%s\n", look.Paint(colour, word), id, gap(look), screen.CleanLine(f.Place+": "+f.Text))
	if f.Accepted != "" {
		fmt.Fprintf(b, "      accepted: %s\n", screen.CleanLine(f.Accepted))
	} else if f.Remedy != "" {
		fmt.Fprintf(b, "      -> %s\n", screen.CleanLine(f.Remedy))
	}
	if verbose {
		for _, line := range f.Evidence {
			fmt.Fprintf(b, "      %s\n", screen.CleanLine(line))
		}
	}
}

// count is how many rules came out how, in one line.
func (r Report) count(look screen.Look) string {
	n := map[State]int{}
	for _, one := range r.Rules {
		n[one.State]++
	}
	parts := []string{fmt.Sprintf("%d passed", n[Passed])}
	if n[Failed] > 0 {
		parts = append(parts, look.Paint(screen.Red, fmt.Sprintf("%d with findings", n[Failed])))
	}
	for _, more := range []struct {
		state State
		word  string
	}{{NotChecked, "not checked"}, {NoSubject, "with nothing to look at"}, {Skipped, "skipped"}} {
		if n[more.state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[more.state], more.word))
		}
	}
	return strings.Join(parts, ", ")
}

// checklist is the guide, sentence by sentence. A sentence has its tick only where all
// its rules could look, one had something to look at, and none found anything.
func (r Report) checklist(b *strings.Builder, look screen.Look) {
	for _, s := range Guide() {
		n := map[State]int{}
		for _, one := range r.Rules {
			switch {
			case one.Sentence != s.Number:
			case one.State == Failed && one.Why != "" && !one.fails():
				n[NotChecked]++
			case one.State == Failed && !one.fails(): // but notes
				n[Passed]++
			default:
				n[one.State]++
			}
		}
		blind := n[NotChecked] + n[Skipped]
		if n[Passed]+n[Failed]+n[NotChecked]+n[NoSubject] == 0 && r.partly() {
			continue // it is another part that was asked for
		}
		mark, more := look.Paint(screen.Green, "ok"), ""
		switch {
		case n[Failed] > 0:
			mark = look.Paint(screen.Red, "no")
		case s.Person != "":
			mark, more = "--", " (yours: "+s.Person+")"
		case n[Passed]+blind == 0 && n[NoSubject] > 0:
			mark, more = "--", " (there is nothing of the kind here)"
		case n[Passed]+blind == 0:
			mark, more = "--", " (no rule looks at it)"
		case blind > 0:
			mark, more = look.Paint(screen.Yellow, "? "), fmt.Sprintf(" (%d of %d not checked)", blind, n[Passed]+blind)
		}
		fmt.Fprintf(b, "  %s  %s  %s%s\n", mark, s.Number, s.Text, more)
	}
}

// partly says that not all rules were run.
func (r Report) partly() bool {
	return slices.ContainsFunc(r.Rules, func(one Result) bool { return one.State == Skipped })
}

// ErrFindings: a rule does not hold, or could not be checked.
var ErrFindings = errors.New("")

// Err is ErrFindings where that is so, with how many findings fail the run.
func (r Report) Err() error {
	if r.Outcome == "passed" {
		return nil
	}
	n, notes, blind := 0, 0, 0
	for _, f := range r.findings() {
		switch {
		case f.Accepted != "":
		case f.Severity == Note:
			notes++
		default:
			n++
		}
	}
	for _, one := range r.Rules {
		if one.Why != "" {
			blind++
		}
	}
	if n == 0 {
		return hint.As(ErrFindings, "%s could not be checked", many(blind, "rule"))
	}
	if notes > 0 {
		return hint.As(ErrFindings, "%s besides %s", many(n, "finding"), many(notes, "note"))
	}
	return hint.As(ErrFindings, "%s", many(n, "finding"))
}

func many(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
