package supervise

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/secret"
)

const (
	// readLimit is more than the command of a command: store may take.
	readLimit = 90 * time.Second
	// farthest is how far the looks move apart while the store cannot be read: a
	// rotation that waits for this command has minutes, not hours.
	farthest = 4 * time.Minute
	// groupPoll: the kernel gives no event for an empty process group.
	groupPoll = 20 * time.Millisecond
	// lastWait: only a killed process that hangs in the kernel takes longer.
	lastWait = 5 * time.Second
)

// look looks into the source until ctx ends, and sends a key that differs from
// the one before. A change of whether it can be read is told once. It holds
// reading while it reads.
func (o Options) look(ctx context.Context, key secret.Key, found chan<- secret.Key, reading sync.Locker) {
	interval := max(o.Interval, MinInterval)
	wait, before := interval, error(nil)
	for {
		// A fleet that was started at once should not ask its Vault in one moment.
		if interrupt.Sleep(ctx, wait-wait/10+rand.N(wait/5+1)) != nil {
			return
		}
		limited, cancel := context.WithTimeout(ctx, readLimit)
		reading.Lock()
		next, err := Read(limited, o.Source)
		reading.Unlock()
		cancel()
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil && before != nil:
			o.Say(o.Source.String() + " can be read again")
		case err != nil && (before == nil || errors.Is(err, errUnusable) != errors.Is(before, errUnusable)):
			o.Warn("the command keeps the key that it has: " + err.Error())
		}
		if before = err; err != nil {
			wait = max(interval, min(2*wait, farthest))
			continue
		}
		if wait = interval; next.Equal(key) {
			continue
		}
		key = next
		select {
		case found <- key:
		case <-ctx.Done():
			return
		}
	}
}

// A child is the command, once started, with its process group.
type child interface {
	wait() (status int, ended bool) // does not block
	signal(syscall.Signal)          // to the command; after its end to what remains of its group
	remains() bool                  // whether anybody is in its group
	kill()                          // everybody in its group, at once
}

// A supervisor looks after one child at a time. Only run's goroutine touches
// its fields.
type supervisor struct {
	Options
	start   func(secret.Key) (child, error)
	signals <-chan os.Signal
	changed <-chan os.Signal // SIGCHLD: the child may have ended
	found   <-chan secret.Key
	leaving bool // the command was told to end for good

	// Of the present child.
	child    child
	key      secret.Key
	next     secret.Key       // to start again with; zero where no restart is under way
	asked    bool             // a signal from here told it to end
	over     bool             // it ended, perhaps not all of its group
	killed   bool             // the group was killed
	deadline <-chan time.Time // for SIGKILL, and then for giving up
}

// run starts the command, and again as often as the key changes.
func (s *supervisor) run(ctx context.Context, key secret.Key) (int, error) {
	for {
		s.warnOf(key)
		c, err := s.start(key)
		if err != nil {
			return 0, err
		}
		s.child, s.key, s.next = c, key, secret.Key{}
		s.asked, s.over, s.killed, s.deadline = false, false, false, nil
		status := s.attend(ctx)
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
	var poll <-chan time.Time
	done := ctx.Done()
	for {
		select {
		case sig := <-s.signals:
			s.pass(sig.(syscall.Signal))
		case <-done:
			done = nil
			s.pass(syscall.SIGTERM)
		case key := <-s.found:
			s.learn(key)
		case <-s.changed:
		case <-poll:
		case <-s.deadline:
			if s.force() {
				return status
			}
		}
		first := !s.over
		if status, s.over = s.child.wait(); !s.over {
			continue
		}
		if !s.asked || !s.child.remains() {
			return status
		}
		if poll = time.After(groupPoll); first {
			s.child.signal(syscall.SIGTERM)
			if s.deadline == nil {
				s.deadline = time.After(s.KillTimeout)
			}
		}
	}
}

// force kills the group; the second time it gives up on what remains of it, but
// not on the command.
func (s *supervisor) force() (done bool) {
	if s.killed {
		s.deadline = nil
		if !s.over {
			s.Warn("the command does not end, not even killed: it hangs in the kernel")
		}
		return s.over
	}
	s.Warn(fmt.Sprintf("the command did not end within %v, and is killed", s.KillTimeout))
	s.killed, s.deadline = true, time.After(lastWait)
	s.child.kill()
	return false
}

// pass hands a signal to the child. One that asks it to end also ends a restart
// that is under way: somebody wants the command gone, not replaced.
func (s *supervisor) pass(sig syscall.Signal) {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT:
		s.asked = true
		// Programs are known to live on after the other two.
		s.leaving = s.leaving || sig == syscall.SIGTERM || sig == syscall.SIGINT
		if !s.next.IsZero() {
			s.next = secret.Key{}
			s.Say("told to end: the command is not started again")
			if sig == syscall.SIGTERM {
				return // it had one, from learn
			}
		}
	}
	s.child.signal(sig)
}

// learn is told a key that is not the one before.
func (s *supervisor) learn(key secret.Key) {
	switch {
	case !s.next.IsZero():
		s.next = key // the child is about to end
	case s.leaving, s.over, key.Equal(s.key):
	default:
		s.Say("the key in " + s.Source.String() + " changed (now " + key.Name() + "): the command is started again")
		s.next, s.asked = key, true
		s.deadline = time.After(s.KillTimeout)
		s.child.signal(syscall.SIGTERM)
	}
}

// A process is the command, and its group, which has the same number.
type process struct {
	pid, status int
	ended       bool        // waited for: its number may be another's
	reading     *sync.Mutex // held while the store is read
}

// fork starts the command in a group of its own.
func (o Options) fork(key secret.Key, reading *sync.Mutex) (child, error) {
	path, err := program(o.Args[0], o.Environ)
	if err != nil {
		return nil, err
	}
	attr := &syscall.ProcAttr{Env: o.environ(key), Files: []uintptr{0, 1, 2}, Sys: groupOfItsOwn()}
	pid, err := syscall.ForkExec(path, o.Args, attr)
	if err != nil {
		return nil, startError(err)
	}
	return &process{pid: pid, reading: reading}, nil
}

// wait waits for orphans of the command too, but not while the store is read: it
// may run a command, whose end is for others to see.
func (p *process) wait() (int, bool) {
	who := p.pid
	if p.reading.TryLock() {
		defer p.reading.Unlock()
		who = -1
	}
	for who == -1 || !p.ended {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(who, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			break
		}
		if pid == p.pid {
			p.ended, p.status = true, status.ExitStatus()
			if status.Signaled() {
				p.status = 128 + int(status.Signal())
			}
		}
	}
	return p.status, p.ended
}

func (p *process) signal(sig syscall.Signal) {
	to := p.pid
	if p.ended {
		to = -p.pid
	}
	_ = syscall.Kill(to, sig)
	if sig == syscall.SIGTERM {
		_ = syscall.Kill(-p.pid, syscall.SIGCONT) // one that is stopped sees it only when it goes on
	}
}

// remains asks for the group by its number, which nobody else can have as long
// as one member is alive.
func (p *process) remains() bool { return syscall.Kill(-p.pid, 0) == nil }

func (p *process) kill() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }
