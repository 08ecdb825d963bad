package supervise

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/secret"
)

const (
	// groupPoll is how often a process group is asked whether it is empty: the
	// kernel gives no event for that.
	groupPoll = 20 * time.Millisecond
	// lastWait is how long a killed process may take to be gone. Only one that
	// hangs in the kernel takes longer.
	lastWait = 5 * time.Second
	// sameSignal is how far apart two signals of a kind are that were sent on
	// purpose: some senders deliver one signal twice, timeout(1) to its child
	// and to its group, a closed terminal through the shell.
	sameSignal = 200 * time.Millisecond
)

// A starter starts the command with a key.
type starter interface {
	start(key secret.Key) (child, error)
}

// A child is the command, once started, with its process group. After its end,
// a signal goes to what is left of the group.
type child interface {
	ended() <-chan int     // gives the exit status, once
	signal(syscall.Signal) // to the command alone
	left() bool            // whether anybody is left in its group
	kill()                 // everybody in its group, at once
	release()              // takes the terminal back
}

// A supervisor looks after one child at a time. Only run's goroutine touches
// its fields.
type supervisor struct {
	starter starter
	signals <-chan os.Signal
	found   <-chan secret.Key
	grace   time.Duration
	from    string
	say     func(string)
	warn    func(string)

	leaving bool // the command was told to end for good
	seen    map[syscall.Signal]time.Time

	// Of the present child.
	child    child
	key      secret.Key
	next     secret.Key       // to start anew with; zero where no restart is under way
	asked    bool             // a signal from here told it to end
	over     bool             // it ended, perhaps not all of its group
	killed   bool             // the group was killed
	deadline <-chan time.Time // for the next act of violence
}

// run starts the command, and again as often as the key changes.
func (s *supervisor) run(ctx context.Context, key secret.Key) (int, error) {
	s.seen = map[syscall.Signal]time.Time{}
	for {
		if what := weakness(key); what != "" {
			s.warn("the key in " + s.from + " " + what)
		}
		c, err := s.starter.start(key)
		if err != nil {
			return 0, err
		}
		s.child, s.key, s.next = c, key, secret.Key{}
		s.asked, s.over, s.killed, s.deadline = false, false, false, nil
		status := s.attend(ctx)
		c.release()
		if s.next.IsZero() {
			return status, nil
		}
		key = s.next
	}
}

// attend is with the child until it has ended and, where it was told to, its
// group too: a shell that was told to end leaves behind the server that it
// started, with the port that the next one needs.
func (s *supervisor) attend(ctx context.Context) (status int) {
	look := time.NewTicker(groupPoll)
	defer look.Stop()
	ended, done := s.child.ended(), ctx.Done()
	for {
		select {
		case sig := <-s.signals:
			if sig, ok := sig.(syscall.Signal); ok {
				s.pass(sig)
			}
		case <-done:
			done = nil
			s.pass(syscall.SIGTERM)
		case key := <-s.found:
			s.learn(key)
		case status = <-ended:
			ended, s.over = nil, true
			if !s.asked || !s.child.left() {
				return status
			}
			s.child.signal(syscall.SIGTERM)
			if s.deadline == nil {
				s.deadline = time.After(s.grace)
			}
		case <-look.C:
			if s.over && !s.child.left() {
				return status
			}
		case <-s.deadline:
			if s.force() {
				return status
			}
		}
	}
}

// force kills what is left; the second time it gives up on what only belongs to
// the group, but not on the command.
func (s *supervisor) force() (done bool) {
	if s.killed {
		s.deadline = nil
		if !s.over {
			s.warn("the command does not end, not even killed: it hangs in the kernel")
		}
		return s.over
	}
	s.warn(fmt.Sprintf("the command did not end within %v, and is killed", s.grace))
	s.killed, s.deadline = true, time.After(lastWait)
	s.child.kill()
	return false
}

// pass hands a signal to the child. One that asks it to end also ends a restart
// that is under way: somebody wants the command gone, not replaced.
func (s *supervisor) pass(sig syscall.Signal) {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT:
		if s.repeated(sig) {
			return
		}
		s.asked = true
		// Programs are known to live on after the other two.
		s.leaving = s.leaving || sig == syscall.SIGTERM || sig == syscall.SIGINT
		if !s.next.IsZero() {
			s.next = secret.Key{}
			s.say("told to end: the command is not started again")
			if sig == syscall.SIGTERM {
				return // it had one, from learn
			}
		}
	}
	s.child.signal(sig)
}

// repeated says whether a signal is one that came already.
func (s *supervisor) repeated(sig syscall.Signal) bool {
	last, ok := s.seen[sig]
	now := time.Now()
	s.seen[sig] = now
	return ok && now.Sub(last) < sameSignal
}

// learn is told a key that is not the one before.
func (s *supervisor) learn(key secret.Key) {
	switch {
	case !s.next.IsZero():
		s.next = key // the child is on its way out
	case s.leaving, s.over, key.Equal(s.key):
	default:
		s.say("the key in " + s.from + " changed (now " + name(key) + "): the command is started again")
		s.next, s.asked = key, true
		s.deadline = time.After(s.grace)
		s.child.signal(syscall.SIGTERM)
	}
}

// name is what is shown of a key.
func name(key secret.Key) string {
	if f := key.Fingerprint(); f != "" {
		return f
	}
	return "a weak key"
}
