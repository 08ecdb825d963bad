package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/state"
)

func mustParse(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse("https://192.0.2.1" + path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// An inbox takes notices.
type inbox struct {
	mu   sync.Mutex
	got  []Event
	fail error
}

func (i *inbox) send(_ context.Context, e Event) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fail == nil {
		i.got = append(i.got, e)
	}
	return i.fail
}

// kinds are the kinds of what came since it was asked last.
func (i *inbox) kinds() string {
	var all []string
	for _, e := range i.got {
		kind := e.Kind
		if e.Late {
			kind = "late " + kind
		}
		all = append(all, kind)
	}
	i.got = nil
	return strings.Join(all, " ")
}

func TestKindsAreConfigs(t *testing.T) {
	if all := append(slices.Clone(problems), Success, Recovered, Test); len(all) != len(config.NoticeKinds) ||
		slices.ContainsFunc(all, func(kind string) bool { return !slices.Contains(config.NoticeKinds, kind) }) {
		t.Errorf("%q, and config has %q", all, config.NoticeKinds)
	}
}

// told is a teller of one inbox, with a state folder and an audit log.
func teller(t *testing.T, dir string, box sender, on ...string) *Teller {
	t.Helper()
	private, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{State: private.Target("blnkjson:/x"), Log: audit.Open(dir, time.Now), Store: "blnkjson:/x#k", Now: time.Now}
	return &Teller{opt: opt, receivers: []receiver{{Notice: config.Notice{To: "command:box", On: on}, sender: box}}}
}

func stateDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

var (
	failed = Event{Kind: Failure, Command: "rotate", Target: "prod", Host: "h1", ExitCode: 3, Outcome: "rolled_back", Error: "run ./restart: exit status 7"}
	done   = Event{Kind: Success, Command: "rotate", Target: "prod", Outcome: "rotated", Ends: []string{Failure, Stuck, Overdue}}
	idle   = Event{Command: "rotate", Target: "prod", Outcome: "not_due", Ends: []string{Failure, Stuck, Overdue}}
)

// A failure each hour is told once a day, whatever the try says of times and numbers,
// and its end once.
func TestLasting(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		run := func(e Event) {
			t.Helper()
			if _, err := teller(t, dir, box).Tell(t.Context(), e); err != nil { // each run is a process of its own
				t.Fatal(err)
			}
		}
		first := time.Now()
		for hour := range 73 {
			e := failed
			e.Error = fmt.Sprintf("run ./restart: exit status %d", hour%5)
			if hour%3 > 0 {
				e = Event{Kind: Failure, Command: "rotate", ExitCode: 6, Waits: true, Error: "the last rotation was rolled back; the next try is due at " + time.Now().String()}
			}
			run(e)
			if hour%24 == 0 {
				if len(box.got) != 1 || (hour > 0) != box.got[0].Since.Equal(first) {
					t.Fatalf("hour %d: %+v", hour, box.got)
				}
				box.got = nil
			}
			<-time.After(time.Hour)
		}
		if got := box.kinds(); got != "" {
			t.Errorf("between: %s", got)
		}
		// Another cause is told at once, and not in turn with the first.
		other := failed
		other.Error = "the stores differ"
		for range 5 {
			run(other)
			run(failed)
			<-time.After(time.Minute)
		}
		if got := box.kinds(); got != "failure" {
			t.Errorf("in turn: %s", got)
		}
		run(idle)
		if len(box.got) != 1 || !box.got[0].Since.Equal(first) {
			t.Errorf("the end: %+v", box.got)
		}
		if got := box.kinds(); got != "recovered" {
			t.Errorf("the end: %s", got)
		}
		run(idle)
		run(done)
		if got := box.kinds(); got != "success" {
			t.Errorf("afterwards: %s", got)
		}
		run(failed)
		run(done)
		run(idle)
		if got := box.kinds(); got != "failure recovered" {
			t.Errorf("a success that ends something: %s", got)
		}
	})
}

// A daily job does not begin at the same second each day.
func TestDaily(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{}
		for day := range 5 {
			_, _ = teller(t, dir, box).Tell(t.Context(), failed)
			if got := box.kinds(); got != "failure" {
				t.Errorf("day %d: %s", day, got)
			}
			<-time.After(24*time.Hour - time.Duration(day)*time.Minute)
		}
	})
}

// A clock that was ahead once does not make everybody silent.
func TestClockAhead(t *testing.T) {
	dir, box := stateDir(t), &inbox{}
	e := failed
	for i, at := range []time.Duration{1000, 0, 1, 25} {
		e.Time = time.Now().Add(at * time.Hour)
		_, _ = teller(t, dir, box).Tell(t.Context(), e)
		if got, want := box.kinds(), []string{"failure", "failure", "", "failure"}[i]; got != want {
			t.Errorf("%d hours: %q, want %q", at, got, want)
		}
	}
}

// Causes that are new each time do not become a flood.
func TestFlood(t *testing.T) {
	dir, box := stateDir(t), &inbox{}
	for i := range 100 {
		e := failed
		e.Error = "cause " + strings.Repeat("a", i)
		_, _ = teller(t, dir, box).Tell(t.Context(), e)
	}
	if n := len(box.got); n != mostCauses {
		t.Errorf("%d notices, want %d", n, mostCauses)
	}
}

func TestOn(t *testing.T) {
	overdue := failed
	overdue.Overdue = true
	stuck := Event{Kind: Stuck, ExitCode: 4}
	warned := done
	warned.ExitCode = Incomplete
	found := Event{Kind: Findings, Findings: []string{"BLNK-1.6 /x: 91 days old"}, ExitCode: 6}
	passed := Event{Ends: []string{Findings}}
	for _, c := range []struct {
		on     string
		events []Event
		want   string
	}{
		{"", []Event{done, failed, stuck, idle, found, found, passed}, "success failure stuck recovered findings recovered"},
		{"success", []Event{done, failed, stuck, done, found, passed}, "success success"},
		{"failure", []Event{done, failed, stuck, idle, idle}, "failure recovered"},
		{"stuck", []Event{failed, stuck, failed, idle}, "stuck recovered"},
		{"failure stuck", []Event{stuck, failed, stuck, done}, "stuck failure stuck recovered"},
		{"failure", []Event{done, warned}, "success"}, // it needs somebody
		{"overdue", []Event{failed, overdue, overdue, done}, "overdue recovered"},
		{"", []Event{overdue, overdue, done}, "failure recovered"}, // which says that it is overdue
		{"", []Event{failed, overdue, done}, "failure overdue recovered"},
		{"recovered", []Event{failed, done}, ""}, // nobody was told that it began
		{"success", []Event{{Kind: Test}}, "test"},
		{"findings", []Event{found, failed, done, found, passed}, "findings recovered"},
	} {
		box := &inbox{}
		dir := stateDir(t)
		for _, e := range c.events {
			if _, err := teller(t, dir, box, strings.Fields(c.on)...).Tell(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if got := box.kinds(); got != c.want {
			t.Errorf("on %q: %q, want %q", c.on, got, c.want)
		}
	}
}

// What did not get through is told by the next run.
func TestNotDelivered(t *testing.T) {
	dir, box := stateDir(t), &inbox{fail: errors.New("it answered 500")}
	for range 2 {
		all, err := teller(t, dir, box).Tell(t.Context(), failed)
		if lines := notDelivered(all); err != nil || len(lines) != 1 || lines[0] != "not told: command:box: it answered 500" {
			t.Errorf("%q, %v", lines, err)
		}
	}
	box.fail = nil
	all, _ := teller(t, dir, box).Tell(t.Context(), failed)
	if lines := notDelivered(all); lines != nil || box.kinds() != "failure" {
		t.Errorf("%q", lines)
	}
	box.fail = errors.New("down")
	_, _ = teller(t, dir, box).Tell(t.Context(), done)
	box.fail = nil
	_, _ = teller(t, dir, box).Tell(t.Context(), idle)
	if got := box.kinds(); got != "recovered" {
		t.Errorf("an end that did not get through: %q", got)
	}
}

// A run that was killed behind its end is told by the next one, once, and what was
// before anybody was to be told is not.
func TestUntold(t *testing.T) {
	dir, box := stateDir(t), &inbox{}
	log := audit.Open(dir, time.Now)
	add := func(rotation, outcome, store string) {
		t.Helper()
		if err := log.Append(t.Context(), audit.Record{Event: "rotate", Rotation: rotation, Outcome: outcome, Stores: []string{store}}); err != nil {
			t.Fatal(err)
		}
	}
	run := func(rotation, outcome string) string {
		t.Helper()
		tell := teller(t, dir, box)
		if err := tell.Begin(); err != nil {
			t.Fatal(err)
		}
		e := idle
		if rotation != "" {
			add(rotation, outcome, "blnkjson:/x#k")
			e = done
		}
		e.Attempt, e.Rotation = true, rotation
		if _, err := tell.Tell(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		return box.kinds()
	}
	add("r0", "rotated", "blnkjson:/x#k")
	if err := teller(t, dir, box).Begin(); err != nil { // and killed behind its end
		t.Fatal(err)
	}
	add("r1", "rotated", "blnkjson:/x#k")
	for i := range 600 { // a host with many targets
		add(fmt.Sprint("other", i), "rotated", "blnkjson:/other#k")
	}
	add("", "refused", "blnkjson:/x#k")
	add("r1", "stuck", "blnkjson:/x#k")
	for i, c := range []struct{ rotation, want string }{{"", "late success"}, {"", ""}, {"r3", "success"}, {"", ""}} {
		if got := run(c.rotation, "rotated"); got != c.want {
			t.Errorf("run %d: %q, want %q", i, got, c.want)
		}
	}
	add("r4", "rolled_back", "blnkjson:/x#k")
	if got := run("r5", "rotated"); got != "late failure success" {
		t.Errorf("before another one: %q", got)
	}
	// What cannot be read for a while is not told twice, to whoever is new neither.
	kept := filepath.Join(dir, "kept")
	if err := errors.Join(os.Rename(filepath.Join(dir, "audit.log"), kept), os.Mkdir(filepath.Join(dir, "audit.log"), 0o700)); err != nil {
		t.Fatal(err)
	}
	unread := idle
	unread.Attempt = true
	newer := &inbox{}
	for _, to := range []string{"command:box", "command:new"} {
		tell := teller(t, dir, map[string]*inbox{"command:box": box, "command:new": newer}[to])
		other := tell.receivers[0]
		tell.receivers[0].To, other.sender = to, &inbox{}
		if other.To = "command:new"; to == "command:new" {
			other.To = "command:box"
		}
		tell.receivers = append(tell.receivers, other) // who is not named any more is forgotten
		if _, err := tell.Tell(t.Context(), unread); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "audit.log")), os.Rename(kept, filepath.Join(dir, "audit.log"))); err != nil {
		t.Fatal(err)
	}
	tell := teller(t, dir, newer)
	tell.receivers[0].To = "command:new"
	tell.receivers = append(tell.receivers, teller(t, dir, box).receivers...)
	if _, err := tell.Tell(t.Context(), unread); err != nil || box.kinds() != "" || newer.kinds() != "" {
		t.Errorf("the log could not be read: %v, told again", err)
	}
	// One that did not get through is not lost, either.
	box.fail = errors.New("down")
	run("r6", "rotated")
	box.fail = nil
	if got := run("", ""); got != "late success" {
		t.Errorf("not delivered: %q", got)
	}
}

// The end of the audit log stands in each notice.
func TestAuditHead(t *testing.T) {
	dir, box := stateDir(t), &inbox{}
	log := audit.Open(dir, time.Now)
	var hash string
	for range 3 {
		if err := log.Append(t.Context(), audit.Record{Event: "rotate", Outcome: "rotated", Rotation: time.Now().String()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Records(1, func(r audit.Record) error { hash = r.Hash; return nil }); err != nil {
		t.Fatal(err)
	}
	_, _ = teller(t, dir, box).Tell(t.Context(), failed)
	if len(box.got) != 1 || *box.got[0].Audit != (Head{3, hash}) || !strings.Contains(box.got[0].Text(), "audit log: record 3, "+hash+"\n") {
		t.Errorf("%+v", box.got)
	}
}

// A memory that is gone, damaged or cannot be kept: told twice, and not never.
func TestMemoryLost(t *testing.T) {
	dir, box := stateDir(t), &inbox{}
	tell := func() (string, error) {
		_, err := teller(t, dir, box).Tell(t.Context(), failed)
		return box.kinds(), err
	}
	_, _ = tell()
	file := filepath.Join(teller(t, dir, box).opt.State.Path(), "told")
	for _, spoil := range []func() error{
		func() error { return os.Remove(file) },
		func() error { return os.WriteFile(file, []byte("{}"), 0o600) },
		func() error { return os.Truncate(file, 40) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if got, err := tell(); got != "failure" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700), os.WriteFile(filepath.Join(file, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got, err := tell(); got != "failure" || !errors.Is(err, ErrForgotten) {
		t.Errorf("%q, %v", got, err)
	}
}

// A program of somebody's gets the facts, and neither the addresses nor what an outer
// hook was told.
func TestCommand(t *testing.T) {
	dir := t.TempDir()
	notices := []config.Notice{{To: "command:mail"}, {To: "webhook:env:HOOK"}, {To: "command:none"}}
	tell := Open(notices, Options{
		Dir: dir, Now: time.Now, Env: []string{"PATH=" + os.Getenv("PATH"), "HOOK=https://192.0.2.1" + path, "BLNKCTL_HOOK_ERROR=old", "BLNK_SERVER_SECRET_KEY=k"},
		Command: config.File{Path: "/blnkctl.yaml", Commands: map[string]config.Command{"mail": {Run: []string{"sh", "-c", "cat >text; env >env; echo sent"}}}}.Command,
	})
	if shown := run.Mask("POST https://192.0.2.1"+path+" as "+path[strings.LastIndexByte(path, '/')+1:], tell.Secrets()...); shown != "POST [redacted] as [redacted]" {
		t.Error(shown)
	}
	if !tell.Only("command:mail") {
		t.Fatal("it is not there")
	}
	e := failed
	e.Warnings, e.Error = []string{"one", "two\x1b[31m\nthree"}, ""
	all, err := tell.Tell(t.Context(), e)
	if lines := notDelivered(all); err != nil || lines != nil {
		t.Fatalf("%q, %v", lines, err)
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if want := "blnkctl on h1: prod: rotate failed: everything was put back as it was\n- one\n- two\\x1b[31m three\nrotate on "; !strings.HasPrefix(read("text"), want) {
		t.Errorf("%s", read("text"))
	}
	env := read("env")
	for _, want := range []string{"BLNKCTL_HOOK_EVENT=failure\n", "BLNKCTL_HOOK_EXIT_CODE=3\n", "BLNKCTL_HOOK_ERROR=\n", "BLNKCTL_HOOK_SUBJECT=blnkctl on h1: prod: rotate failed"} {
		if !strings.Contains(env, want) {
			t.Errorf("no %q in\n%s", want, env)
		}
	}
	for _, never := range []string{"HOOK=https", "aVeryPrivate", "SECRET_KEY", "=old"} {
		if strings.Contains(env, never) {
			t.Errorf("%q in\n%s", never, env)
		}
	}
}

func TestCommandFails(t *testing.T) {
	c := command{[]string{"sh", "-c", "echo trying; echo blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH is down >&2; exit 75"}, t.TempDir(), nil}
	if err := c.send(t.Context(), failed); text(err) != "run sh: exit status 75: [redacted] is down" {
		t.Errorf("%v", err)
	}
	if err := Hook(t.Context(), `test "$BLNKCTL_HOOK_OLD" = x || exit 9`, "/", os.Environ(), failed); text(err) != "run sh: exit status 9" {
		t.Errorf("%v", err)
	}
}

// A text from elsewhere is no longer than a pipe holds, and holds no half of a key.
func TestLongTexts(t *testing.T) {
	const key = "blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH"
	e := failed
	e.Error = strings.Repeat("x", mostText-20) + " " + key
	for range 1000 {
		e.Warnings = append(e.Warnings, strings.Repeat("\u202e", 5000))
	}
	said := e.Text() + strings.Join(e.Variables(), "")
	if len(e.Text()) > 32<<10 || strings.Contains(said, key[:12]) {
		t.Errorf("%d bytes", len(e.Text()))
	}
	data, err := e.Document()
	if err != nil || strings.Contains(string(data), key[:12]) {
		t.Errorf("%v, %d bytes", err, len(data))
	}
}
