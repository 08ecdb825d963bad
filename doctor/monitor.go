package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/accesslog"
	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/notify"
	"github.com/blnkctl/blnkctl/schedule/host"
)

// scheduled: something on this host runs blnkctl rotate again and again.
func scheduled(ctx context.Context, f *Facts, r *Result) {
	places, err := f.Schedules(ctx)
	r.saw(true)
	history, _ := f.History(ctx)
	switch {
	case len(places) > 0:
	case len(f.Processes(ctx)) == 0 && history.Rotation == "":
		r.unsure(errors.New("this host has neither a Blnk that is seen nor a rotation: what runs them may be elsewhere"))
	case err != nil:
		r.unsure(err)
	default:
		remedy := "blnkctl schedule " + string(host.Usual()) + f.Flags + " --install" + f.byName()
		if len(f.Spec.Restart) == 0 {
			remedy += " --restart REF"
		}
		r.add("crontab", "no cron line and no systemd timer of this host runs blnkctl rotate: nothing rotates the key by itself", remedy)
	}
}

// failureTold: somebody hears of a rotation that failed, by a notice or by cron's mail.
func failureTold(ctx context.Context, f *Facts, r *Result) {
	if slices.ContainsFunc(f.Notices, func(n config.Notice) bool { return len(n.On) == 0 || slices.Contains(n.On, notify.Failure) }) {
		r.saw(true)
		return
	}
	places, err := f.Schedules(ctx)
	if history, _ := f.History(ctx); len(places) == 0 && err == nil && history.Rotation != "" {
		r.add(cmp.Or(f.ConfigFile, config.Name), "no notice is configured, and no schedule mails anything: nobody is told when a rotation fails",
			"name who is to be told under notify: in "+config.Name+", and then: blnkctl notify test").Severity = Note
	}
	r.unsure(err)
	for _, s := range places {
		if r.saw(true); s.Silent == "" {
			continue
		}
		one := r.add(s.Place, "nobody is told when a rotation fails: no notice is configured, and "+s.Silent,
			"notify: in "+config.Name+"; or blnkctl schedule cron"+f.Flags+" --install --mail ADDRESS, and a program that sends mail; in a line of your own nothing to /dev/null")
		if s.Timer { // systemctl --failed shows it, and who watches that
			one.Severity = Note
			one.Remedy = "notify: in " + config.Name + "; or blnkctl schedule systemd" + f.Flags + " --install --mail ADDRESS; in a unit of your own: OnFailure= (systemd.unit(5))"
		}
	}
}

// lastSucceeded: the last rotation was not put back, and none is refused again and
// again since the last one that was proved.
func lastSucceeded(ctx context.Context, f *Facts, r *Result) {
	history, err := f.History(ctx)
	if r.unsure(err, f.StateErr); err != nil || f.State == nil || len(f.Stores(ctx)) == 0 {
		return
	}
	first := f.Stores(ctx)[0].Ref
	last, err := audit.Open(f.State.Path(), f.Now).LastAttempt(first)
	r.unsure(err)
	r.saw(last.Seq > 0 || history.Rotation != "")
	text, at := "", history.FailedAt
	if history.Failures > 0 {
		text = fmt.Sprintf("the last rotation failed and was put back (%d since the last one that was proved)", history.Failures)
	} else if last.Outcome == audit.Refused || last.Outcome == audit.Stuck {
		text, at = fmt.Sprintf("the last attempt to %s was %s, %s", last.Event, last.Outcome, screen.Times(1+last.Repeated)), cmp.Or(last.Last, last.Time)
	} else {
		return
	}
	one := r.add(first, text, "see why: blnkctl audit log; then mend that, and: blnkctl rotate"+f.restarting(), "at "+screen.At(at))
	if last.Error != "" {
		one.Evidence = append(one.Evidence, last.Error)
	}
	if history.Failures == 0 && last.Outcome == audit.Refused && last.Repeated == 0 {
		one.Severity = Note // a person may have mistyped it
	}
}

const (
	mostShown = 10 // clients of a rule
	burst     = 30 // refusals in a minute, which no person types
)

// Access is what the servers' logs of the last day tell.
func (f *Facts) Access(ctx context.Context) (*accesslog.Log, error) {
	return f.access.get(func() (*accesslog.Log, error) {
		live, _ := f.Live(ctx) // so that these questions are in the logs, too: each with its answer
		history, _ := f.History(ctx)
		log, err := accesslog.Read(ctx, accesslog.Look{
			Processes: f.Processes(ctx), Proved: history.ProvedAt, Now: f.Now(), Dir: f.Dir, Env: f.Env, Keys: f.Keys(ctx),
		})
		if log.Servers == 0 {
			return log, f.unseen(ctx)
		}
		_, unseen := f.View(ctx)
		for _, s := range live.Servers {
			if s.RandomRefused != nil && !*s.RandomRefused {
				err = errors.Join(err, fmt.Errorf("%s lets everybody in, so that its log tells of no key", s.URL))
			}
		}
		return log, errors.Join(err, unseen)
	})
}

// addClients makes a finding for each client of which say has a text, and one for those
// that are too many.
func (r *Result) addClients(log *accesslog.Log, names []string, remedy string, say func(name string) (text string, severity Severity)) {
	r.saw(true)
	for _, name := range names[:min(len(names), mostShown)] {
		text, severity := say(name)
		r.add("client "+name, text, remedy+log.See[0]+" | grep "+hint.Quote("client_ip="+name+" .*status=401"),
			"last at "+screen.At(log.Clients[name].Last)+", in "+strings.Join(log.Places, ", "),
			"the address is what X-Forwarded-For says where a request has that: anybody can write it").Severity = severity
	}
	more, worst := names[min(len(names), mostShown):], Note
	for _, name := range more {
		if _, severity := say(name); severity != Note {
			worst = severity
		}
	}
	if len(more) > 0 {
		r.add("more clients", fmt.Sprintf("%d more clients, as above", len(more)), remedy+log.See[0]).Severity = worst
	}
}

// refused: who was not let in.
func refused(ctx context.Context, f *Facts, r *Result) {
	log, err := f.Access(ctx)
	r.unsure(err)
	names := log.Those(func(c *accesslog.Client) bool { return c.Counted() > 0 })
	r.addClients(log, names, "see what it asked for: ", func(name string) (string, Severity) {
		return fmt.Sprintf("was refused %s in the last day (401)", screen.Times(log.Clients[name].Counted())), r.Severity
	})
}

// oldKey: who was let in until the last rotation, and is refused since.
func oldKey(ctx context.Context, f *Facts, r *Result) {
	log, err := f.Access(ctx)
	if r.unsure(err); err != nil && log.Requests == 0 || log.Proved.IsZero() {
		return
	}
	var names []string
	those := map[string]accesslog.Old{}
	for _, old := range log.StillOld() {
		names = append(names, old.Address)
		those[old.Address] = old
	}
	r.addClients(log, names, "give it the new key; what it asks for: ", func(name string) (string, Severity) {
		old, then, severity := those[name], "never let in: it may still use the old key", r.Severity
		switch {
		case old.Shared:
			then = "let in, too: of the clients with this address one may still use the old key"
		case old.Sure:
			then = "let in before: it still uses the old key"
		}
		if !log.Whole() || old.Shared {
			severity = Note
		}
		return fmt.Sprintf("was refused %s since the rotation of %s, and %s", screen.Times(old.Refused), screen.At(log.Proved), then), severity
	})
}

// noBurst: nobody tries keys.
func noBurst(ctx context.Context, f *Facts, r *Result) {
	log, err := f.Access(ctx)
	r.unsure(err)
	names := log.Those(func(c *accesslog.Client) bool { return c.Burst() >= burst })
	r.addClients(log, names, "if it is none of yours, keep it out (firewall, proxy); what it asks for: ", func(name string) (string, Severity) {
		return fmt.Sprintf("was refused %d times within a minute: does somebody try keys?", log.Clients[name].Burst()), r.Severity
	})
}
