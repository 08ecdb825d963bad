// Package host puts the schedules of package schedule in their places on this host, and
// takes them away: a file of /etc/cron.d, a block in a crontab, units of systemd.
//
// A Plan is what would be changed, looked at once; Apply changes it where it still is so,
// each file as a whole. What a person has written or changed is refused. It does not
// promise that cron runs, or that its mail arrives.
package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/schedule"
)

// Errors that a caller takes a decision on.
var (
	// ErrForeign: what stands there was written or changed by a person.
	ErrForeign = errors.New("was written or changed by a person")
	// ErrOther: it is the schedule of another target.
	ErrOther = errors.New("is the schedule of another folder")
	// ErrChanged: it is not what was looked at. Nothing more was written.
	ErrChanged = errors.New("changed meanwhile")
	// ErrNone: this host has nothing that could run it.
	ErrNone = errors.New("nothing here that could run it")
)

// A Kind is what runs a schedule.
type Kind string

// The kinds.
const (
	Cron    Kind = "cron"
	Systemd Kind = "systemd"
)

// A Host is where schedules stand here.
type Host struct {
	Root    bool
	Env     []string // for crontab and systemctl
	CronDir string   // of files that cron reads; "": there is none, or it is not ours to write
	UnitDir string
}

// here is this host, for root or another user.
func here(root bool, env []string, getenv func(string) string) Host {
	h := Host{Root: root, Env: env, CronDir: "/etc/cron.d", UnitDir: "/etc/systemd/system"}
	if _, err := os.Stat(h.CronDir); err != nil || !root {
		h.CronDir = ""
	}
	if !root {
		dir := getenv("XDG_CONFIG_HOME")
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(getenv("HOME"), ".config")
		}
		h.UnitDir = filepath.Join(dir, "systemd", "user")
	}
	return h
}

// Mails says whether cron finds what sends mail, at the places where crons look.
func Mails() bool {
	return slices.ContainsFunc([]string{"/usr/sbin/sendmail", "/usr/lib/sendmail"}, func(program string) bool {
		_, err := os.Stat(program)
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// Usual is the kind that runs here: cron, but where there is only systemd.
func Usual() Kind {
	if !there("/run/systemd/system") || slices.ContainsFunc(crons, there) {
		return Cron
	}
	return Systemd
}

// places are where the schedule of a target can stand.
func (h Host) places(kind Kind, target string) (all []place) {
	if kind == Cron && h.CronDir == "" {
		return []place{table{h.Env, target}}
	}
	dir, names := h.CronDir, []string{schedule.Name(target)}
	if kind == Systemd { // the last one may be there from an earlier time
		dir, names = h.UnitDir, []string{schedule.Service(target), schedule.Timer(target), schedule.Mailer(target)}
	}
	for _, name := range names {
		all = append(all, file(filepath.Join(dir, name)))
	}
	return all
}

// Files are the texts of a schedule, by their places.
func (h Host) Files(kind Kind, job schedule.Job) (files []schedule.File, err error) {
	places := h.places(kind, job.Target)
	if kind == Systemd {
		if err := job.CheckUnits(); err != nil {
			return nil, err
		}
		for i, f := range job.Units() {
			files = append(files, schedule.File{Name: places[i].String(), Text: f.Text})
		}
		return files, nil
	}
	text, err := job.Cron(h.CronDir != "")
	text = schedule.Sealed(text)
	if t, ok := places[0].(table); ok {
		text = t.block(text)
	}
	return []schedule.File{{Name: places[0].String(), Text: text}}, err
}

// A Plan is what is to be changed for one schedule.
type Plan struct {
	host    Host
	changes []change
	before  []command // these are told of the manager of units, undo where the rest fails
	undo    []command
	after   []command
}

// A change is of the text of a place.
type change struct {
	place
	old, next string
}

// A command is one of the manager of units.
type command []string

// Plan looks at what stands here, and says what is to be changed so that the job is run;
// or not any more, where remove is true. force takes what a person changed.
func (h Host) Plan(ctx context.Context, kind Kind, job schedule.Job, remove, force bool) (*Plan, error) {
	p := &Plan{host: h}
	var want []schedule.File
	err := h.check(kind)
	if err == nil && !remove {
		want, err = h.Files(kind, job)
	}
	if err != nil {
		return nil, err
	}
	for i, at := range h.places(kind, job.Target) {
		one := change{place: at}
		if one.old, err = at.read(ctx); err != nil {
			return nil, err
		}
		if i < len(want) {
			one.next = want[i].Text
		}
		if !force {
			err = one.refuse(job)
		}
		if err != nil {
			return nil, err
		}
		if one.old != one.next {
			p.changes = append(p.changes, one)
		}
	}
	if kind == Systemd {
		p.units(ctx, schedule.Timer(job.Target), remove)
	}
	return p, nil
}

// check says why nothing here could run it.
func (h Host) check(kind Kind) error {
	program, other := "crontab", "blnkctl schedule systemd --install"
	if kind == Systemd {
		program, other = "systemctl", "blnkctl schedule cron --install"
	} else if h.CronDir != "" {
		return nil
	}
	if err := (run.Cmd{Args: []string{program}, Env: h.Env}).Check(); err != nil {
		return hint.Add(fmt.Errorf("%w with %s: %w", ErrNone, kind, err), "%s", other)
	}
	return nil
}

// refuse is the error of a text that is not ours to replace by the next one.
func (c change) refuse(job schedule.Job) error {
	old := c.old
	if t, ok := c.place.(table); ok {
		old = t.inside(old)
	}
	made, intact := schedule.Intact(old)
	runsIn := func(text string) bool {
		return strings.Contains(text, " cd "+hint.Command(job.Dir)+" && ") || strings.Contains(text, "\nWorkingDirectory="+job.Dir+"\n")
	}
	switch {
	case old == "", c.old == c.next, intact && (job.Target != "" || runsIn(old) || !runsIn(c.next)):
		return nil
	case intact: // two targets that have no name
		return hint.Add(fmt.Errorf("%s %w", c, ErrOther), "name both targets in blnkctl.yaml: `blnkctl schedule %s NAME`; or --force replaces that one", Usual())
	case made:
		return hint.Add(fmt.Errorf("%s %w", c, ErrForeign), "--force takes no notice of that; with --dry-run it shows what would be lost")
	}
	return hint.Add(fmt.Errorf("%s %w", c, ErrForeign), "move it away; or --force, which shows with --dry-run what would be lost")
}

// units says what the manager of units has to be told of a timer.
func (p *Plan) units(ctx context.Context, timer string, remove bool) {
	enabled := p.host.says(ctx, "is-enabled", timer) == "enabled"
	active := p.host.says(ctx, "is-active", timer) == "active"
	tell := p.host.systemctl
	if enabled {
		p.undo = append(p.undo, tell("enable", timer))
	}
	if active {
		p.undo = append(p.undo, tell("start", timer))
	}
	switch {
	case remove && (enabled || active):
		p.before, p.after = []command{tell("disable", "--now", timer)}, []command{tell("daemon-reload")}
	case remove && len(p.changes) > 0:
		p.after = []command{tell("daemon-reload")}
	case !remove && len(p.changes) > 0:
		p.after = []command{tell("daemon-reload"), tell("enable", timer), tell("restart", timer)}
	case !remove && !(enabled && active):
		p.after = []command{tell("enable", "--now", timer)}
	}
}

func (h Host) systemctl(args ...string) command {
	all := command{"systemctl", "--no-ask-password"}
	if !h.Root {
		all = append(all, "--user")
	}
	return append(all, args...)
}

// says is the word that systemctl answers.
func (h Host) says(ctx context.Context, args ...string) string {
	out, _, err := run.Cmd{Args: h.systemctl(args...), Env: h.Env, Timeout: time.Minute}.Read(ctx)
	if err != nil {
		return "" // no, or not known: it is told again, which changes nothing
	}
	return strings.TrimSpace(out.Reveal())
}

// Empty says that everything is as it should be.
func (p *Plan) Empty() bool { return len(p.changes)+len(p.before)+len(p.after) == 0 }

// Diff shows the plan: what goes, what comes, and what is run.
func (p *Plan) Diff() string {
	var b strings.Builder
	commands := func(all []command) {
		for _, args := range all {
			b.WriteString("run: " + hint.Command(slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--no-ask-password" })...) + "\n")
		}
	}
	commands(p.before)
	for _, c := range p.changes {
		what := "changed"
		if c.old == "" {
			what = "new"
		} else if c.next == "" {
			what = "removed"
		}
		b.WriteString(exposure.Edit{Path: c.String(), Old: []byte(c.old), New: []byte(c.next), What: what}.Diff())
	}
	commands(p.after)
	return b.String()
}

// Apply makes the changes. Where one cannot be made, or the manager of units refuses them,
// they are taken back.
func (p *Plan) Apply(ctx context.Context) error {
	err := p.tell(ctx, p.before)
	var done []change
	for _, c := range p.changes {
		if err != nil {
			break
		}
		if err = c.put(ctx, c.old, c.next); err == nil {
			done = append(done, c)
		}
	}
	if err == nil {
		err = p.tell(ctx, p.after)
	}
	if err == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	for _, c := range done {
		err = errors.Join(err, c.put(ctx, c.next, c.old))
	}
	if len(p.after) > 0 && len(done) > 0 {
		_ = p.tell(ctx, []command{p.host.systemctl("daemon-reload")}) // the error that led here matters more
	}
	if len(p.before) > 0 {
		err = errors.Join(err, p.tell(ctx, p.undo))
	}
	return err
}

func (p *Plan) tell(ctx context.Context, commands []command) error {
	for _, args := range commands {
		if _, err := (run.Cmd{Args: args, Env: p.host.Env, Timeout: time.Minute}).Run(ctx); err != nil {
			if exit, ok := errors.AsType[*run.ExitError](err); ok {
				err = run.Saying(err, exit.Result.Output)
			}
			return fmt.Errorf("%s: %w", hint.Command(args...), err)
		}
	}
	return nil
}
