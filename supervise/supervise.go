package supervise

import (
	"context"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/secret"
)

// MinInterval is the shortest time between two looks into the store: less is a
// load for a secret manager, and no gain.
const MinInterval = time.Second

// Options is a command, and how to look after it.
type Options struct {
	// Args is the program, looked up in PATH, and its arguments.
	Args []string
	// Environ is the environment of the caller, as NAME=VALUE.
	Environ []string
	// Variable is the name of the variable that gets the key.
	Variable string
	// Source is where the key stands.
	Source Source
	// Interval is the time between two looks into the source, give or take a
	// tenth; 0 is not to look again.
	Interval time.Duration
	// KillTimeout is how long the command may take to end after a SIGTERM that
	// comes from here, before it gets SIGKILL; and what it leaves in its
	// process group when it was asked to end, too.
	KillTimeout time.Duration
	// Signals are those to pass on; see Signals.
	Signals <-chan os.Signal
	// Say tells what happens, Warn what a person should look at, without the
	// end of the line. They are called from several goroutines.
	Say, Warn func(line string)
}

// Signals lists the signals that blnkctl should ask for and hand to Run: those
// that people and supervisors send, and those of a terminal. SIGKILL and
// SIGSTOP cannot be had.
func Signals() []os.Signal {
	return []os.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGALRM, syscall.SIGTERM,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGTSTP, syscall.SIGCONT,
	}
}

// Run runs the command with key, which Read gave, until it ends, and returns
// its exit status: 128+n where signal n ended it. The command has stdin, stdout
// and stderr of this process.
//
// An error means that it could not be started: ErrNotFound, ErrNotExecutable,
// or what the system said. The end of ctx counts as a SIGTERM. On Linux
// the orphans of the command become children of this process, and Run waits for
// them. It may run once at a time in a process.
func Run(ctx context.Context, key secret.Key, opt Options) (int, error) {
	// The command is told of the death of the thread that started it, not of
	// the process (PR_SET_PDEATHSIG, prctl(2)).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	n := newNursery(opt)
	defer n.close()
	s := &supervisor{
		starter: n, signals: opt.Signals, grace: opt.KillTimeout,
		from: opt.Source.String(), say: opt.Say, warn: opt.Warn,
	}
	if opt.Interval > 0 {
		found := make(chan secret.Key)
		s.found = found
		w := &watcher{
			source: n.watched(opt.Source), interval: max(opt.Interval, MinInterval),
			found: found, say: opt.Say, warn: opt.Warn,
		}
		watching, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		go w.run(watching, key)
	}
	return s.run(ctx, key)
}
