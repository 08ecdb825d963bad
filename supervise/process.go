package supervise

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A nursery starts the command, one at a time, and waits for it and, where it
// adopts them, for orphans.
type nursery struct {
	opt     Options
	adopts  bool
	tty     *terminal // nil: there is none
	changed chan os.Signal
	closed  chan struct{}

	mu      sync.Mutex // held while processes are started, signalled and waited for
	child   *process
	reading bool
}

// newNursery waits in the background until close.
func newNursery(opt Options) *nursery {
	n := &nursery{
		opt: opt, adopts: adoptOrphans(), tty: openTerminal(),
		changed: make(chan os.Signal, 1), closed: make(chan struct{}),
	}
	signal.Notify(n.changed, syscall.SIGCHLD)
	go func() {
		for {
			select {
			case <-n.changed:
				n.wait()
			case <-n.closed:
				return
			}
		}
	}()
	return n
}

func (n *nursery) close() {
	signal.Stop(n.changed)
	close(n.closed)
	n.tty.close()
}

var _ starter = (*nursery)(nil)

// start starts the command in a group of its own, and gives it the terminal
// where that is ours.
func (n *nursery) start(key secret.Key) (child, error) {
	path, err := program(n.opt.Args[0], lookup(n.opt.Environ, "PATH"))
	if err != nil {
		return nil, err
	}
	sys := &syscall.SysProcAttr{Setpgid: true}
	endWithParent(sys)
	if n.tty.ours() {
		sys.Foreground, sys.Ctty = true, n.tty.fd
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	attr := &syscall.ProcAttr{
		Env:   environ(n.opt.Environ, n.opt.Variable, key, n.opt.Source.String()),
		Files: []uintptr{0, 1, 2},
		Sys:   sys,
	}
	var pid int
	n.tty.forks(func() { pid, err = syscall.ForkExec(path, n.opt.Args, attr) })
	if err != nil {
		return nil, startError(err)
	}
	n.child = &process{nursery: n, pid: pid, status: make(chan int, 1)}
	return n.child, nil
}

// wait takes note of all that happened to processes since the last time.
//
// It waits for processes that it does not know only where they may be orphans,
// and not while the store is read: a store may run a command, whose end is for
// others to see.
func (n *nursery) wait() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		who := -1
		if !n.adopts || n.reading {
			if n.child == nil || n.child.over {
				return
			}
			who = n.child.pid
		}
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(who, &status, syscall.WNOHANG|syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if c := n.child; c != nil && pid == c.pid {
			c.note(status)
		}
	}
}

// watched is a source whose reading wait knows of.
func (n *nursery) watched(s Source) Source { return &watchedSource{s, n} }

type watchedSource struct {
	Source
	nursery *nursery
}

// Get reads the source.
func (w *watchedSource) Get(ctx context.Context) (secret.Key, store.Version, error) {
	w.nursery.setReading(true)
	defer w.nursery.wait()
	defer w.nursery.setReading(false)
	return w.Source.Get(ctx)
}

func (n *nursery) setReading(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reading = on
}

// A process is the command, and its group, which has the same number.
type process struct {
	nursery *nursery
	pid     int
	status  chan int
	over    bool // waited for: its number may be another's
	halted  bool // by SIGSTOP, say; perhaps it goes on again
}

var _ child = (*process)(nil)

func (p *process) ended() <-chan int { return p.status }

// note hears of a change. The caller holds the lock.
func (p *process) note(status syscall.WaitStatus) {
	switch {
	case status.Exited():
		p.over = true
		p.status <- status.ExitStatus()
	case status.Signaled():
		p.over = true
		p.status <- 128 + int(status.Signal())
	case status.Stopped():
		p.halted = true
		p.stopped(status.StopSignal())
	}
}

func (p *process) signal(sig syscall.Signal) {
	p.nursery.mu.Lock()
	defer p.nursery.mu.Unlock()
	switch {
	case sig == syscall.SIGCONT:
		p.resume()
	case p.over, sig == syscall.SIGTSTP:
		_ = syscall.Kill(-p.pid, sig)
	default:
		_ = syscall.Kill(p.pid, sig)
	}
	if sig == syscall.SIGTERM && p.halted {
		p.resume() // one that is stopped would see it only when it goes on
	}
}

// left asks for the group by its number, which nobody else can have as long as
// one member is alive.
func (p *process) left() bool { return syscall.Kill(-p.pid, 0) == nil }

func (p *process) kill() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }

func (p *process) release() { p.nursery.tty.takeFrom(p.pid) }

// stopped hears that the command was stopped, and does what a shell expects of
// a job whose last member stops: blnkctl stops too, and the terminal is the
// shell's. Where there is no such shell (process 1 of a container), nobody
// would let the command go on, and ^Z has no effect.
func (p *process) stopped(by syscall.Signal) {
	switch {
	case by != syscall.SIGTSTP && by != syscall.SIGTTIN && by != syscall.SIGTTOU:
	case by != syscall.SIGTSTP && p.nursery.tty.ours():
		p.resume() // it wants the terminal, and may have it
	case !isJob():
		p.resume()
	default:
		_ = syscall.Kill(0, syscall.SIGSTOP) // until SIGCONT, which is passed on
	}
}

// resume lets the command go on, with the terminal if it is ours to give.
func (p *process) resume() {
	if p.nursery.tty.ours() {
		p.nursery.tty.give(p.pid)
	}
	p.halted = false
	_ = syscall.Kill(-p.pid, syscall.SIGCONT)
}

// isJob says whether a shell with job control started us: it gives each job a
// group of its own, while the shell's own group has the number of the session.
func isJob() bool {
	session, _, err := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
	return err == 0 && int(session) != syscall.Getpgrp()
}
