package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/textfile"
)

// Text is a blnkctl.yaml that says what was given on a command line, with a comment for
// a person at each name, and what else could be said.
func Text(t Target) []byte {
	var b strings.Builder
	b.WriteString("# What blnkctl works on here, so that `blnkctl rotate` needs no flags. Relative paths\n" +
		"# start in this folder. Keys do not belong in here: it names their places.\n" +
		"# `blnkctl config check` reads it, `blnkctl config schema` is for editors.\n")
	known := t.fields(nil)
	for _, part := range []struct {
		name   string
		values []string
		unsaid string // what stands there without values: an example
	}{
		{"stores", t.Stores, "# stores:"},
		{"restart", t.Restart, "# restart:\n#   - " + quoted("systemd:blnk.service,blnk-worker.service")},
		{"servers", t.Servers, "# servers:\n#   - " + quoted("http://127.0.0.1:5001")},
		// Without an age nothing is ever due, and nobody hears of a key that grows old.
		{"policy", nil, "policy:\n  max_age: 90d             # `blnkctl rotate --if-due`, from cron\n#   min_interval: 1d       # the next one so soon needs --force\n" +
			"#   window: " + quoted("Sun 02:00-05:00 Europe/Berlin") + "\n#   splay: 10m\n#   keep_previous: 24h     # for `blnkctl rollback`; 0 keeps none"},
		{"notify", nil, "# notify:\n#   - to: webhook:file:./webhook-url\n#     on: [failure, stuck, overdue]"},
	} {
		fmt.Fprintf(&b, "\n# %s\n", known[part.name].says)
		if len(part.values) == 0 {
			b.WriteString(part.unsaid + "\n")
			continue
		}
		b.WriteString(part.name + ":\n")
		for _, value := range part.values {
			b.WriteString("  - " + quoted(value) + "\n")
		}
	}
	return []byte(b.String())
}

// Make writes a new blnkctl.yaml that says what was given, after check was asked of each
// reference, as Check does. One that is there is left alone.
func Make(path string, t Target, check func(flag, ref string) error) error {
	for flag, refs := range map[string][]string{"store": t.Stores, "restart": t.Restart, "server": t.Servers} {
		for _, ref := range refs {
			if err := check(flag, ref); err != nil {
				return err
			}
		}
	}
	err := textfile.Open(path, "").Create(Text(t), 0o644, false)
	if errors.Is(err, textfile.ErrChanged) {
		err = hint.Add(fmt.Errorf("%s is there already", path), "blnkctl config show tells what it says; nothing was written")
	}
	return err
}

// quoted is a text as YAML has it in double quotes, which take any.
func quoted(text string) string { return fmt.Sprintf("%+q", text) }
