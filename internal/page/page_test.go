package page

import "testing"

func TestText(t *testing.T) {
	p := Parse("Do it\n\nWhat it does.\n\nExamples:\n  do it\n\n---\n\nExit status: 0.\n")
	got := p.Text(Contents{
		Usage: "do it [flags]", Globals: "-q", Topics: []Entry{{"codes", "what they mean"}},
		Flags: []Entry{Flag("wait", "w", "duration", "how long", "3m0s"), Flag("all", "", "", "everything", "false"), Flag("form", "", "WORD", "WORD: a (default)", "a")},
	})
	const want = "What it does.\n\nUsage:\n  do it [flags]\n\nTopics:\n  codes        what they mean\n\nExamples:\n  do it\n\nFlags:\n" +
		"  -w, --wait TIME         how long (default 3m)\n  --all                   everything\n  --form WORD             a (default)\n\nGlobal Flags: -q\n\nExit status: 0.\n"
	if p.Short != "Do it" || got != want {
		t.Errorf("%q\n%s", p.Short, got)
	}
	if got := Parse("Alone\n").Text(Contents{}); got != "Alone.\n" {
		t.Errorf("%q", got)
	}
}
