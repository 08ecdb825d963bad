package restart

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/ownfile"
	"github.com/blnkctl/blnkctl/internal/run"
)

// A Work is the path of a file that names the last command of a restart: its own
// process, not what that leaves behind. It outlives a killed blnkctl, as the command
// may. "" keeps nothing.
type Work string

// Run runs a command of the driver with the reference ref, and names it before it
// does anything.
func (w Work) Run(ctx context.Context, ref string, cmd run.Cmd) (run.Result, error) {
	if w != "" {
		withdraw := func() {}
		cmd.Record = func(pid int) {
			withdraw = interrupt.AtSecond(ctx, func() { run.EndGroup(pid, run.Grace) })
			w.record(listener.Mark{PID: pid, Start: listener.StartOf(pid), Name: "'" + ref + "'"})
		}
		defer func() { withdraw() }()
	}
	return cmd.Run(ctx)
}

// record is no more durable than the processes are: both survive blnkctl, and
// neither the machine. Where it fails (a full disk), that stops no way back.
func (w Work) record(c listener.Mark) {
	_ = os.Remove(string(w))
	if f, err := os.OpenFile(string(w), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		_, _ = fmt.Fprintf(f, "%d %s\n%s\n", c.PID, c.Start, c.Name)
		_ = f.Close()
	}
}

// Left is the command that is at work, by its driver; nil where none is. What cannot be
// read was not written to its end, so that the command never began.
func (w Work) Left() *listener.Mark {
	data, _ := ownfile.Read(string(w), 1<<20)
	line, name, whole := strings.Cut(strings.TrimSuffix(string(data), "\n"), "\n")
	first, start, _ := strings.Cut(line, " ")
	pid, err := strconv.Atoi(first)
	c := &listener.Mark{PID: pid, Start: start, Name: name}
	if err != nil || !whole || pid <= 1 || !c.Runs() {
		return nil
	}
	return c
}

// AtWork names the command that Left finds; "" for none.
func (w Work) AtWork() string {
	if c := w.Left(); c != nil {
		return c.String()
	}
	return ""
}

// Settle waits for the command that an earlier run left at work, and ends it and its
// process group after limit: beside another restart it would do harm, and what it
// will still do nobody knows. say is told what is waited for.
func (w Work) Settle(ctx context.Context, limit time.Duration, say func(format string, args ...any)) error {
	c := w.Left()
	if c == nil {
		return nil
	}
	say("waiting, at most %s, for the restart command that an earlier run left at work: %s", limit, c)
	deadline := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for c.Runs() {
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline:
		}
		say("ending it, and its process group: it did not end by itself within %s", limit)
		if run.EndGroup(c.PID, run.Grace); c.Runs() {
			return fmt.Errorf("the restart command of an earlier run cannot be ended: %s", c)
		}
	}
	return nil
}
