package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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
func scheduled(ctx context.Context, f *Facts) ([]Finding, error) {
	places, err := f.Schedules(ctx)
	if len(places) > 0 {
		return nil, nil
	}
	history, _ := f.History(ctx)
	if len(f.Processes(ctx)) == 0 && history.Rotation == "" {
		return nil, errors.New("this host has neither a Blnk that is seen nor a rotation: what runs them may be elsewhere")
	}
	if err != nil {
		return nil, err
	}
	remedy := "blnkctl schedule " + string(host.Usual()) + f.Flags + " --install" + f.byName()
	if len(f.Spec.Restart) == 0 {
		remedy += " --restart REF"
	}
	return []Finding{{
		Place: "crontab", Text: "no cron line and no systemd timer of this host runs blnkctl rotate: nothing rotates the key by itself", Remedy: remedy,
	}}, nil
}

// failureTold: somebody hears of a rotation that failed, by a notice or by cron's mail.
func failureTold(ctx context.Context, f *Facts) (found []Finding, err error) {
	if slices.ContainsFunc(f.Notices, func(n config.Notice) bool { return len(n.On) == 0 || slices.Contains(n.On, notify.Failure) }) {
		return nil, nil
	}
	places, err := f.Schedules(ctx)
	if history, _ := f.History(ctx); len(places) == 0 && err == nil && history.Rotation != "" {
		return []Finding{{
			Place: cmp.Or(f.ConfigFile, config.Name), Severity: Note, Text: "no notice is configured, and no schedule mails anything: nobody is told when a rotation fails",
			Remedy: "name who is to be told under notify: in " + config.Name + ", and then: blnkctl notify test",
		}}, nil
	}
	if len(places) == 0 {
		return nil, cmp.Or(err, ErrNothing)
	}
	for _, s := range places {
		one := Finding{
			Place: s.Place, Text: "nobody is told when a rotation fails: no notice is configured, and " + s.Silent,
			Remedy: "notify: in " + config.Name + "; or blnkctl schedule cron" + f.Flags + " --install --mail ADDRESS, and a program that sends mail; in a line of your own nothing to /dev/null",
		}
		if s.Timer { // systemctl --failed shows it, and who watches that
			one.Severity, one.Remedy = Note, "notify: in "+config.Name+"; or blnkctl schedule systemd"+f.Flags+" --install --mail ADDRESS; in a unit of your own: OnFailure= (systemd.unit(5))"
		}
		if s.Silent != "" {
			found = append(found, one)
		}
	}
	return found, err
}

// lastSucceeded: the last rotation was not put back, and none is refused again and
// again since the last one that was proved.
func lastSucceeded(ctx context.Context, f *Facts) (found []Finding, err error) {
	history, err := f.History(ctx)
	if err != nil || f.State == nil {
		return nil, cmp.Or(err, f.StateErr)
	}
	if len(f.Stores(ctx)) == 0 {
		return nil, ErrNothing
	}
	first := f.Stores(ctx)[0].Ref
	var last audit.Record
	err = audit.Open(f.State.Path(), f.Now).Records(1000, func(r audit.Record) error { // of all targets; far more than there are in a day
		idle := r.Event == "rollback" && r.Outcome == audit.Refused // that there is no way back is no fault
		if len(r.Stores) > 0 && r.Stores[0] == first && !idle {
			last = r
		}
		return nil
	})
	switch {
	case history.Failures > 0:
		found = append(found, Finding{Place: first, Text: fmt.Sprintf("the last rotation failed and was put back (%d since the last one that was proved)", history.Failures),
			Evidence: []string{"at " + screen.At(history.FailedAt)}})
	case last.Outcome == audit.Refused || last.Outcome == audit.Stuck:
		found = append(found, Finding{Place: first, Text: fmt.Sprintf("the last attempt to %s was %s, %s", last.Event, last.Outcome, times(1+last.Repeated)),
			Evidence: []string{"at " + screen.At(cmp.Or(last.Last, last.Time))}})
		if last.Outcome == audit.Refused && last.Repeated == 0 {
			found[0].Severity = Note // a person may have mistyped it
		}
	case last.Seq == 0 && history.Rotation == "":
		return nil, cmp.Or(err, ErrNothing)
	default:
		return nil, err
	}
	found[0].Remedy = "see why: blnkctl audit log; then mend that, and: blnkctl rotate" + f.restarting()
	if last.Error != "" {
		found[0].Evidence = append(found[0].Evidence, last.Error)
	}
	return found, err
}

const (
	mostShown = 10 // clients of a rule
	burst     = 30 // refusals in a minute, which no person types
	crowd     = 20 // clients refused in a day: who hides in many addresses
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

// ofClients are a finding for each client, and one for those that are too many.
func ofClients(log *accesslog.Log, names []string, text func(string) string, remedy string) (found []Finding) {
	for _, name := range names[:min(len(names), mostShown)] {
		found = append(found, Finding{
			Place: "client " + name, Text: text(name),
			Evidence: []string{
				"last at " + screen.At(log.Clients[name].Last) + ", in " + strings.Join(log.Places, ", "),
				"the address is what X-Forwarded-For says where a request has that: anybody can write it",
			},
			Remedy: remedy + log.See[0] + " | grep " + hint.Quote("client_ip="+name+" .*status=401"),
		})
	}
	if more := len(names) - mostShown; more > 0 || log.Uncounted > 0 && len(names) > 0 {
		found = append(found, Finding{Place: "more clients", Text: fmt.Sprintf("%d more clients, as above (and %d refusals of addresses that are not counted)", max(more, 0), log.Uncounted), Remedy: remedy + log.See[0]})
	}
	return found
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// refused: who was not let in.
func refused(ctx context.Context, f *Facts) ([]Finding, error) {
	log, err := f.Access(ctx)
	return ofClients(log, log.Those(func(c *accesslog.Client) bool { return c.Counted() > 0 }), func(name string) string {
		return fmt.Sprintf("was refused %s in the last day (401)", times(log.Clients[name].Counted()))
	}, "see what it asked for: "), err
}

// oldKey: who was let in until the last rotation, and is refused since.
func oldKey(ctx context.Context, f *Facts) ([]Finding, error) {
	log, err := f.Access(ctx)
	switch {
	case err != nil && log.Requests == 0:
		return nil, err
	case log.Proved.IsZero():
		return nil, cmp.Or(err, ErrNothing)
	}
	var names []string
	texts, unsure := map[string]string{}, map[string]bool{}
	for _, old := range log.StillOld() {
		names = append(names, old.Client)
		then := "never let in: it may still use the old key"
		switch {
		case old.Shared:
			then = "let in, too: of the clients with this address one may still use the old key"
		case old.Before:
			then = "let in before: it still uses the old key"
		}
		texts[old.Client] = fmt.Sprintf("was refused %s since the rotation of %s, and %s", times(old.Refused), screen.At(log.Proved), then)
		unsure["client "+old.Client] = old.Shared
	}
	found := ofClients(log, names, func(name string) string { return texts[name] }, "give it the new key; what it asks for: ")
	for i, one := range found {
		if !log.Whole() || unsure[one.Place] {
			found[i].Severity = Note
		}
	}
	return found, err
}

// noBurst: nobody tries keys.
func noBurst(ctx context.Context, f *Facts) ([]Finding, error) {
	log, err := f.Access(ctx)
	found := ofClients(log, log.Those(func(c *accesslog.Client) bool { return c.Burst() >= burst }), func(name string) string {
		return fmt.Sprintf("was refused %d times within a minute: does somebody try keys?", log.Clients[name].Burst())
	}, "if it is none of yours, keep it out (firewall, proxy); what it asks for: ")
	strangers := log.Those(func(c *accesslog.Client) bool { return c.Counted() > 0 && !c.Before && !c.After })
	if len(strangers)+log.Uncounted >= crowd {
		all := log.Uncounted
		for c := range maps.Values(log.Clients) {
			all += c.Counted()
		}
		found = append(found, Finding{
			Place: log.Places[0], Text: fmt.Sprintf("%d clients that were never let in were refused in the last day: does somebody try keys from many addresses?", len(strangers)),
			Evidence: []string{fmt.Sprintf("%d refusals", all)}, Remedy: "see who that is: " + log.See[0] + " | grep status=401",
		})
	}
	return found, err
}
