package cmd

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// reached notes how the servers are reached, for whoever ends the rotation.
func (s *session) reached(cmd *cobra.Command, refs *rotate.References) error {
	reach := &s.options.reach.options
	if reach.CACert != "" && !filepath.IsAbs(reach.CACert) {
		dir, err := s.app.dirOf(cmd, "ca-cert")
		if err != nil {
			return err
		}
		reach.CACert = filepath.Join(dir, reach.CACert)
	}
	refs.CACert, refs.Proxy, refs.AllowPlaintext = reach.CACert, reach.Proxy, reach.AllowPlaintext
	return nil
}

// timed gives the engine the times of an open rotation where none were typed.
func (s *session) timed(cmd *cobra.Command, opt rotate.Options) rotate.Options {
	if s.open == nil {
		return opt
	}
	if !given(cmd, "timeout") && s.open.Timeout > 0 {
		opt.Timeout = s.open.Timeout
	}
	if !given(cmd, "restart-timeout") && s.open.RestartTimeout > 0 {
		opt.RestartTimeout = s.open.RestartTimeout
	}
	return opt
}

// question is how long a server may take for one answer: a connection that
// hangs leaves time for others.
func question(all time.Duration) time.Duration {
	return min(probe.DefaultTimeout, max(all/4, time.Second))
}

func (s *session) openDriver(cmd *cobra.Command, i int, ref string) error {
	scheme, driver, err := openRestart(s.app, ref, restart.Options{
		Dir: s.rotation.Refs.Dir, Mask: s.keys.all, Say: s.progress.instruct,
		Lock: s.target.RestartLock(),
	})
	if err != nil {
		return err
	}
	s.rotation.Refs.Restart[i] = driver.String()
	s.rotation.Restart = append(s.rotation.Restart, watched{driver, s.keepOutput, s.took})
	s.drivers = append(s.drivers, driver)
	s.rotation.WorkersProved = s.rotation.WorkersProved && scheme.WorkersProved
	if scheme.Polls > s.rotation.Options.Timeout && !given(cmd, "timeout") && s.open == nil {
		s.rotation.Options.Timeout = scheme.Polls
	}
	return nil
}

// lock keeps away other rotations of the target, and everybody who works on
// the same files whatever state folder they have. A dry run makes no lock file.
func (s *session) lock(ctx context.Context) (func(), error) {
	take := s.target.Lock
	if s.options.dryRun {
		take = s.target.LockExisting
	}
	target, err := take(ctx, s.options.lockT)
	if err != nil {
		return nil, err
	}
	places, err := store.Set(s.rotation.Stores).Lock(ctx, s.options.lockT)
	if err != nil {
		target()
		return nil, err
	}
	unlock := func() { places(); target() }
	if err := s.alone(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// alone refuses where another target's open rotation has one of the stores: of
// two journals, one would end with a key that the other knows nothing of. Under
// the lock, no other one can begin.
func (s *session) alone() error {
	if s.open != nil || s.options.abandon {
		return nil
	}
	o, err := s.options.stores.overlapping(s.app, s.state, s.target, s.rotation.Stores)
	if o != nil {
		return o.refusal(exitUsage)
	}
	return err
}

func (s *session) newKey() (secret.Key, error) {
	format, err := keygen.ParseFormat(s.options.format.value)
	if err != nil {
		return secret.Key{}, err
	}
	key, err := keygen.ForUse(keygen.SecretKey, format, s.options.bits)
	s.keys.add(key)
	return key, err
}

// weakness says what is wrong with a key that is due whatever its age.
func weakness(key secret.Key) string {
	for _, f := range keygen.Check(key) {
		if f.Severity >= keygen.Weak {
			return f.Text
		}
	}
	return ""
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown host"
	}
	return name
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "user " + strconv.Itoa(uid)
}
