package doctor

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/internal/textfile"
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
				result["locations"] = []object{{"physicalLocation": object{"artifactLocation": object{"uri": filepath.ToSlash(path)}}}}
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
	text, err := r.JUnit()
	if format == "sarif" {
		var doc string
		doc, err = screen.JSON(r.SARIF(version, filepath.Dir(path)))
		text = []byte(doc)
	}
	if err != nil {
		return err
	}
	return writeReport(path, []byte(secret.MaskOwn(string(text))))
}

func writeReport(path string, text []byte) error {
	if strings.HasPrefix(path, "/dev/") {
		return os.WriteFile(path, text, 0o644)
	}
	f, err := textfile.Open(path, "")
	if err != nil {
		return err
	}
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
// that could not look is skipped.
func (r Report) JUnit() ([]byte, error) {
	type message struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type testCase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Failure *message `xml:"failure"`
		Skipped *message `xml:"skipped"`
	}
	suite := struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Cases    []testCase `xml:"testcase"`
	}{Name: reporter, Tests: len(r.Rules)}
	for _, one := range r.Rules {
		c := testCase{Name: one.ID + " " + one.Title, Class: "doctor." + one.Sentence}
		switch {
		case one.fails():
			var lines []string
			for _, f := range one.Findings {
				if f.Accepted == "" {
					lines = append(lines, screen.Clean(fmt.Sprintf("%s: %s: %s\n%s", f.Severity, f.Place, f.Text, f.Remedy)))
				}
			}
			c.Failure = &message{Message: many(len(lines), "finding"), Text: strings.Join(lines, "\n")}
			suite.Failures++
		case one.Why != "", one.State == Skipped:
			c.Skipped = &message{Message: screen.CleanLine(one.Why)}
			suite.Skipped++
		}
		suite.Cases = append(suite.Cases, c)
	}
	body, err := xml.MarshalIndent(suite, "", "  ")
	return append([]byte(xml.Header), append(body, '\n')...), err
}
