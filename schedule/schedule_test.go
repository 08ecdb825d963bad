package schedule

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/policy"
)

// odd are words that something on the way could change.
var odd = []string{"a", "with space", "it's", `"quoted"`, "50%", "100% of it's", `back\slash`, `\%`, "%", "$HOME", "${A}", "$$", "`id`", "a;b", ";", "*", "~", "#x", "é", "", "tab\there", "--x=a b"}

// cronReads is what Vixie cron, cronie and Debian's make of the command of a line: an
// unescaped % ends it.
func cronReads(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '%':
			i++
			b.WriteByte('%')
		case text[i] == '%':
			return b.String()
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

func TestCronCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's 50% here")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "blnkctl 2%")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf '%s\\0' \"$PWD\" \"$A\" \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	job := Job{Facts: Facts{Program: program, Dir: dir, User: "ops"}, Args: odd, Env: []string{"PATH=/usr/bin:/bin", "A=5% of $x 'y'"}, When: When{Hour: 4, Minute: 7}}
	want := append([]string{dir, "5% of $x 'y'"}, odd...)
	for name, read := range map[string]func(string) string{"cron": cronReads, "busybox": func(s string) string { return s }} {
		line, err := job.Cron(true)
		if err != nil {
			t.Fatal(err)
		}
		command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "PATH=/usr/bin:/bin\n7 4 * * * ops ")
		if !ok {
			t.Fatalf("%q", line)
		}
		sh := exec.Command("/bin/sh", "-c", read(command))
		sh.Env = []string{"PATH=/usr/bin:/bin"}
		out, err := sh.CombinedOutput()
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v: %q\nwant %q", name, err, got, want)
		}
	}
}

func TestCronRefuses(t *testing.T) {
	for _, arg := range []string{"two\nlines", strings.Repeat("x", 1000)} {
		if line, err := (Job{Facts: Facts{Program: "/b"}, Args: []string{arg}}).Cron(false); err == nil {
			t.Errorf("%q", line)
		}
	}
}

// MAILTO holds for all lines below it: those of others keep theirs.
func TestMailOfOthers(t *testing.T) {
	line, err := Job{Facts: Facts{Program: "/b", User: "ops"}, Args: []string{"rotate"}, Mail: "a@b.example", When: When{Hour: Hourly, Minute: 5}}.Cron(false)
	if want := "MAILTO=a@b.example\n5 * * * * /b rotate\nMAILTO=ops\n"; err != nil || line != want {
		t.Errorf("%q, %v", line, err)
	}
}

func TestWhenFor(t *testing.T) {
	if a, b := WhenFor("h", "prod", nil), WhenFor("h", "prod", nil); a != b {
		t.Errorf("%v, %v", a, b)
	}
	seen := map[When]int{}
	for i := range 200 {
		w := WhenFor(strings.Repeat("h", i), "", nil)
		if seen[w]++; w.Hour < 3 || w.Hour > 5 || w.Minute > 59 {
			t.Errorf("%v", w)
		}
	}
	if len(seen) < 60 {
		t.Errorf("200 hosts at %d times", len(seen))
	}
	// Whatever a window is, and wherever, a run falls into it.
	for _, text := range []string{"Sun 02:00-05:00 UTC", "Sun 23:50-00:10 Asia/Kathmandu", "daily 13:00-14:00 UTC", "daily 13:07-13:12 UTC", "daily 13:07-13:08 UTC", "Sun 00:00-24:00 UTC"} {
		w, err := policy.ParseWindow(text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 60 {
			when := WhenFor(strings.Repeat("h", i), "x", []policy.Window{w})
			p := policy.Policy{Windows: []policy.Window{w}}
			hit := false
			for at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC); at.Day() < 30 && !hit; at = at.Add(time.Minute) {
				runs := at.Minute() == when.Minute || when.Step > 0 && at.Minute() >= when.Minute && (at.Minute()-when.Minute)%when.Step == 0
				hit = runs && p.Opens(at).Equal(at)
			}
			if !hit || when.Hour != Hourly || w.To-w.From >= 60 && when.Step > 0 {
				t.Errorf("%s: %v never runs in it", text, when)
			}
		}
	}
}

func TestWhenTexts(t *testing.T) {
	for _, c := range []struct {
		when                 When
		cron, calendar, said string
	}{
		{When{Hour: 4, Minute: 7}, "7 4 * * *", "*-*-* 04:07:00", "every day at 04:07"},
		{When{Hour: Hourly, Minute: 7}, "7 * * * *", "*-*-* *:07:00", "every hour at minute 7"},
		{When{Hour: Hourly, Minute: 7, Step: 15}, "7-59/15 * * * *", "*-*-* *:07/15:00", "every 15 minutes"},
		{When{Hour: Hourly, Step: 1}, "0-59/1 * * * *", "*-*-* *:00/1:00", "every minute"},
	} {
		if c.when.cron() != c.cron || c.when.calendar() != c.calendar || c.when.String() != c.said {
			t.Errorf("%q, %q, %q", c.when.cron(), c.when.calendar(), c.when)
		}
	}
	if w, err := ParseWhen("04:30"); err != nil || w != (When{Hour: 4, Minute: 30}) {
		t.Errorf("%v, %v", w, err)
	}
	for _, text := range []string{"", "4", "24:00", "04:60", "noon"} {
		if w, err := ParseWhen(text); err == nil {
			t.Errorf("%q is %v", text, w)
		}
	}
}

func TestSealed(t *testing.T) {
	text := Sealed("a\nb\n")
	for given, want := range map[string][2]bool{
		text: {true, true}, text + "c\n": {true, false}, strings.Replace(text, "a\n", "", 1): {true, false}, "a\nb\n": {}, "": {},
	} {
		if made, intact := Intact(given); made != want[0] || intact != want[1] {
			t.Errorf("%q: %v, %v", given, made, intact)
		}
	}
}

// job is one with everything in it.
func job(change func(*Job)) Job {
	j := Job{
		Facts: Facts{
			Target: "prod", Program: "/bin/true", Dir: "/", Folders: []string{"/srv/with space", "/srv/50%"}, StateDir: "/var/lib/x", User: "root", Root: true,
		},
		Args: append([]string{"rotate"}, odd...), Env: []string{"PATH=/usr/bin:/bin", "A=5% of $x 'y'"}, When: When{Hour: 4, Minute: 7}, Mail: "ops@example.com",
	}
	change(&j)
	return j
}

// systemd-analyze knows each line, and the service is shut in as far as it goes.
func TestUnitsAreKnown(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze on this machine")
	}
	for name, j := range map[string]Job{
		"root": job(func(*Job) {}), "foreign": job(func(j *Job) { j.Hooks = true }),
		"user": job(func(j *Job) { j.Root = false }), "usual": job(func(j *Job) { j.StateDir, j.Target, j.Mail = ownState, "", "" }),
		"often": job(func(j *Job) { j.When = When{Hour: Hourly, Minute: 7, Step: 15} }),
	} {
		dir := t.TempDir()
		args := []string{"verify", "--man=no"}
		if !j.Root {
			args = append(args, "--user")
		}
		for _, u := range j.Units() {
			if err := os.WriteFile(filepath.Join(dir, u.Name), []byte(u.Text), 0o600); err != nil {
				t.Fatal(err)
			}
			if made, intact := Intact(u.Text); !made || !intact {
				t.Errorf("%s: %s is not sealed", name, u.Name)
			}
			args = append(args, filepath.Join(dir, u.Name))
		}
		t.Setenv("XDG_RUNTIME_DIR", dir) // verify --user wants one
		out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
		if err != nil || strings.Contains(string(out), dir) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if !j.Root || j.Foreign() {
			continue
		}
		service := filepath.Join(dir, Service(j.Target))
		if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=30", service).CombinedOutput(); err != nil { // tenths; 96 is a unit without any of it
			t.Errorf("%s: more is open than should be: %v\n%s", name, err, out)
		}
	}
}

func TestFor(t *testing.T) {
	f := Facts{
		Target: "prod", Program: "/b", Dir: "/srv", Config: "/srv/blnkctl.yaml", StateDir: ownState, Restart: []string{"docker:server"}, Stores: []string{"vault:secret/blnk"},
		Environ: []string{"PATH=/old", "DOCKER_HOST=ssh://x", "VAULT_ADDR=https://v", "VAULT_TOKEN=hush", "BLNK_SERVER_SECRET_KEY=hush", "PATH=/new",
			"DOCKER_CONTEXT=blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH",
		}, Root: true,
	}
	j := For(f)
	if got := strings.Join(j.Env, " "); got != "PATH=/new DOCKER_HOST=ssh://x VAULT_ADDR=https://v" {
		t.Error(got)
	}
	if got := strings.Join(j.Args, " "); got != "rotate prod -q --if-older-than 90d --config /srv/blnkctl.yaml" || j.Foreign() {
		t.Errorf("%s, %+v", got, j)
	}
	if got := f.Lacking(); !slices.Equal(got, []string{"VAULT_TOKEN"}) {
		t.Error(got)
	}
	f.Policy.MaxAge, f.StateDir, f.TellState, f.Restart = time.Hour, "/s", true, []string{"docker:server", "sh:x"}
	if j = For(f); strings.Join(j.Args, " ") != "rotate prod -q --if-due --config /srv/blnkctl.yaml --state-dir /s" || j.StateDir != "/s" || !j.Foreign() {
		t.Errorf("%+v", j)
	}
	for _, text := range []string{"", "-oops", "a b", "x;y", "a%b", "$HOME", "`id`", "a\nb"} {
		if mail, err := ParseMail(text); err == nil {
			t.Errorf("%q is %s", text, mail)
		}
	}
}
