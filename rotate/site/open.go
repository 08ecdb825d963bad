package site

import (
	"errors"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/command"
	"github.com/blnkctl/blnkctl/target"
)

// OpenStore opens a store, or a copy that can only be written. Where the reference is
// wrong, it is a target.ErrSpec, as of the other two.
func OpenStore(schemes store.Schemes, ref string, opt store.Options) (store.Store, store.Copy, error) {
	one, err := schemes.Open(ref, opt)
	if e, ok := errors.AsType[*command.WriteOnlyError](err); ok {
		return nil, e.Copy, nil
	}
	return one, nil, wrong(err)
}

// OpenDriver opens a restart driver.
func OpenDriver(schemes restart.Schemes, ref string, opt restart.Options) (target.Driver, error) {
	scheme, place, err := schemes.Find(ref)
	if err != nil {
		return target.Driver{}, wrong(err)
	}
	driver, err := scheme.Open(place, opt)
	return target.Driver{Restarter: driver, WorkersProved: scheme.WorkersProved, Polls: scheme.Polls, Stopped: restart.ErrStopped}, wrong(err)
}

// OpenServer takes the address of a server. waiting is told what a question waits for.
func OpenServer(url string, spec target.Spec, waiting func(line string)) (*proof.Server, error) {
	opt := probe.Options{CACert: spec.CACert, Proxy: spec.Proxy, AllowPlaintext: spec.AllowPlaintext}
	if spec.Timeout > 0 { // a connection that hangs leaves time for others
		opt.Timeout = min(probe.DefaultTimeout, max(spec.Timeout/4, time.Second))
	}
	server, err := probe.New(url, opt)
	if err != nil {
		return nil, wrong(err)
	}
	server.Waiting = waiting
	return proof.NewServer(server, !server.Loopback()), nil
}

func wrong(err error) error {
	if err == nil {
		return nil
	}
	return hint.As(target.ErrSpec, "%w", err)
}
