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

// Files are the texts of a schedule, by their places.
func (h Host) Files(kind Kind, job schedule.Job) (files []schedule.File, err error) {
	if kind == Systemd {
		if err := job.CheckUnits(); err != nil {
			return nil, err
		}
		for _, f := range job.Units() {
			files = append(files, schedule.File{Name: filepath.Join(h.UnitDir, f.Name), Text: f.Text})
		}
		return files, nil
	}
	text, err := job.Cron(h.CronDir != "")
	one := schedule.File{Name: "crontab -l", Text: block(job.Target, text)}
	if h.CronDir != "" {
		one = schedule.File{Name: filepath.Join(h.CronDir, schedule.Name(job.Target)), Text: schedule.Sealed(text)}
	}
	return []schedule.File{one}, err
}

// A Plan is what is to be changed for one schedule.
type Plan struct {
	host   Host
	target string
	files  []change // of systemd, and in /etc/cron.d
	table  *change  // the crontab
	before [][]string
	after  [][]string
}

// A change is of one text; "" is none.
type change struct{ path, old, next string }

// Plan looks at what stands here, and says what is to be changed so that the job is run;
// or not any more, where remove is true. force takes what a person changed.
func (h Host) Plan(ctx context.Context, kind Kind, job schedule.Job, remove, force bool) (*Plan, error) {
	p := &Plan{host: h, target: job.Target}
	var want []schedule.File
	if err := h.check(kind); err != nil {
		return nil, err
	}
	if !remove {
		var err error
		if want, err = h.Files(kind, job); err != nil {
			return nil, err
		}
	}
	if kind == Cron && h.CronDir == "" {
		return p, p.lookAtTable(ctx, want, job, force)
	}
	dir, names := h.CronDir, []string{schedule.Name(job.Target)}
	if kind == Systemd { // the last one may be there from an earlier time
		mailer := schedule.Job{Target: job.Target, Mail: "root"}.Units()[2].Name
		dir, names = h.UnitDir, []string{schedule.Service(job.Target), schedule.Timer(job.Target), mailer}
	}
	for _, name := range names {
		one := change{path: filepath.Join(dir, name)}
		var err error
		if one.old, err = read(one.path); err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(want, func(f schedule.File) bool { return f.Name == one.path }); i >= 0 {
			one.next = want[i].Text
		}
		if err := refuse(one.path, one.old, one.next, job, force); err != nil {
			return nil, err
		}
		if one.old != one.next {
			p.files = append(p.files, one)
		}
	}
	if kind == Systemd {
		p.units(ctx, remove)
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
func refuse(path, old, next string, job schedule.Job, force bool) error {
	made, intact := schedule.Intact(old)
	runsIn := func(text string) bool {
		return strings.Contains(text, " cd "+hint.Command(job.Dir)+" && ") || strings.Contains(text, "\nWorkingDirectory="+job.Dir+"\n")
	}
	switch {
	case old == "", old == next, force, intact && (job.Target != "" || runsIn(old) || !runsIn(next)):
		return nil
	case intact: // two targets that have no name
		return hint.Add(fmt.Errorf("%s %w", path, ErrOther), "name both targets in blnkctl.yaml: `blnkctl schedule %s NAME`; or --force replaces that one", Usual())
	case made:
		return hint.Add(fmt.Errorf("%s %w", path, ErrForeign), "--force takes no notice of that; with --dry-run it shows what would be lost")
	}
	return hint.Add(fmt.Errorf("%s %w", path, ErrForeign), "move it away; or --force, which shows with --dry-run what would be lost")
}

// units says what the manager of units has to be told.
func (p *Plan) units(ctx context.Context, remove bool) {
	timer := schedule.Timer(p.target)
	enabled := p.host.says(ctx, "is-enabled", timer) == "enabled"
	active := p.host.says(ctx, "is-active", timer) == "active"
	reload := p.host.systemctl("daemon-reload")
	switch {
	case remove && (enabled || active):
		p.before = [][]string{p.host.systemctl("disable", "--now", timer)}
		p.after = [][]string{reload}
	case remove && len(p.files) > 0:
		p.after = [][]string{reload}
	case !remove && len(p.files) > 0:
		p.after = [][]string{reload, p.host.systemctl("enable", timer), p.host.systemctl("restart", timer)}
	case !remove && !(enabled && active):
		p.after = [][]string{p.host.systemctl("enable", "--now", timer)}
	}
}

func (h Host) systemctl(args ...string) []string {
	all := []string{"systemctl", "--no-ask-password"}
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
func (p *Plan) Empty() bool {
	return len(p.files) == 0 && p.table == nil && len(p.before)+len(p.after) == 0
}

// Diff shows the plan: what goes, what comes, and what is run.
func (p *Plan) Diff() string {
	var b strings.Builder
	commands := func(all [][]string) {
		for _, args := range all {
			b.WriteString("run: " + hint.Command(slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--no-ask-password" })...) + "\n")
		}
	}
	commands(p.before)
	for _, c := range p.files {
		b.WriteString(c.diff())
	}
	if p.table != nil {
		b.WriteString(p.table.within(p.target).diff())
	}
	commands(p.after)
	return b.String()
}

func (c change) diff() string {
	what := "changed"
	if c.old == "" {
		what = "new"
	} else if c.next == "" {
		what = "removed"
	}
	return exposure.Edit{Path: c.path, Old: []byte(c.old), New: []byte(c.next), What: what}.Diff()
}

// Apply makes the changes. Where the manager of units refuses them, they are taken back.
func (p *Plan) Apply(ctx context.Context) error {
	if p.table != nil {
		return p.setTable(ctx)
	}
	if err := p.tell(ctx, p.before); err != nil {
		return err
	}
	for i, c := range p.files {
		if err := c.write(ctx); err != nil {
			return errors.Join(err, p.takeBack(ctx, p.files[:i]))
		}
	}
	err := p.tell(ctx, p.after)
	if err != nil && len(p.before) == 0 {
		err = errors.Join(err, p.takeBack(context.WithoutCancel(ctx), p.files))
	}
	return err
}

func (p *Plan) takeBack(ctx context.Context, done []change) (err error) {
	for _, c := range done {
		err = errors.Join(err, change{c.path, c.next, c.old}.write(ctx))
	}
	if len(p.after) > 0 && len(done) > 0 {
		_ = p.tell(ctx, [][]string{p.host.systemctl("daemon-reload")}) // the error that led here matters more
	}
	return err
}

func (p *Plan) tell(ctx context.Context, commands [][]string) error {
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
