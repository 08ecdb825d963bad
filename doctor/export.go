package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/notify"
	"github.com/blnkctl/blnkctl/secret"
)

// reporter is the program that reports name, by which they are known again.
const reporter = "blnkctl doctor"

// SARIF is the report as the Static Analysis Results Interchange Format, 2.1.0
// (docs.oasis-open.org/sarif/sarif/v2.1.0), as code hosts take it. Paths below dir are
// relative to it.
func (r Report) SARIF(version, dir string) any {
	type object = map[string]any
	rules, results := []object{}, []object{}
	for i, one := range r.Rules {
		rules = append(rules, object{
			"id": one.ID, "shortDescription": object{"text": one.Title}, "helpUri": one.Link,
			"defaultConfiguration": object{"level": one.Severity},
		})
		for _, f := range one.Findings {
			result := object{
				"ruleId": one.ID, "ruleIndex": i, "level": f.Severity,
				"message":             object{"text": f.Place + ": " + f.Text + "\n" + f.Remedy},
				"partialFingerprints": object{"blnkctl/v1": one.ID + " " + f.Place},
			}
			place, _, _ := strings.Cut(f.Place, "#sha256:") // of a key in a file
			if path, ok := strings.CutPrefix(place, dir+"/"); ok || filepath.IsAbs(f.Place) {
				result["locations"] = []object{{"physicalLocation": object{"artifactLocation": object{"uri": (&url.URL{Path: path}).String()}}}}
			}
			if f.Accepted != "" {
				result["suppressions"] = []object{{"kind": "external", "justification": f.Accepted}}
			}
			results = append(results, result)
		}
	}
	return object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
		"runs": []object{{
			"tool":    object{"driver": object{"name": reporter, "version": version, "informationUri": GuideURL, "rules": rules}},
			"results": results,
		}},
	}
}

// Write writes the report, as sarif or junit, for another program, maybe of another
// user. Only a report is replaced by it, and no link of somebody else leads it to what is
// not his. path is absolute; version is that of blnkctl.
func (r Report) Write(path, format, version string) error {
	text := r.JUnit()
	if format == "sarif" {
		var err error
		if text, err = screen.JSON(r.SARIF(version, filepath.Dir(path))); err != nil {
			return err
		}
	}
	return writeReport(path, []byte(secret.MaskOwn(text)))
}

func writeReport(path string, text []byte) error {
	if strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/") { // there are files, of anybody
		return os.WriteFile(path, text, 0o644)
	}
	f := textfile.Open(path, "")
	old, err := f.Read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.Create(text, 0o644, false)
	case err != nil:
		return err
	case len(old) > 0 && !bytes.Contains(old, []byte(`"`+reporter+`"`)):
		return hint.Add(fmt.Errorf("--report: %s is there, and is no report of %s: it stays", path, reporter), "name another file")
	}
	return f.Write(old, text)
}

// JUnit is the report as a test suite, as CI servers read it: a rule is a test, one
// that could not look is skipped. It is written by hand: encoding/xml is 80 KB.
func (r Report) JUnit() string {
	var cases strings.Builder
	failures, skipped := 0, 0
	// The last two are no characters of XML.
	text := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "\ufffe", "\ufffd", "\uffff", "\ufffd").Replace
	for _, one := range r.Rules {
		fmt.Fprintf(&cases, "  <testcase name=\"%s\" classname=\"doctor.%s\">", text(one.ID+" "+one.Title), text(one.Sentence))
		switch {
		case one.fails():
			var lines []string
			for _, f := range one.Findings {
				if f.Accepted == "" {
					lines = append(lines, screen.Clean(fmt.Sprintf("%s: %s: %s\n%s", f.Severity, f.Place, f.Text, f.Remedy)))
				}
			}
			fmt.Fprintf(&cases, "<failure message=\"%s\">%s</failure>", many(len(lines), "finding"), text(strings.Join(lines, "\n")))
			failures++
		case one.Why != "", one.State == Skipped:
			fmt.Fprintf(&cases, "<skipped message=\"%s\"></skipped>", text(screen.CleanLine(one.Why)))
			skipped++
		}
		cases.WriteString("</testcase>\n")
	}
	return fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"%s\" tests=\"%d\" failures=\"%d\" skipped=\"%d\">\n%s</testsuite>\n",
		reporter, len(r.Rules), failures, skipped, cases.String())
}

// Event is what a notice tells of the report: the findings that fail it, or that what was
// told of has ended.
func (r Report) Event(command, target, host, user, help string) notify.Event {
	e := notify.Event{Command: command, Target: target, Host: host, User: user}
	if r.Outcome == "passed" {
		e.Ends = []string{notify.Findings}
		return e
	}
	e.Kind, e.ExitCode, e.Help = notify.Findings, 6, help
	for id, f := range r.findings() {
		if f.Severity != Note && f.Accepted == "" {
			e.Findings = append(e.Findings, id+" "+f.Place+": "+f.Text)
		}
	}
	for _, line := range r.Expired {
		e.Findings = append(e.Findings, "the baseline's date is over: "+line)
	}
	e.Error = r.Err().Error() // counts what could not be checked, too
	return e
}
