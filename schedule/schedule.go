// Package schedule writes what has a host run blnkctl again and again: a line for cron
// and units for systemd, made for the program, the places and the restart at hand. It
// is pure: facts in, texts out; schedule/host puts them in their places.
//
// What it writes runs often, and does nothing mostly: the policy, or an age, decides
// whether a rotation is due. It does not promise that a machine is awake at that time.
package schedule

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/policy"
)

// A Job is what is run again and again: one command of blnkctl.
type Job struct {
	Facts
	Args []string // behind the program
	Env  []string // as NAME=VALUE: what it needs of this shell; cron and systemd have their own
	When When
	Mail string // an address to which a failure is mailed; "": whoever cron tells anyhow
}

// Command is the job as the command of a line for cron.
func (j Job) Command() string { return j.command(cronWords) }

func (j Job) command(words func(...string) string) string {
	line := ""
	if j.Dir != "" {
		line = words("cd", j.Dir) + " && "
	}
	for _, v := range j.Env {
		name, value, _ := strings.Cut(v, "=")
		line += name + "=" + words(value) + " "
	}
	return line + words(append([]string{j.Program}, j.Args...)...)
}

// A When is a time of the day, or of each hour.
type When struct {
	Hour   int // Hourly: each
	Minute int
	Step   int // minutes from one to the next, from Minute on; 0: once an hour
}

// Hourly is the Hour of what runs in each.
const Hourly = -1

// WhenFor is a time for a host and what runs there: always the same, and another one
// elsewhere, in the small hours; where rotations have windows, often enough that none is
// missed, whatever zone it is in.
func WhenFor(host, target string, windows []policy.Window) When {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(host + "\x00" + target))
	n := int(sum.Sum32() % (3 * 60))
	if len(windows) == 0 {
		return When{Hour: 3 + n/60, Minute: n % 60}
	}
	shortest := 60
	for _, w := range windows {
		shortest = min(shortest, (w.To-w.From+24*60-1)%(24*60)+1) // all day is no time at all, else
	}
	for _, step := range []int{60, 30, 15, 5, 1} {
		if step <= shortest {
			return When{Hour: Hourly, Minute: n % step, Step: step % 60}
		}
	}
	return When{Hour: Hourly, Step: 1}
}

// ParseMail reads an address, or the name of a login, to which mail is sent. What a shell
// or cron could take for something else is none.
func ParseMail(text string) (string, error) {
	if text == "" || text[0] == '-' || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.@_+-") != "" {
		return "", errors.New("want an address such as ops@example.com")
	}
	return text, nil
}

// ParseWhen reads a time of the day, such as 04:30.
func ParseWhen(text string) (When, error) {
	at, err := time.Parse("15:04", text)
	if err != nil {
		return When{}, errors.New("want a time of the day, such as 04:30")
	}
	return When{Hour: at.Hour(), Minute: at.Minute()}, nil
}

// String says it to a person.
func (w When) String() string {
	switch {
	case w.Hour != Hourly:
		return fmt.Sprintf("every day at %02d:%02d", w.Hour, w.Minute)
	case w.Step == 1:
		return "every minute"
	case w.Step > 0:
		return fmt.Sprintf("every %d minutes", w.Step)
	}
	return fmt.Sprintf("every hour at minute %d", w.Minute)
}

// cron is the time as crontab(5) has it.
func (w When) cron() string {
	minute := fmt.Sprint(w.Minute)
	if w.Step > 0 {
		minute = fmt.Sprintf("%d-59/%d", w.Minute, w.Step)
	}
	if w.Hour == Hourly {
		return minute + " * * * *"
	}
	return fmt.Sprintf("%s %d * * *", minute, w.Hour)
}

// calendar is the time as systemd.time(7) has it.
func (w When) calendar() string {
	switch {
	case w.Hour != Hourly:
		return fmt.Sprintf("*-*-* %02d:%02d:00", w.Hour, w.Minute)
	case w.Step > 0:
		return fmt.Sprintf("*-*-* *:%02d/%d:00", w.Minute, w.Step)
	}
	return fmt.Sprintf("*-*-* *:%02d:00", w.Minute)
}

// A File is one of those that a schedule is made of.
type File struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Name is what a schedule of a target is called: without a dot, since cron does not read
// files that have one (run-parts(8)).
func Name(target string) string {
	if target == "" {
		return "blnkctl-rotate"
	}
	return "blnkctl-rotate-" + target
}

// seal is the first line of what is written, from which is told later whether a person
// has changed it since.
const seal = "# Made by `blnkctl schedule`, which also takes it away (--remove). Unchanged: "

// Sealed puts the first line before a text.
func Sealed(text string) string { return seal + sum(text) + "\n" + text }

// Intact says whether a text was sealed, and whether it still is as it was then.
func Intact(text string) (made, intact bool) {
	first, rest, _ := strings.Cut(text, "\n")
	want, made := strings.CutPrefix(first, seal)
	return made, made && want == sum(rest)
}

func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:12] }

// The longest command that cron takes (MAX_COMMAND of its sources is 1000), and why one
// is refused.
const maxCron = 998

var errCron = errors.New("cron cannot run this")

// Cron is the job as a crontab has it: that of its user, or a file of /etc/cron.d, which
// is nobody's and names one.
func (j Job) Cron(system bool) (string, error) {
	text := ""
	if j.Mail != "" {
		text = "MAILTO=" + j.Mail + "\n"
	}
	if i := slices.IndexFunc(j.Env, func(v string) bool { return strings.HasPrefix(v, "PATH=") }); i >= 0 && system {
		text += j.Env[i] + "\n" // else it would hold for lines of others
		j.Env = slices.Delete(slices.Clone(j.Env), i, i+1)
	}
	command := j.command(cronWords)
	switch {
	case strings.ContainsAny(command, "\n\r"):
		return "", hint.Add(fmt.Errorf("%w: a line end stands in the command", errCron), "put it into a script")
	case len(command) > maxCron:
		return "", hint.Add(fmt.Errorf("%w: the command has %d characters, more than %d", errCron, len(command), maxCron), "name the places in blnkctl.yaml")
	}
	if text += j.When.cron() + " "; system {
		text += j.User + " "
	}
	text += command + "\n"
	if j.Mail != "" && !system { // the lines below are not ours: their mail goes where it went
		text += "MAILTO=" + j.User + "\n"
	}
	return text, nil
}

// cronWords is hint.Command for a crontab, in which a % is a line end (crontab(5)). It
// stands outside of quotes, where the backslash is taken away by whichever comes first:
// cron, or with busybox's the shell.
func cronWords(words ...string) string {
	out := slices.Clone(words)
	for i, word := range words {
		out[i] = hint.Command(word)
		if strings.HasPrefix(out[i], "'") {
			out[i] = strings.ReplaceAll(out[i], "%", `'\%'`)
		} else {
			out[i] = strings.ReplaceAll(out[i], "%", `\%`)
		}
	}
	return strings.Join(out, " ")
}
