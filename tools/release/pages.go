package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// pages makes a man page of each page of help that the program prints: they are the
// same text, so that nothing is to be kept in step.
func pages(own binary) (tree, error) {
	t := tree{}
	return t, addPages(t, own, nil, "")
}

// addPages adds the page of the command at path, whose line in a list is short, and
// those of the commands below it.
func addPages(t tree, own binary, path []string, short string) error {
	help, err := output(exec.Command(own.path, append([]string{"help"}, path...)...))
	if err != nil {
		return err
	}
	parts := sections(help)
	if short == "" { // the program's page begins with it
		short = strings.TrimSuffix(strings.TrimPrefix(parts[""][0], "blnkctl "), ".")
	}
	name, see := strings.Join(append([]string{"blnkctl"}, path...), "-"), []string{}
	if len(path) > 0 {
		see = append(see, strings.Join(append([]string{"blnkctl"}, path[:len(path)-1]...), "-"))
	}
	for _, title := range []string{"Commands", "Topics"} {
		for _, line := range parts[title] {
			if below, text, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				see = append(see, name+"-"+below)
				if err := addPages(t, own, append(slices.Clip(path), below), strings.TrimSpace(text)); err != nil {
					return err
				}
			}
		}
	}
	t["man/"+name+".1"] = []byte(page(name, short, parts, see, own))
	return nil
}

// sections cuts help at its titles; what comes before the first is "".
func sections(help string) map[string][]string {
	parts, title := map[string][]string{}, ""
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		if match := heading.FindStringSubmatch(line); match != nil {
			title, line = match[1], match[2]
		}
		parts[title] = append(parts[title], line)
	}
	return parts
}

// page is a man page, in man(7)'s language.
func page(name, short string, parts map[string][]string, see []string, own binary) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 %s \"blnkctl %s\"\n.nh\n.ad l\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(name)), own.time.UTC().Format("2006-01-02"), roff(own.version), roff(name), roff(short))
	for _, s := range []struct{ title, part string }{
		{"SYNOPSIS", "Usage"}, {"DESCRIPTION", ""}, {"COMMANDS", "Commands"}, {"TOPICS", "Topics"},
		{"OPTIONS", "Flags"}, {"GLOBAL OPTIONS", "Global Flags"}, {"EXIT STATUS", "Exit Status"}, {"EXAMPLES", "Examples"},
	} {
		if text := body(parts[s.part], s.part); text != "" {
			b.WriteString(".SH " + s.title + "\n" + text)
		}
	}
	if len(see) > 0 {
		b.WriteString(".SH SEE ALSO\n.BR " + strings.ReplaceAll(roff(strings.Join(see, " (1),\n")), "\n", "\n.BR ") + " (1)\n")
	}
	return b.String()
}

var (
	heading = regexp.MustCompile(`^(Usage|Commands|Topics|Examples|Flags|Global Flags|Exit Status): ?(.*)$`)
	// An item of a list is a flag, a number or a name, and what it means.
	item = regexp.MustCompile(`^  (\S.*?)  +(\S.*)$`)
	// What can be typed stands in backquotes.
	typed = regexp.MustCompile("`([^`]*)`")
)

// body is one part: paragraphs, lists, and what stands as it is.
func body(lines []string, part string) string {
	var b strings.Builder
	state := "" // "text", "list" or "example"
	enter := func(next, macro string) {
		if state == "example" && next != "example" {
			b.WriteString(".EE\n")
		}
		if state != next && macro != "" {
			b.WriteString(macro + "\n")
		}
		state = next
	}
	listed := part == "Flags" || part == "Commands" || part == "Topics"
	for _, line := range lines {
		match := item.FindStringSubmatch(line)
		number := match != nil && strings.Trim(match[1], "0123456789") == ""
		switch indented := strings.HasPrefix(line, "  "); {
		case line == "":
			enter("", "")
		case indented && match != nil && (listed && line[2] != ' ' || number):
			enter("list", "")
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(match[1]), roff(match[2]))
		case indented && (state == "list" || part == "Exit Status"):
			b.WriteString(roff(strings.TrimSpace(line)) + "\n")
		case indented:
			enter("example", ".PP\n.EX")
			b.WriteString(roff(strings.TrimPrefix(line, "  ")) + "\n")
		default:
			enter("text", ".PP")
			b.WriteString(roff(line) + "\n")
		}
	}
	enter("", "")
	return strings.TrimPrefix(b.String(), ".PP\n") // a title begins a paragraph
}

// roff is a line of text in which nothing is a command of roff's, and every character
// stays what it is, so that it can be copied.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`, `'`, `\(aq`, `"`, `\(dq`, "^", `\(ha`, "~", `\(ti`).Replace(line)
	line = typed.ReplaceAllString(line, `\fB$1\fR`)
	if strings.HasPrefix(line, ".") {
		line = `\&` + line
	}
	return line
}
