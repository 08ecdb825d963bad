package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/schedule"
)

// fakes behave as crontab(1) of Debian's cron and as systemctl do, in the folder $FAKE:
// with a file "refuse" there systemctl refuses to restart.
var fakes = map[string]string{
	"crontab": `case "$1" in
-l) if test -e table; then cat table; else echo "no crontab for ops" >&2; exit 1; fi ;;
-r) rm table ;;
-) if test -e deaf; then cat >/dev/null; else cat >table.new; mv table.new table; fi ;;
*) exit 2 ;;
esac`,
	"systemctl": `echo "$*" >>told
case "$*" in *" --user "*) ;; *) test ! -e personal || exit 9 ;; esac
for last; do :; done
case "$*" in
*daemon-reload) ;;
*"is-enabled "*) if test -e enabled; then echo enabled; else echo disabled; exit 1; fi ;;
*"is-active "*) if test -e active; then echo active; else echo inactive; exit 3; fi ;;
*"enable --now "*) touch enabled active ;;
*"disable --now "*) rm -f enabled active ;;
*"enable "*) touch enabled ;;
*"start "*"timer") case "$*" in *restart*) test ! -e refuse || { echo "Unit $last has a bad unit file setting." >&2; exit 1; } ;; esac; touch active ;;
*) exit 2 ;;
esac`,
}

// fakeHost is a host in a folder of the test, with the fakes.
func fakeHost(t *testing.T, root bool) (h Host, fake string) {
	t.Helper()
	dir := t.TempDir()
	fake = filepath.Join(dir, "fake")
	for _, sub := range []string{fake, filepath.Join(dir, "bin"), filepath.Join(dir, "cron.d")} {
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range fakes {
		write(t, filepath.Join(dir, "bin", name), "#!/bin/sh\ncd "+fake+" || exit 9\n"+body+"\n")
	}
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	h = Host{Root: root, UnitDir: filepath.Join(dir, "units", "user")}
	if root {
		h.CronDir = filepath.Join(dir, "cron.d")
	}
	return h, fake
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// shown is the text of a file, "" for none.
func shown(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

var prod = schedule.Job{
	Facts: schedule.Facts{Target: "prod", Program: "/usr/bin/blnkctl", Dir: "/srv", User: "ops"},
	Args:  []string{"rotate", "prod", "-q"}, When: schedule.When{Hour: 4, Minute: 7},
}

// do plans and applies, and returns the diff.
func do(t *testing.T, h Host, kind Kind, job schedule.Job, remove, force bool) string {
	t.Helper()
	p, err := h.Plan(t.Context(), kind, job, remove, force)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := h.Plan(t.Context(), kind, job, remove, force); err != nil || !again.Empty() {
		t.Fatalf("not the same twice: %v\n%s", err, again.Diff())
	}
	return p.Diff()
}

func TestCrontab(t *testing.T) {
	h, fake := fakeHost(t, false)
	table := filepath.Join(fake, "table")
	others := "MAILTO=me\n1 1 * * * PGPASSWORD=private backup\n"
	write(t, table, others)
	diff := do(t, h, Cron, prod, false, false)
	if !strings.Contains(diff, "\n  +7 4 * * * cd /srv && /usr/bin/blnkctl rotate prod -q\n") || strings.Contains(diff, "private") {
		t.Errorf("%s", diff)
	}
	second := prod
	second.Target = "prod-2"
	do(t, h, Cron, second, false, false)
	later := prod
	later.When.Hour = 5
	if diff := do(t, h, Cron, later, false, false); !strings.Contains(diff, "\n  -7 4 ") || !strings.Contains(diff, "\n  +7 5 ") {
		t.Errorf("%s", diff)
	}
	if got := shown(t, table); !strings.HasPrefix(got, others) || strings.Count(got, "# BEGIN") != 2 {
		t.Errorf("%s", got)
	}
	do(t, h, Cron, second, true, false)
	do(t, h, Cron, prod, true, false)
	if got := shown(t, table); got != others {
		t.Errorf("%q", got)
	}
	// Of a table that was ours alone, nothing stays.
	if err := os.Remove(table); err != nil {
		t.Fatal(err)
	}
	do(t, h, Cron, prod, false, false)
	do(t, h, Cron, prod, true, false)
	if got := shown(t, table); got != "" {
		t.Errorf("%q", got)
	}
}

func TestCrontabOfAPerson(t *testing.T) {
	h, fake := fakeHost(t, false)
	table := filepath.Join(fake, "table")
	do(t, h, Cron, prod, false, false)
	edited := strings.Replace(shown(t, table), "7 4 ", "8 8 ", 1)
	write(t, table, edited)
	for _, remove := range []bool{false, true} {
		if _, err := h.Plan(t.Context(), Cron, prod, remove, false); !errors.Is(err, ErrForeign) {
			t.Errorf("%v", err)
		}
	}
	write(t, table, strings.Replace(edited, "# END", "# end", 1))
	if _, err := h.Plan(t.Context(), Cron, prod, true, true); !errors.Is(err, errHalf) {
		t.Errorf("%v", err)
	}
	write(t, table, edited+edited)
	if _, err := h.Plan(t.Context(), Cron, prod, true, true); !errors.Is(err, errHalf) {
		t.Errorf("%v", err)
	}
	write(t, table, edited)
	do(t, h, Cron, prod, false, true)
	p, err := h.Plan(t.Context(), Cron, prod, true, false)
	if err != nil {
		t.Fatal(err)
	}
	ours := shown(t, table)
	write(t, table, "# mine\n"+strings.Replace(ours, "7 4 ", "9 9 ", 1))
	if err := p.Apply(t.Context()); !errors.Is(err, ErrChanged) || !strings.HasPrefix(shown(t, table), "# mine\n# BEGIN") {
		t.Errorf("%v", err)
	}
	// What somebody else has written around it since stays.
	write(t, table, "# mine\n"+ours+"# theirs\n")
	if err := p.Apply(t.Context()); err != nil || shown(t, table) != "# mine\n# theirs\n" {
		t.Errorf("%q, %v", shown(t, table), err)
	}
	write(t, table, "# mine\n"+ours)
	write(t, filepath.Join(fake, "deaf"), "")
	if p, err = h.Plan(t.Context(), Cron, prod, true, false); err == nil {
		err = p.Apply(t.Context())
	}
	if err == nil {
		t.Error("crontab took nothing, and nobody said so")
	}
}

func TestCronFile(t *testing.T) {
	h, _ := fakeHost(t, true)
	path := filepath.Join(h.CronDir, "blnkctl-rotate-prod")
	do(t, h, Cron, prod, false, false)
	if got := shown(t, path); !strings.HasSuffix(got, "\n7 4 * * * ops cd /srv && /usr/bin/blnkctl rotate prod -q\n") {
		t.Errorf("%s", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	p, err := h.Plan(t.Context(), Cron, prod, true, false)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "# a person's\n")
	if err := p.Apply(t.Context()); !errors.Is(err, ErrChanged) {
		t.Errorf("%v", err)
	}
	if _, err := h.Plan(t.Context(), Cron, prod, false, false); !errors.Is(err, ErrForeign) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Plan(t.Context(), Cron, prod, false, true); err == nil {
		t.Error("a link is followed")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	do(t, h, Cron, prod, true, false)
	if left, _ := os.ReadDir(h.CronDir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// An empty file is no schedule of a person's; what is no file is.
func TestEmptyCronFile(t *testing.T) {
	h, _ := fakeHost(t, true)
	path := filepath.Join(h.CronDir, "blnkctl-rotate-prod")
	write(t, path, "")
	do(t, h, Cron, prod, false, false)
	if got := shown(t, path); !strings.HasSuffix(got, "rotate prod -q\n") {
		t.Errorf("%q", got)
	}
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Plan(t.Context(), Cron, prod, false, true); !errors.Is(err, ErrForeign) {
		t.Errorf("a FIFO: %v", err)
	}
}

// The name of a folder is no line of a unit: whoever owns the folder would say what root runs.
func TestLineEnd(t *testing.T) {
	h, _ := fakeHost(t, true)
	for _, dir := range []string{"/srv/x\nExecStartPre=/srv/evil", "/srv/x\r", `/srv/x\`} {
		job := prod
		job.Dir = dir
		if _, err := h.Plan(t.Context(), Systemd, job, false, true); err == nil || !strings.Contains(err.Error(), "systemd cannot run this") {
			t.Errorf("%q: %v", dir, err)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, root := range []bool{true, false} {
		h, fake := fakeHost(t, root)
		if !root {
			write(t, filepath.Join(fake, "personal"), "")
		}
		mailed := prod
		mailed.Mail, mailed.Root = "a@b.example", root
		do(t, h, Systemd, mailed, false, false)
		if units, _ := os.ReadDir(h.UnitDir); len(units) != 3 {
			t.Errorf("%v", units)
		}
		mailed.Mail = ""
		do(t, h, Systemd, mailed, false, false)
		if units, _ := os.ReadDir(h.UnitDir); len(units) != 2 {
			t.Errorf("%v", units)
		}
		// A person stopped it: once more is what makes it run.
		if err := os.Remove(filepath.Join(fake, "active")); err != nil {
			t.Fatal(err)
		}
		if diff := do(t, h, Systemd, mailed, false, false); !strings.HasSuffix(diff, " enable --now blnkctl-rotate-prod.timer\n") || strings.Contains(diff, "+") {
			t.Errorf("%s", diff)
		}
		// One that systemd refuses leaves what was there.
		before := shown(t, filepath.Join(h.UnitDir, "blnkctl-rotate-prod.timer"))
		write(t, filepath.Join(fake, "refuse"), "")
		mailed.When.Hour = 5
		p, err := h.Plan(t.Context(), Systemd, mailed, false, false)
		if err != nil {
			t.Fatal(err)
		}
		err = p.Apply(t.Context())
		if _, lines := hint.Lines(said(err)); len(lines) != 1 || !strings.HasSuffix(lines[0], "has a bad unit file setting.") {
			t.Errorf("not told what it said: %q", lines)
		}
		if err == nil || shown(t, filepath.Join(h.UnitDir, "blnkctl-rotate-prod.timer")) != before {
			t.Errorf("%v", err)
		}
		if told := strings.Split(strings.TrimSpace(shown(t, filepath.Join(fake, "told"))), "\n"); !strings.HasSuffix(told[len(told)-1], "daemon-reload") {
			t.Errorf("%q", told)
		}
		// Where a file cannot be taken away, the timer goes on.
		if p, err = h.Plan(t.Context(), Systemd, mailed, true, false); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(h.UnitDir, "blnkctl-rotate-prod.timer"), before+"# mine\n")
		if err = p.Apply(t.Context()); !errors.Is(err, ErrChanged) || shown(t, filepath.Join(h.UnitDir, "blnkctl-rotate-prod.service")) == "" {
			t.Errorf("%v", err)
		}
		for _, state := range []string{"enabled", "active"} {
			if _, err := os.Stat(filepath.Join(fake, state)); err != nil {
				t.Errorf("the timer is not %s any more", state)
			}
		}
		write(t, filepath.Join(h.UnitDir, "blnkctl-rotate-prod.timer"), before)
		do(t, h, Systemd, mailed, true, false)
		if units, _ := os.ReadDir(h.UnitDir); len(units) != 0 {
			t.Errorf("%v", units)
		}
	}
}

func TestNothingHere(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	h := Host{UnitDir: t.TempDir()}
	for _, kind := range []Kind{Cron, Systemd} {
		if _, err := h.Plan(t.Context(), kind, prod, false, false); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Of two targets that have no name, the second one does not take the place of the first;
// a new time for the same one does.
func TestOtherFolder(t *testing.T) {
	for _, kind := range []Kind{Cron, Systemd} {
		for _, root := range []bool{true, false} {
			h, _ := fakeHost(t, root)
			first := prod
			first.Target = ""
			do(t, h, kind, first, false, false)
			second := first
			second.Dir = "/srv2"
			if _, err := h.Plan(t.Context(), kind, second, false, false); !errors.Is(err, ErrOther) {
				t.Errorf("%s, root %v: %v", kind, root, err)
			}
			first.When.Hour = 5
			do(t, h, kind, first, false, false)
			do(t, h, kind, second, false, true)
			do(t, h, kind, first, true, false)
		}
	}
}
