package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/schedule"
)

// The crontab of a user has lines of others: ours stand between two of these.
func marks(target string) (begin, end string) {
	return "# BEGIN " + schedule.Name(target) + "\n", "# END " + schedule.Name(target) + "\n"
}

// block is a text between its marks.
func block(target, text string) string {
	begin, end := marks(target)
	return begin + schedule.Sealed(text) + end
}

// errHalf: a person is needed.
var errHalf = hint.Add(errors.New("the lines of blnkctl schedule in the crontab have no end, or stand there twice"), "crontab -e")

// cut returns what stands before and behind our block of a crontab, and the block; "" for
// none.
func cut(table, target string) (before, ours, behind string, err error) {
	begin, end := marks(target)
	at := strings.Index("\n"+table, "\n"+begin)
	if at < 0 {
		return table, "", "", nil
	}
	before, rest := table[:at], table[at:]
	length := strings.Index("\n"+rest, "\n"+end)
	if length < 0 || strings.Contains("\n"+rest[len(begin):], "\n"+begin) {
		return "", "", "", errHalf
	}
	return before, rest[:length+len(end)], rest[length+len(end):], nil
}

// within is the change of our block alone: what else stands in a crontab is shown to
// nobody.
func (c change) within(target string) change {
	_, old, _, _ := cut(c.old, target)
	_, next, _, _ := cut(c.next, target)
	return change{c.path, old, next}
}

// lookAtTable plans the crontab with our block, or without it.
func (p *Plan) lookAtTable(ctx context.Context, want []schedule.File, job schedule.Job, force bool) error {
	table, err := p.host.table(ctx)
	if err != nil {
		return err
	}
	before, ours, behind, err := cut(table, p.target)
	if err != nil {
		return err
	}
	next := ""
	if len(want) > 0 {
		next = want[0].Text
	}
	begin, end := marks(p.target)
	if err := refuse("the crontab (# BEGIN "+schedule.Name(p.target)+")", strings.TrimSuffix(strings.TrimPrefix(ours, begin), end), strings.TrimSuffix(strings.TrimPrefix(next, begin), end), job, force); err != nil {
		return err
	}
	if ours == next {
		return nil
	}
	if next != "" && before != "" && !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	p.table = &change{"crontab -l", table, before + next + behind}
	return nil
}

// table is the crontab of this user; "" where there is none.
func (h Host) table(ctx context.Context) (string, error) {
	out, res, err := run.Cmd{Args: []string{"crontab", "-l"}, Env: h.Env, Timeout: time.Minute, Most: most}.Read(ctx)
	if err == nil {
		return out.Reveal(), nil
	}
	for _, none := range []string{"no crontab for", "No such file"} { // cron's and cronie's; busybox's
		if res.Exit == 1 && strings.Contains(res.Output, none) {
			return "", nil
		}
	}
	return "", fmt.Errorf("crontab -l: %w", run.Saying(err, res.Output))
}

// setTable gives the user the planned crontab, where the present one is what was looked
// at. Somebody who edits in the instant between the two is not seen: crontab(1) has no
// lock.
func (p *Plan) setTable(ctx context.Context) error {
	now, err := p.host.table(ctx)
	switch {
	case err != nil:
		return err
	case now == p.table.next:
		return nil
	case now != p.table.old:
		return fmt.Errorf("the crontab: %w", ErrChanged)
	}
	if err := p.host.install(ctx, p.table.next); err != nil {
		return err
	}
	now, err = p.host.table(ctx)
	if want := p.table.within(p.target).next; err == nil {
		if _, ours, _, failed := cut(now, p.target); failed != nil || ours != want {
			err = errors.New("crontab - ended well, but the crontab is not what it was given")
		}
	}
	return err
}

// install hands a text to crontab(1), through a pipe: a crontab may hold passwords.
func (h Host) install(ctx context.Context, text string) error {
	args := []string{"crontab", "-"}
	if text == "" {
		args[1] = "-r"
	}
	res, err := run.Cmd{Args: args, Env: h.Env, Timeout: time.Minute, Text: text}.Run(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), run.Saying(err, res.Output))
	}
	return nil
}
