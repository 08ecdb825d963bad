// Package supervise runs a command with the key in its environment: `blnkctl
// exec`. Become replaces this process by the command. Watch stays, and starts
// the command again when the key has changed, and for no other reason.
//
// Under Watch the command gets a process group of its own, so that what a shell
// leaves running can be ended before the next one starts. There is no job
// control: that group is in the background of a terminal, and ^Z stops blnkctl
// alone.
//
// Neither promises that the server took the key (a rotation proves that), nor
// hides the key from what the command starts, from root and from its own user.
// When a watching blnkctl is killed, Linux sends the command SIGTERM, but not
// what a shell in between has started; on macOS nothing does.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// MinInterval is the shortest time between two looks into the store: less is a
// load for a secret manager, and no gain.
const MinInterval = time.Second

// Why a program cannot be started.
var (
	ErrNotFound      = errors.New("there is no such program")
	ErrNotExecutable = errors.New("it cannot be executed")
	// errUnusable: no client could send the key, so that a server that is started
	// with it would lock everyone out.
	errUnusable = errors.New("the key cannot be used")
)

// Failed is the exit status where nothing was run, as env(1) and docker run have it.
const Failed = 125

// ExitCode is the exit status for an error: 127 and 126 where the program is the
// reason, else Failed.
func ExitCode(err error) int {
	switch {
	case errors.Is(err, ErrNotFound):
		return 127
	case errors.Is(err, ErrNotExecutable):
		return 126
	default:
		return Failed
	}
}

// A Source is where the key stands; every store.Store is one.
type Source interface {
	Get(ctx context.Context) (secret.Key, store.Version, error)
	String() string
}

// Options is a command, and how to look after it.
type Options struct {
	Args     []string // the program, looked up in PATH, and its arguments
	Environ  []string // of the caller, as NAME=VALUE
	Variable string   // the name of the variable that gets the key
	Source   Source   // Get is never called twice at once
	Again    bool     // Watch, not Become
	// Interval is the time between two looks of Watch into the source, give or
	// take a tenth.
	Interval time.Duration
	// KillTimeout is how long a command and its group have after Watch sent it
	// SIGTERM, before they get SIGKILL.
	KillTimeout time.Duration
	// Say tells what happens, Warn what a person should look at. They are called
	// from several goroutines.
	Say, Warn func(line string)
}

// Check refuses what was typed where it does not go together: a target.ErrSpec. typed
// says whether a flag was.
func (o Options) Check(typed func(flag string) bool) error {
	switch {
	case len(o.Args) == 0 || o.Args[0] == "":
		return target.Refuse("", "no command to run")
	case !run.IsVariable(o.Variable):
		return target.Refuse("", "--env%s: want a name of letters, digits and underscores", secret.Shown(o.Variable))
	case strings.HasPrefix(o.Variable, "BLNKCTL_"):
		return target.Refuse("", "--env: BLNKCTL_* variables are blnkctl's own")
	case o.Interval < MinInterval:
		return target.Refuse("", "--interval: want %v or more", MinInterval)
	}
	for _, name := range []string{"interval", "kill-timeout"} {
		if typed(name) && !o.Again {
			return target.Refuse("add --watch", "--%s without --watch", name)
		}
	}
	return nil
}

// Run is Watch or Become, as Options say. An error of the program names it.
func Run(ctx context.Context, key secret.Key, opt Options) (status int, err error) {
	if opt.Again {
		status, err = Watch(ctx, key, opt)
	} else {
		err = Become(ctx, key, opt)
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNotExecutable) {
		err = fmt.Errorf("run%s: %w", secret.Shown(opt.Args[0]), err)
	}
	return status, err
}

// Read reads the key of a source, weak or not.
func Read(ctx context.Context, from Source) (secret.Key, error) {
	key, _, err := from.Get(ctx)
	if err == nil && !blnk.Sendable(key) {
		err = fmt.Errorf("%s: %w: it is empty, has white space at an end or holds a control character, and no client can send that", from, errUnusable)
	}
	if err != nil {
		return secret.Key{}, err
	}
	return key, nil
}

// Become replaces this process by the command, with key, which Read gave, and
// returns only where that failed. What blnkctl did to its own signals does not
// reach the command; one that was ignored before (nohup) stays so.
func Become(ctx context.Context, key secret.Key, opt Options) error {
	path, err := program(opt.Args[0], opt.Environ)
	if err != nil {
		return err
	}
	opt.warnOf(key)
	// From here on a signal ends this process: one that was caught would be lost.
	signal.Reset(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	usualForCommand(syscall.SIGPIPE)
	return startError(syscall.Exec(path, opt.Args, opt.environ(key)))
}

// Watch runs the command with key, which Read gave, and again as often as the
// key changes, until it ends by itself or was told to. It returns its exit
// status: 128+n where signal n ended it. Watch passes on the signals of this
// process; the end of ctx counts as SIGTERM. It also waits for orphans, so it may
// run once at a time in a process.
func Watch(ctx context.Context, key secret.Key, opt Options) (int, error) {
	// The command is told of the death of the thread that started it, not of
	// the process (PR_SET_PDEATHSIG, prctl(2)).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	signals, changed := make(chan os.Signal, 64), make(chan os.Signal, 1)
	for _, s := range []os.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGALRM,
		syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
	} {
		if !signal.Ignored(s) { // as under nohup: stays so, here and in the command
			signal.Reset(s)
			signal.Notify(signals, s)
		}
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	usualForCommand(syscall.SIGPIPE)
	signal.Notify(changed, syscall.SIGCHLD)

	found, reading := make(chan secret.Key), &sync.Mutex{}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go opt.look(watching, key, found, reading)
	s := &supervisor{
		Options: opt, signals: signals, changed: changed, found: found,
		start: func(key secret.Key) (child, error) { return opt.fork(key, reading) },
	}
	return s.run(ctx, key)
}

// usualForCommand gives whatever this process executes or starts the usual
// action of a signal that is ignored here. That would be inherited; that it is
// caught is not. (signal.Reset does not undo signal.Ignore, go1.26.)
func usualForCommand(s os.Signal) { signal.Notify(make(chan os.Signal, 1), s) }

func (o Options) warnOf(key secret.Key) {
	if slices.ContainsFunc(o.Args, func(arg string) bool { return secret.Holds(arg) || strings.Contains(arg, key.Reveal()) }) {
		o.Warn("a key stands in the arguments of the command, where everybody on this host sees it; it has it in " + o.Variable)
	}
	if why := keygen.SecretKey.Weakness(key); why != "" {
		o.Warn("the key in " + o.Source.String() + " " + why)
	}
}

// environ is the caller's environment with the key and restart.ExecMark, without
// the doubled name of the variable (blnk.Setting), which would win over the key,
// and without what is blnkctl's own.
func (o Options) environ(key secret.Key) []string {
	drop := []string{o.Variable}
	for _, s := range blnk.Settings() {
		if s.Env == o.Variable {
			drop = append(drop, s.Twin)
		}
	}
	env := slices.DeleteFunc(slices.Clone(o.Environ), func(v string) bool {
		n, _, _ := strings.Cut(v, "=")
		return slices.Contains(drop, n) || strings.HasPrefix(n, "BLNKCTL_")
	})
	return append(env, restart.ExecMark+"="+o.Variable+"="+o.Source.String(), o.Variable+"="+key.Reveal())
}

// program finds a program as execvp(3) does, at each start: an update may have
// put another one there. Entries of PATH that are no absolute paths are skipped,
// for the reason that package os/exec gives: nobody means to hand the key to a
// program that happens to lie in the working directory.
func program(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil // execve says what is wrong with it
	}
	path := ""
	for _, v := range env { // of several the last counts
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	missing := ErrNotFound
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) || name == "" {
			continue
		}
		file := filepath.Join(dir, name)
		info, err := os.Stat(file)
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
		if err == nil || errors.Is(err, os.ErrPermission) {
			missing = ErrNotExecutable
		}
	}
	return "", missing
}

// startError gives the error of an execve its meaning; others are not the
// program's fault.
func startError(err error) error {
	var no syscall.Errno
	_ = errors.As(err, &no)
	switch no {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG:
		return fmt.Errorf("%w (%w)", ErrNotFound, err)
	case syscall.EACCES, syscall.EPERM, syscall.ENOEXEC, syscall.ETXTBSY, syscall.EISDIR, syscall.EINVAL:
		return fmt.Errorf("%w (%w)", ErrNotExecutable, err)
	}
	return err
}
