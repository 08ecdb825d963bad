// Package page lays out the pages of help: a text that people wrote, and in it what the
// program itself knows of a command.
package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Page is the text of a command's help.
type Page struct {
	Short               string // its line in a list
	long, examples, end string
}

// Parse reads one: its line in a list, what it does, examples, and behind "---", where
// the flags go, its exit status.
func Parse(text string) (p Page) {
	text, p.end, _ = strings.Cut(text, "---\n")
	text, p.examples, _ = strings.Cut(text, "Examples:\n")
	p.Short, p.long, _ = strings.Cut(text, "\n")
	return p
}

// An Entry is a line of a list.
type Entry struct{ Name, Text string }

// Flag is the entry of a flag; short, value and otherwise, its default, may be "".
func Flag(name, short, value, text, otherwise string) Entry {
	head := "--" + name + " " + cmp.Or(map[string]string{"duration": "TIME", "int": "N"}[value], value)
	if short != "" {
		head = "-" + short + ", " + head
	}
	text = strings.TrimPrefix(text, value+": ")
	if !slices.Contains([]string{"", "[]", "false", "0", "0s"}, otherwise) && !strings.Contains(text, "default") {
		text += " (default " + strings.TrimSuffix(otherwise, "m0s") + strings.Repeat("m", strings.Count(otherwise, "m0s")) + ")"
	}
	return Entry{head, text}
}

// Contents are what the program knows; what is empty has no title.
type Contents struct {
	Usage                   string
	Commands, Topics, Flags []Entry
	Globals                 string // the flags of every command
}

// Text is the whole page.
func (p Page) Text(c Contents) string {
	var b strings.Builder
	b.WriteString(cmp.Or(strings.TrimSpace(p.long), p.Short+".") + "\n")
	list := func(title string, width int, all []Entry) {
		for _, one := range all {
			fmt.Fprintf(&b, "%s  %-*s %s\n", title, width, one.Name, one.Text)
			title = ""
		}
	}
	if c.Usage != "" {
		b.WriteString("\nUsage:\n  " + c.Usage + "\n")
	}
	list("\nCommands:\n", 12, c.Commands)
	list("\nTopics:\n", 12, c.Topics)
	if p.examples != "" {
		b.WriteString("\nExamples:\n" + strings.TrimRight(p.examples, "\n") + "\n")
	}
	list("\nFlags:\n", 23, c.Flags)
	if c.Globals != "" {
		b.WriteString("\nGlobal Flags: " + c.Globals + "\n")
	}
	return b.String() + p.end
}
