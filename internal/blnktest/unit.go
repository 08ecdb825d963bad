package blnktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A unit is one process that the supervisor keeps for a folder: what systemd
// would know about it.
type unit struct {
	dir  string // absolute
	role string // "server", "worker" or "balancer"

	Args []string `json:"args"` // what to run, without the program
	Env  []string `json:"env"`  // K=V, added to the caller's; K alone is taken away
}

// openUnit reads what is known of the role in dir; a new one has defaults.
func openUnit(dir, role string) (*unit, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	u := &unit{dir: abs, role: role}
	switch role {
	case "server":
		u.Args = []string{"start"}
	case "worker":
		u.Args = []string{"workers"}
	case "balancer":
		u.Args = []string{"balance"}
	default:
		return nil, fmt.Errorf("unknown role %q (known: server, worker, balancer)", role)
	}
	text, err := os.ReadFile(u.path("unit"))
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	if err != nil {
		return nil, err
	}
	return u, json.Unmarshal(text, u)
}

// exists says whether the role was ever started here.
func (u *unit) exists() bool {
	_, err := os.Stat(u.path("unit"))
	return err == nil
}

func (u *unit) path(ext string) string { return filepath.Join(stateDir(u.dir), u.role+"."+ext) }

func (u *unit) save() error {
	if err := os.MkdirAll(stateDir(u.dir), 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(u)
	if err != nil {
		return err
	}
	return os.WriteFile(u.path("unit"), text, 0o600)
}

// setEnv remembers variables for this start and all later ones.
func (u *unit) setEnv(vars []string) {
	for _, v := range vars {
		name, _, _ := strings.Cut(v, "=")
		u.Env = slices.DeleteFunc(u.Env, func(old string) bool {
			n, _, _ := strings.Cut(old, "=")
			return n == name
		})
		u.Env = append(u.Env, v)
	}
}

// queue adds the variables of one later start; starts take from its head.
func (u *unit) queue(vars []string) error {
	if err := os.MkdirAll(stateDir(u.dir), 0o700); err != nil {
		return err
	}
	starts, err := u.queued()
	if err != nil {
		return err
	}
	return u.saveQueue(append(starts, vars))
}

// dequeue takes what was queued for this start.
func (u *unit) dequeue() ([]string, error) {
	starts, err := u.queued()
	if err != nil || len(starts) == 0 {
		return nil, err
	}
	return starts[0], u.saveQueue(starts[1:])
}

func (u *unit) queued() (starts [][]string, err error) {
	text, err := os.ReadFile(u.path("next"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return starts, json.Unmarshal(text, &starts)
}

func (u *unit) saveQueue(starts [][]string) error {
	text, err := json.Marshal(starts)
	if err != nil {
		return err
	}
	return os.WriteFile(u.path("next"), text, 0o600)
}

// environ is the caller's environment with the given changes, the last one
// winning.
func environ(changes ...[]string) []string {
	env := os.Environ()
	for _, change := range slices.Concat(changes...) {
		name, _, set := strings.Cut(change, "=")
		env = slices.DeleteFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		if set {
			env = append(env, change)
		}
	}
	return env
}

// errRunning: the role has a process already.
var errRunning = errors.New("is running already")

// lock opens the pid file and takes its lock, which the process inherits and
// keeps as long as it lives: so the kernel says whether it does, and lets who
// waits for its end through. errRunning where it lives. Who only looks shares the
// lock for an instant, and is no answer: where it can be shared nobody lives.
func (u *unit) lock() (*os.File, error) {
	if err := os.MkdirAll(stateDir(u.dir), 0o700); err != nil {
		return nil, err
	}
	for {
		f, err := u.tryLock(syscall.LOCK_EX)
		if !errors.Is(err, errRunning) {
			return f, err
		}
		looker, err := u.tryLock(syscall.LOCK_SH)
		if err != nil {
			return nil, err
		}
		looker.Close()
		<-time.After(time.Millisecond)
	}
}

func (u *unit) tryLock(how int) (*os.File, error) {
	f, err := os.OpenFile(u.path("pid"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s %w", u.role, errRunning)
		}
		return nil, err
	}
	return f, nil
}

// waitGone returns when the process has ended, or an error after the limit.
func (u *unit) waitGone(limit time.Duration) error {
	f, err := os.OpenFile(u.path("pid"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() {
		err := error(syscall.EINTR)
		for errors.Is(err, syscall.EINTR) {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH)
		}
		f.Close() // before anybody goes on, who wants the lock
		gone <- err
	}()
	select {
	case err := <-gone:
		return err
	case <-time.After(limit):
		return fmt.Errorf("%s did not end within %s", u.role, limit)
	}
}

// pid returns the process of the role, and false where there is none.
func (u *unit) pid() (int, bool) {
	if !u.exists() {
		return 0, false // and leave nothing behind
	}
	for {
		f, err := u.tryLock(syscall.LOCK_SH)
		if err == nil {
			f.Close()
			return 0, false
		}
		text, err := os.ReadFile(u.path("pid"))
		if err != nil {
			return 0, false
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return n, true
		}
		<-time.After(time.Millisecond) // it is being started
	}
}
