package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/schedule/host"
)

// A Schedule is a place on this host from which blnkctl rotates again and again.
type Schedule struct {
	Place  string
	Silent string // why nobody hears of a rotation that failed; "" where somebody does, or that is not seen
	Timer  bool   // of systemd, which keeps what failed
}

// Schedules are those of cron and of systemd. The error says where could not be looked.
func (f *Facts) Schedules(ctx context.Context) ([]Schedule, error) {
	return f.schedules.get(func() ([]Schedule, error) { return f.findSchedules(ctx) })
}

func (f *Facts) findSchedules(ctx context.Context) (places []Schedule, err error) {
	look := func(path string) {
		text, failed := readShort(path)
		if runsBlnkctl(text) {
			places = append(places, Schedule{Place: path, Silent: silence(text)})
		}
		err = errors.Join(err, failed)
	}
	for _, pattern := range []string{"/etc/crontab", "/etc/anacrontab", "/etc/cron.d/*", "/etc/crontabs/*"} {
		files, _ := filepath.Glob(pattern)
		for _, path := range files {
			if filepath.Base(filepath.Dir(path)) != "cron.d" || cronTakes(filepath.Base(path)) {
				look(path)
			}
		}
	}
	for _, pattern := range []string{"/etc/cron.*ly", "/etc/periodic/*"} { // of Alpine
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			for _, path := range f.parts(ctx, dir) {
				look(path)
			}
		}
	}
	for _, dir := range []string{"/var/spool/cron/crontabs", "/var/spool/cron", "/var/cron/tabs", "/usr/lib/cron/tabs"} { // of users
		names, failed := os.ReadDir(dir)
		if !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
		for _, name := range names {
			look(filepath.Join(dir, name.Name()))
		}
	}
	if text, ok := f.ask(ctx, "crontab", "-l"); ok && runsBlnkctl(text) {
		places = append(places, Schedule{Place: "crontab -l", Silent: silence(text)})
	}
	timers, failed := f.timers(ctx)
	return append(places, timers...), errors.Join(err, failed)
}

// parts are the files of a folder that cron runs: run-parts itself says which, since one
// without x bit, or of another name than it takes, is passed over without a word.
func (f *Facts) parts(ctx context.Context, dir string) (paths []string) {
	if list, ok := f.ask(ctx, "run-parts", "--test", dir); ok {
		return strings.Fields(list)
	}
	names, _ := os.ReadDir(dir)
	for _, name := range names {
		path := filepath.Join(dir, name.Name())
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 && cronTakes(name.Name()) {
			paths = append(paths, path)
		}
	}
	return paths
}

// cronTakes says whether cron reads a file of cron.d by its name. Debian's takes none
// with a dot (cron(8)); others only those of editors and packages not, which are no
// schedule of anybody.
func cronTakes(name string) bool {
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		return !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, "~")
	}
	return regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(name)
}

// timers are those of systemd, of the system and of this user, that will elapse again
// and whose service runs blnkctl.
func (f *Facts) timers(ctx context.Context) (places []Schedule, err error) {
	for _, of := range [][]string{{"systemctl", "--no-ask-password"}, {"systemctl", "--no-ask-password", "--user"}} {
		list, ok := f.ask(ctx, append(slices.Clone(of), "list-timers", "--no-legend", "--no-pager")...)
		if !ok {
			continue // no systemd, or no manager of this user
		}
		for line := range strings.Lines(list) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] == "-" || words[0] == "n/a" { // it elapses no more
				continue
			}
			service := words[len(words)-1] // behind its timer
			shown, ok := f.ask(ctx, append(slices.Clone(of), "show", "--property=ExecStart,OnFailure", service)...)
			switch {
			case !ok:
				err = errors.Join(err, fmt.Errorf("systemctl show %s fails", service))
			case runsBlnkctl(shown):
				one := Schedule{Place: words[len(words)-2], Timer: true}
				if !strings.Contains("\n"+shown, "\nOnFailure=") || strings.Contains("\n"+shown+"\n", "\nOnFailure=\n") {
					one.Silent = service + " has no OnFailure="
				}
				places = append(places, one)
			}
		}
	}
	return places, err
}

// silence says why cron tells nobody what blnkctl wrote: it mails what a line prints
// (crontab(5)). A line that goes on after a failure (||) may tell somebody itself.
func silence(text string) string {
	mailTo := regexp.MustCompile(`^MAILTO\s*=\s*["']?([^"'\s]*)`) // here: each costs a start its time
	discarded := regexp.MustCompile(`>\s*/dev/null\s+2>&1|&>\s*/dev/null|2>\s*/dev/null`)
	off := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if found := mailTo.FindStringSubmatch(line); found != nil {
			off = found[1] == ""
		}
		switch {
		case !runsBlnkctl(line):
		case strings.Contains(line, "||"):
			return ""
		case discarded.MatchString(line):
			return "what blnkctl says of a failure goes to /dev/null"
		case off:
			return "MAILTO is empty: cron mails nothing"
		}
	}
	if host.Mails() {
		return ""
	}
	return "cron finds no sendmail here to mail it with"
}

// ask is what a command prints; false where it cannot be run, or fails.
func (f *Facts) ask(ctx context.Context, args ...string) (string, bool) {
	out, _, err := run.Cmd{Args: args, Dir: f.Dir, Env: f.Env, Timeout: 30 * time.Second, Most: 4 << 20}.Read(ctx)
	return out.Reveal(), err == nil
}

// runsBlnkctl says that a line of a crontab, a script or a unit has blnkctl change the
// key, or runs a script that does; what is a comment, or but names a folder or another
// command of blnkctl, does not count.
func runsBlnkctl(text string) bool { return runs(text, true) }

func runs(text string, follow bool) bool {
	named := false
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		line, _, _ = strings.Cut(line, " # ")
		named = named && !follow // a script may have the path in a variable
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t;&|()'\"=", r) }) {
			switch {
			case filepath.Base(word) == "blnkctl":
				named = true
			case named && (word == "rotate" || word == "sync"):
				return true
			case follow && filepath.IsAbs(word):
				if script, err := readShort(word); err == nil && strings.HasPrefix(script, "#!") && runs(script, false) {
					return true
				}
			}
		}
	}
	return false
}

// readShort reads a file of the length that a person writes; "" for another one.
func readShort(path string) (string, error) {
	text, err := textfile.Glance(path, 256<<10)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return string(text), err
}
