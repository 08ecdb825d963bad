package run

import (
	"errors"
	"syscall"
	"time"
)

// poll is how often a group is asked whether it is gone: the kernel gives no
// event for that.
const poll = 10 * time.Millisecond

// A group is the process group of a command that has to end.
type group struct {
	id     int
	grace  time.Duration
	leader <-chan struct{} // closed when the command was waited for
}

// end asks the group to end, then forces it, and waits until the command is
// gone: false where even SIGKILL did not move it. Members that outlive the
// command are forced too, at the end of the grace. The group's number cannot
// be given to others while one member is alive; after that, end stops at the
// first look.
func (g group) end() bool {
	if g.grace == 0 {
		g.grace = defaultGrace
	}
	_ = syscall.Kill(-g.id, syscall.SIGTERM)
	// A member that waits for a terminal (sudo asking for a password) is
	// stopped, and would see SIGTERM only when it goes on.
	_ = syscall.Kill(-g.id, syscall.SIGCONT)
	if !g.goneWithin(g.grace) {
		_ = syscall.Kill(-g.id, syscall.SIGKILL)
	}
	select {
	case <-g.leader:
		return true
	case <-time.After(lastWait):
		return false
	}
}

// goneWithin waits for the whole group.
func (g group) goneWithin(d time.Duration) bool {
	deadline := time.After(d)
	select {
	case <-g.leader:
	case <-deadline:
		return false
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !errors.Is(syscall.Kill(-g.id, 0), syscall.ESRCH) {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}
