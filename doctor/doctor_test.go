package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/restart"
)

func runRules(t *testing.T, choice Choice, baseline []config.Exception, rules ...Rule) Report {
	t.Helper()
	now := func() time.Time { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) }
	r, err := Run(t.Context(), rules, &Facts{Sources: Sources{Now: now}}, choice, baseline)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rule(id string, found []Finding, err error) Rule {
	return Rule{ID: id, Severity: Warning, Sentence: "1.1", check: func(_ context.Context, _ *Facts, r *Result) {
		for _, f := range found {
			r.add(f.Place, f.Text, f.Remedy, f.Evidence...).Severity = cmp.Or(f.Severity, r.Severity)
			r.Findings[len(r.Findings)-1].Fix = f.Fix
		}
		r.unsure(err)
		r.saw(!errors.Is(err, ErrNothing))
	}}
}

// How a rule comes out, and what that makes of the run.
func TestRun(t *testing.T) {
	blind := errors.New("no permission")
	for name, c := range map[string]struct {
		found   []Finding
		err     error
		choice  Choice
		state   State
		why     string
		outcome string
	}{
		"passed":            {nil, nil, Choice{}, Passed, "", "passed"},
		"found":             {[]Finding{{Place: "a"}}, nil, Choice{}, Failed, "", "failed"},
		"a note":            {[]Finding{{Place: "a", Severity: Note}}, nil, Choice{}, Failed, "", "passed"},
		"cannot look":       {nil, blind, Choice{}, NotChecked, "no permission", "passed"},
		"asked for, cannot": {nil, blind, Choice{Only: []string{"blnk-1.1"}}, NotChecked, "no permission", "failed"},
		"saw a part":        {[]Finding{{Place: "a"}}, blind, Choice{}, Failed, "no permission", "failed"},
		"a note, in a part": {[]Finding{{Place: "a", Severity: Note}}, blind, Choice{Only: []string{"BLNK-1.1"}}, Failed, "no permission", "failed"},
		"nothing here":      {nil, ErrNothing, Choice{}, NoSubject, "", "passed"},
		"skipped":           {[]Finding{{Place: "a"}}, nil, Choice{Skip: []string{"BLNK-1.1"}}, Skipped, "", "passed"},
		"another is meant":  {[]Finding{{Place: "a"}}, nil, Choice{Only: []string{"BLNK-9.9"}}, Skipped, "", "passed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runRules(t, c.choice, nil, rule("BLNK-1.1", c.found, c.err))
			if one := r.Rules[0]; one.State != c.state || one.Why != c.why || r.Outcome != c.outcome {
				t.Errorf("state %s (%s), outcome %s", one.State, one.Why, r.Outcome)
			}
		})
	}
}

// What replicas of a service say again is one finding.
func TestFindingOnce(t *testing.T) {
	r := Result{Rule: Rule{Severity: Warning}}
	r.add("a", "is open", "close it", "seen")
	r.add("a", "is open", "close it", "seen again").Severity = Error
	r.add("b", "is open", "close it")
	if len(r.Findings) != 2 || r.Findings[0].Severity != Warning || r.Findings[0].Evidence[0] != "seen" || r.Findings[1].Place != "b" {
		t.Errorf("%+v", r.Findings)
	}
}

// An exception is of one rule and place, and ends.
func TestBaseline(t *testing.T) {
	accept := func(id, place string, year int) config.Exception {
		return config.Exception{ID: id, Place: place, Reason: "r", Until: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}
	}
	found := rule("BLNK-1.1", []Finding{{Place: "a"}, {Place: "b"}}, nil)
	for name, c := range map[string]struct {
		baseline []config.Exception
		outcome  string
		expired  int
	}{
		"both":          {[]config.Exception{accept("BLNK-1.1", "a", 2028), accept("blnk-1.1", "b", 2028)}, "passed", 0},
		"one":           {[]config.Exception{accept("BLNK-1.1", "a", 2028)}, "failed", 0},
		"over":          {[]config.Exception{accept("BLNK-1.1", "a", 2026), accept("BLNK-1.1", "b", 2028)}, "failed", 1},
		"another rule":  {[]config.Exception{accept("BLNK-1.2", "a", 2028), accept("BLNK-1.2", "b", 2028)}, "failed", 0},
		"another place": {[]config.Exception{accept("BLNK-1.1", "c", 2028)}, "failed", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := runRules(t, Choice{}, c.baseline, found)
			if r.Outcome != c.outcome || len(r.Expired) != c.expired {
				t.Errorf("%s, expired %q", r.Outcome, r.Expired)
			}
		})
	}
}

// What is accepted makes nothing of what could not be looked at.
func TestBaselineBlind(t *testing.T) {
	until := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	half := rule("BLNK-1.1", []Finding{{Place: "a"}}, errors.New("no permission"))
	r := runRules(t, Choice{}, []config.Exception{{ID: "BLNK-1.1", Place: "a", Reason: "r", Until: until}}, half)
	if one := r.Rules[0]; one.State != NotChecked {
		t.Errorf("state %s", one.State)
	}
	if junit := r.JUnit(); !strings.Contains(junit, "<skipped message=\"no permission\"") {
		t.Error(junit)
	}
}

// A place in a file is a reference that a code host can follow: below the folder of the
// report relative to it, and with what is not usual in one escaped.
func TestSARIFPlaces(t *testing.T) {
	for place, want := range map[string]string{
		"/srv/blnk.json": "blnk.json", "/srv/a b/50%#1?.json": "a%20b/50%25%231%3F.json", "/srv/c:d": "./c:d",
		"/srv/x#sha256:0123456789ab": "x", "/etc/x y": "/etc/x%20y", "http://127.0.0.1:5001": "", "container a": "",
	} {
		r := runRules(t, Choice{}, nil, rule("BLNK-1.1", []Finding{{Place: place}}, nil))
		text, err := json.Marshal(r.SARIF("1", "/srv"))
		uri := ""
		if _, rest, ok := strings.Cut(string(text), `"artifactLocation":{"uri":"`); ok {
			uri, _, _ = strings.Cut(rest, `"`)
		}
		if err != nil || uri != want {
			t.Errorf("%s: %q, want %q, %v", place, uri, want, err)
		}
	}
}

// Whatever stands in a finding, the report for CI servers is XML, and has it.
func TestJUnit(t *testing.T) {
	place := "a \"<b>&'c]]>\ufffe\xff\x1b[2Jü"
	r := runRules(t, Choice{}, nil, rule("BLNK-1.1", []Finding{{Place: place, Remedy: "mend\nit"}}, nil), rule("BLNK-1.2", nil, errors.New("<"+place)))
	var suite struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Class   string `xml:"classname,attr"`
			Failure string `xml:"failure"`
			Skipped struct {
				Message string `xml:"message,attr"`
			} `xml:"skipped"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal([]byte(r.JUnit()), &suite); err != nil {
		t.Fatalf("%v\n%s", err, r.JUnit())
	}
	shown := `a "<b>&'c]]>` + "\ufffd" + `\xff\x1b[2Jü`
	if suite.Name != reporter || suite.Tests != 2 || suite.Failures != 1 || suite.Skipped != 1 || len(suite.Cases) != 2 {
		t.Fatalf("%+v", suite)
	}
	if one := suite.Cases[0]; !strings.HasPrefix(one.Name, "BLNK-1.1 ") || !strings.Contains(one.Failure, shown+": ") || !strings.HasSuffix(one.Failure, "mend\nit") {
		t.Errorf("%+v", one)
	}
	if one := suite.Cases[1]; one.Skipped.Message != "<"+shown {
		t.Errorf("%+v", one)
	}
}

// Each rule has an ID of its own, and a sentence of the guide.
func TestRules(t *testing.T) {
	numbers := map[string]bool{}
	for _, s := range Guide() {
		numbers[s.Number] = true
	}
	seen := map[string]bool{}
	for _, r := range Rules() {
		if seen[r.ID] || !numbers[r.Sentence] || r.Title == "" || r.Severity == "" {
			t.Errorf("%s (%s, sentence %s): doubled, or not whole", r.ID, r.Title, r.Sentence)
		}
		seen[r.ID] = true
	}
}

// Whether a worker may have been started before the key of the stores stood in its file.
func TestOlder(t *testing.T) {
	start := listener.Started(os.Getpid())
	if start.IsZero() {
		t.Skip("when a process was started is not known here")
	}
	path := filepath.Join(t.TempDir(), "blnk.json")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const never = -time.Hour // of a proof
	for name, c := range map[string]struct {
		changed, proved time.Duration // since the start
		older, certain  bool
	}{
		"started after the change":               {-time.Minute, time.Minute, false, false},
		"within a second of it":                  {time.Second, time.Minute, false, false},
		"the rotation changed it":                {time.Minute, 2 * time.Minute, true, true},
		"long before, and changed again":         {time.Hour, 30 * time.Minute, true, true},
		"changed by somebody, no rotation":       {time.Minute, never, true, false},
		"changed by somebody after the rotation": {10 * time.Minute, time.Minute, true, false},
		"a proof from the future":                {time.Minute, 3 * time.Hour, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.Chtimes(path, time.Time{}, start.Add(c.changed)); err != nil {
				t.Fatal(err)
			}
			proved := time.Time{}
			if c.proved != never {
				proved = start.Add(c.proved)
			}
			f := &Facts{Sources: Sources{Now: func() time.Time { return start.Add(2 * time.Hour) }}}
			if older, certain := f.Older(Running{Path: path, Process: &restart.Process{PID: os.Getpid()}}, proved); older != c.older || certain != c.certain {
				t.Errorf("older %t, certain %t", older, certain)
			}
		})
	}
}
