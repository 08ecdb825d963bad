package config

import (
	"fmt"
	"strings"
)

// Text is a blnkctl.yaml that says what was given on a command line, with a comment for
// a person at each.
func Text(f Target) []byte {
	var b strings.Builder
	b.WriteString("# What blnkctl works on here, so that `blnkctl rotate` needs no flags. Relative paths\n" +
		"# start in this folder. Keys do not belong in here: it names their places.\n")
	for _, part := range []struct {
		name, comment, example string
		values                 []string
	}{
		{"stores", "Where the key is; the first is the source of truth.", "", f.Stores},
		{"restart", "What restarts the server and its workers, which read the key only at start.", "systemd:blnk.service,blnk-worker.service", f.Restart},
		{"servers", "Each server; without it the port in blnk.json, on this host.", "http://127.0.0.1:5001", f.Servers},
	} {
		fmt.Fprintf(&b, "\n# %s\n", part.comment)
		if len(part.values) == 0 {
			fmt.Fprintf(&b, "# %s:\n#   - %s\n", part.name, quoted(part.example))
			continue
		}
		b.WriteString(part.name + ":\n")
		for _, value := range part.values {
			b.WriteString("  - " + quoted(value) + "\n")
		}
	}
	return []byte(b.String())
}

// quoted is a text as YAML has it in double quotes, which take any.
func quoted(text string) string { return fmt.Sprintf("%+q", text) }
