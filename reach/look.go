package reach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/dotenv"
)

// A Look is what a rotation looks at: its stores and, by its drivers and servers,
// the processes that are to have their key.
type Look struct {
	Set    store.Set
	Others bool // there are more stores, which only take the key
	// Secure mode is to be on, and Settings are written for it, besides the keys.
	Secure   bool
	Settings store.Set
	Drivers  []restart.Driver
	Servers  []*probe.Server
	Keys     func() []secret.Key // of the rotation, as they become known
}

func (l Look) stores(ctx context.Context) Stores {
	s := Of(ctx, l.Set, l.Others)
	s.secure = l.Secure
	for _, one := range l.Settings {
		if one, ok := one.(*dotenv.Store); ok {
			_, name, _ := strings.Cut(one.String(), "#")
			s.settings = append(s.settings, variable{one.Path(), name})
		}
	}
	return s
}

// Before looks at the processes as they are, and refuses what is certain.
func (l Look) Before(ctx context.Context, current secret.Key) (Findings, error) {
	seen, err := Observe(ctx, l.Drivers, l.Servers)
	if err != nil {
		return Findings{}, err
	}
	s := l.stores(ctx)
	found, err := s.Before(seen, current)
	for _, server := range l.Servers {
		if !l.Secure || !server.Loopback() {
			continue // a busy host has thousands of connections, and nobody is cut off
		}
		if peers := listener.Peers(server.Port()); len(peers) > 0 {
			found.remark(fmt.Sprintf("connected to %s right now: %s", server, strings.Join(peers, ", ")))
		}
	}
	found.Holders = s.holders(seen, current)
	return found, err
}

// Holders are the processes of this host that have a key, or read it from a store.
func (l Look) Holders(ctx context.Context, key secret.Key) []listener.Mark {
	var v View
	v.Listening(l.Servers)
	return l.stores(ctx).holders(v, key)
}

// Listening are the processes that listen for a server; none where one of them may
// not be looked at, or stands before it.
func (l Look) Listening(url string) (marks []listener.Mark) {
	for _, server := range l.Servers {
		if server.String() != url || !server.Loopback() {
			continue
		}
		found, err := listener.Scan().Find(server.Port())
		if err != nil {
			return nil
		}
		for _, p := range found {
			marks = append(marks, listener.Mark{PID: p.PID, Start: p.Start, Name: p.Exe})
		}
	}
	return marks
}

// Restart looks at the processes before a restart, and returns the look afterwards.
// What cannot be seen is left to the servers' proof.
func (l Look) Restart(ctx context.Context) func(context.Context, secret.Key) error {
	before, _ := Observe(ctx, l.Drivers, nil)
	return func(ctx context.Context, key secret.Key) error {
		after, err := Observe(ctx, l.Drivers, nil)
		if err != nil {
			return nil
		}
		return l.stores(ctx).After(before, after, key, l.Keys())
	}
}

// Why says what makes the servers answer other than the stores would; nil where
// that is not seen.
func (l Look) Why(ctx context.Context) error {
	return l.stores(ctx).Why(l.Servers, l.Keys())
}

// Instead is what helps where no store holds a key, and another place does.
func (l Look) Instead(ctx context.Context) string {
	seen, _ := Observe(ctx, l.Drivers, l.Servers) // a hint less
	return l.stores(ctx).Instead(seen)
}

// Receivers are the places that check signatures of the key: the webhook of
// blnk.json, or of the environment of a process, and the hooks that the servers know.
func (l Look) Receivers(ctx context.Context, live secret.Key) (list []blnk.Receiver) {
	config, seen := l.stores(ctx).config, View{Processes: []restart.Process{{}}}
	if all, err := Observe(ctx, l.Drivers, l.Servers); err == nil { // else a receiver less
		seen.Processes = append(seen.Processes, all.Processes...)
	}
	for _, p := range seen.Processes {
		e, _ := blnk.Resolve(config, p.Env) // one that cannot be read names none
		v := e.Value(blnk.WebhookURL)
		if u, err := url.Parse(v.Text.Reveal()); err == nil && u.Host != "" {
			shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path} // the rest may be a secret of the receiver
			r := blnk.Receiver{URL: shown.String(), What: map[bool]string{true: v.Source, false: string(blnk.WebhookURL)}[v.Shadowed()]}
			if !slices.Contains(list, r) {
				list = append(list, r)
			}
		}
	}
	for _, server := range l.Servers {
		hooks, err := server.Hooks(ctx, live)
		if err != nil {
			continue
		}
		for _, h := range hooks {
			list = append(list, blnk.Receiver{URL: h.URL, What: "hook " + h.Name})
		}
		break // they stand in the database, the same for all replicas
	}
	return list
}

// LeftBehind is what somebody who held the old key may have left behind; live is
// the new one.
func (l Look) LeftBehind(ctx context.Context, live secret.Key) []string {
	list := []string{"who held the old key could make API keys, and they live on: look through GET /api-keys?owner=OWNER for each owner"}
	for _, r := range l.Receivers(ctx, live) {
		list = append(list, "is this webhook yours? "+r.URL+" ("+r.What+")")
	}
	config := l.stores(ctx).config
	e, err := blnk.Resolve(config, nil)
	if config == nil || err != nil {
		return list
	}
	for _, name := range []blnk.Name{blnk.Database, blnk.Redis, blnk.TokenizationSecret, blnk.MetricsToken} {
		if !e.Value(name).Text.IsZero() {
			list = append(list, "who could read blnk.json has this too: "+string(name))
		}
	}
	return list
}

// Readers are what reads a file of the stores, or may, one for each user.
func (l Look) Readers(ctx context.Context, path string) (readers []exposure.Reader) {
	seen, _ := Observe(ctx, l.Drivers, l.Servers) // what cannot be asked is found in /proc
	certain, maybe := Readers(seen.Processes, path)
	for _, r := range append(certain, maybe...) {
		if !slices.ContainsFunc(readers, func(o exposure.Reader) bool { return o.UID == r.UID }) {
			readers = append(readers, r)
		}
	}
	return readers
}

// Readers are which of some processes, and of all other Blnks of this host, read a file
// at their start, each once: Blnk itself a blnk.json, and what blnkctl exec became the
// file that it was given. Of one that does not run it is the user that it is to be started
// as. maybe are those that may not be looked at, so that they might.
func Readers(of []restart.Process, path string) (certain, maybe []exposure.Reader) {
	known := map[int]bool{}
	of = slices.DeleteFunc(slices.Clone(of), func(p restart.Process) bool { return !p.Server && !p.Workers })
	for _, p := range append(of, Here()...) {
		pid := p.PID
		if inner, ok := listener.Blnk(pid); ok && pid > 0 {
			pid = inner.PID
		}
		rights, ok := p.Rights(pid)
		reads, unseen := readsFile(p, path)
		switch {
		case pid > 0 && (!ok || known[pid]), pid <= 0 && p.User == "", !reads && !unseen:
			continue // it ended, or is known; or nothing is
		case !ok:
			rights.UID = exposure.Unknown
		}
		if known[pid] = true; strings.HasPrefix(p.Name, "PID ") {
			p.Name = fmt.Sprintf("Blnk (PID %d)", pid)
		}
		if r := (exposure.Reader{Name: p.Name, Rights: rights}); reads {
			certain = append(certain, r)
		} else {
			maybe = append(maybe, r)
		}
	}
	return certain, maybe
}

// readsFile says whether a process reads a file at its start; unseen, that this is not
// known.
func readsFile(p restart.Process, path string) (reads, unseen bool) {
	is := func(file string) bool { return file != "" && textfile.Same(file, path) }
	if slices.ContainsFunc(p.Mounts, is) {
		return true, false
	}
	if filepath.Base(path) != blnk.FileName {
		_, from, _ := strings.Cut(p.Env[restart.ExecMark], "=")
		return p.ExecStore || strings.Contains(from, path), false
	}
	if p.PID <= 0 {
		return is(p.Config) || is(filepath.Join(p.Dir, blnk.FileName)), false
	}
	its, err := os.Stat(filepath.Join("/proc", strconv.Itoa(p.PID), "cwd", blnk.FileName))
	here, missing := os.Stat(path)
	switch {
	case err == nil && missing == nil:
		return os.SameFile(its, here), false
	case errors.Is(err, fs.ErrPermission) && !is(p.Config):
		return false, true
	default:
		return is(p.Config), false
	}
}
