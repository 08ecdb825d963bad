package cmd

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/doctor"
)

// docs/guide.md has every sentence that doctor holds a server against, in its words and
// order, each with a command where one can do it; and every command of it is one.
func TestGuide(t *testing.T) {
	page, err := os.ReadFile("../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(page), "\n### ")[1:]
	guide := doctor.Guide()
	if len(sections) != len(guide) {
		t.Errorf("%d sentences, want %d", len(sections), len(guide))
	}
	for i, s := range guide {
		heading, body, _ := strings.Cut(sections[min(i, len(sections)-1)], "\n")
		if heading != s.Number+" "+s.Text {
			t.Errorf("sentence %d is %q, want %q", i, heading, s.Number+" "+s.Text)
		}
		ruled := slices.ContainsFunc(doctor.Rules(), func(r doctor.Rule) bool { return r.Sentence == s.Number })
		if (ruled || s.Person == "") && !strings.Contains(body, "\n    blnkctl ") {
			t.Errorf("%s %s: no command", s.Number, s.Text)
		}
	}
	if n := len(regexp.MustCompile(`(?m)^    blnkctl .*$`).FindAllString(string(page), -1)); n < len(guide) {
		t.Errorf("only %d commands", n)
	}
}

// What a stranger reads first is short, and every page that a page names is there.
func TestPages(t *testing.T) {
	pages, _ := filepath.Glob("../docs/*.md")
	for _, path := range append(pages, "../README.md", "../CONTRIBUTING.md") {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(page), "\n"); n > 120 && filepath.Base(path) == "README.md" {
			t.Errorf("README.md has %d lines, more than 120", n)
		}
		for _, link := range regexp.MustCompile(`\]\(([^):#]+)`).FindAllStringSubmatch(string(page), -1) {
			if link[1] == "https" {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), link[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// The commands of all pages that are not run (TestDocs) are calls of blnkctl at least.
func TestDocsTyped(t *testing.T) {
	pages, _ := filepath.Glob("../docs/*.md")
	found := 0
	for _, path := range append(pages, "../README.md") {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fenced := false
		for line := range strings.Lines(string(page)) {
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			call := regexp.MustCompile(`^(    )?(?:sudo )?(blnkctl [^|>#\n]*)`).FindStringSubmatch(line)
			if call == nil || !fenced && call[1] == "" || strings.HasPrefix(line, "blnkctl on ledger-1: ") { // a notice
				continue
			}
			found++
			if fault := typedWrong(t, strings.TrimSuffix(call[2], "…")); fault != "" {
				t.Errorf("%s: %s: %s", path, call[2], fault)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d commands", found)
	}
	for _, wrong := range []string{"blnkctl lock", "blnkctl doctor --nothing", "blnkctl doctor --rule BLNK-9.9", "blnkctl audit lst", "blnkctl verify a here", "blnkctl init --stage off", "blnkctl rotate --if-older-than soon"} {
		if typedWrong(t, wrong) == "" {
			t.Errorf("%s is taken for right", wrong)
		}
	}
}

// typedWrong says why a line is no call of blnkctl; "" where it is one. It is not run.
func typedWrong(t *testing.T, line string) string {
	t.Helper()
	var words []string
	for _, word := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line, -1)[1:] {
		words = append(words, strings.Trim(word, "'"))
	}
	_, root := testApp(t)
	c, rest, err := root.Find(words)
	if err == nil && c.HasSubCommands() {
		return "no such command"
	}
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err == nil {
		err = c.ValidateArgs(c.Flags().Args())
	}
	if err != nil {
		return err.Error()
	}
	if ids, _ := c.Flags().GetStringArray("rule"); (doctor.Choice{Only: ids}).Check(doctor.Rules()) != nil {
		return "no such rule"
	}
	return ""
}
