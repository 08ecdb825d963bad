package status

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/doctor"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
)

// What the state folder, the servers and /proc tell of a target.

// open is the rotation that has not ended.
func (t Target) open(ctx context.Context, s *Standing) {
	f := t.Facts
	if f.StateErr != nil {
		s.stateless = true
		s.problem("state", f.StateErr.Error()+": age, open rotation and last attempt are not known", t.help(f.StateErr))
		return
	}
	opened, _ := f.Target(ctx)
	o, err := rotate.OpenOf(ctx, f.State, opened.Set)
	switch {
	case err != nil:
		s.problem("open_rotation", err.Error(), t.help(err))
		return
	case o == nil:
		return
	}
	s.Open = &Open{
		Rotation: o.Rotation, Event: o.Event, Step: o.Row, Undoing: o.Undoing, Started: o.Started.UTC(), By: o.User + " on " + o.Host,
		AtWork: o.AtWork, Where: o.Where(), Error: secret.MaskOwn(o.FirstError), Help: o.Help(),
	}
	if o.AtWork != "" {
		return // it is no problem yet
	}
	if first := f.Stores(ctx)[0].Ref; first == o.Target.Stores[0] {
		s.Open.Help = o.Ways(t.Named)
	}
	s.problem("open_rotation", fmt.Sprintf("rotation %s is open, begun %s: %s", o.Rotation, screen.When(o.Started, s.now), o.Where()), s.Open.Help)
}

// servers are asked for the keys of all stores, and for random ones.
func (t Target) servers(ctx context.Context, limit time.Duration, s *Standing) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	live, err := t.Facts.Live(ctx)
	if len(live.Servers) == 0 {
		s.unseenAll(err)
		return
	}
	stores := t.Facts.Stores(ctx)
	for _, says := range live.Servers {
		one := Server{URL: says.URL, Key: proof.Unknown, Secure: says.Secure, Sampled: says.Sampled, Error: says.Error}
		for i, key := range live.Keys {
			switch verdict := says.Keys[i]; {
			case key.Key.Equal(stores[0].Key):
				one.Key = verdict
			case verdict == proof.Live:
				one.Takes = key.From[0]
			}
		}
		if text := one.wrong(); text != "" && (one.Error != "" || !stores[0].Key.IsZero()) {
			help := "restart it, so that it reads its key anew; what it takes: blnkctl verify" + t.Args
			if one.Error != "" {
				help = cmp.Or(says.Hint, "see whether it runs, and what its log says; then: blnkctl verify"+t.Args)
			}
			if one.Secure != nil && !*one.Secure {
				help = "turn it on: blnkctl init" + t.Args
			}
			s.problem("server", text, help)
		}
		s.Servers = append(s.Servers, one)
	}
}

// wrong is why a server is a problem, "" where it is none.
func (s Server) wrong() string {
	switch {
	case s.Secure != nil && !*s.Secure:
		return s.URL + " lets any key in: secure mode is off"
	case s.Error != "":
		return s.Error // it names the server
	case s.Key == proof.Live:
		return ""
	}
	return s.URL + " " + s.does()
}

// silent says that nothing speaks against the key: what answered, if anything did.
func (s Server) silent() bool {
	return s.Error != "" && (s.Key == proof.Unknown || s.Key == proof.Live) && (s.Secure == nil || *s.Secure)
}

// does is what a server does with the key of the first store.
func (s Server) does() string {
	switch {
	case s.Secure != nil && !*s.Secure:
		return "lets any key in"
	case s.Takes != "":
		return "takes the key of " + s.Takes
	case s.Error != "":
		return "does not answer"
	}
	return map[proof.Verdict]string{
		proof.Unknown: "was not asked for this key: there is none, or no header can carry it",
		proof.Live:    "takes this key, and refuses a random one", proof.Rejected: "refuses this key", proof.Scoped: "takes this key as a scoped one, not as the master key",
		proof.Mixed: "takes this key on some connections, and not on others",
	}[s.Key]
}

// processes are those of Blnk on this host that no server has answered for.
func (t Target) processes(ctx context.Context, s *Standing) {
	f := t.Facts
	keys := f.Keys(ctx)
	history, _ := f.History(ctx) // a look less
	_, err := f.View(ctx)
	s.unseenAll(err)
	opened, _ := f.Target(ctx)
	var answered []int
	for i, server := range opened.Servers {
		if i < len(s.Servers) && s.Servers[i].Error == "" {
			answered = append(answered, listening(server)...)
		}
	}
	for _, c := range f.Configurations(ctx) {
		if c.Process == nil || slices.Contains(answered, c.Process.PID) || !c.Process.Server && !c.Process.Workers {
			continue
		}
		p := Process{Name: c.Place, PID: c.Process.PID, Role: map[bool]string{true: "workers", false: "server"}[c.Process.Workers]}
		p.judge(f, c, keys, history)
		if p.Key == "other" || p.Key == "older" {
			s.problem("process", fmt.Sprintf("%s (PID %d) %s", p.Name, p.PID, p.has()), "restart it, where the stores give it its key; where it has it from: blnkctl doctor --rule BLNK-2.3"+t.flags())
		}
		s.Processes = append(s.Processes, p)
	}
	if len(s.Processes) == 0 {
		others := ""
		if f.UID != 0 {
			others = "; those of other users are seen with sudo"
		}
		s.unseen("no workers of this Blnk are seen on this host%s", others)
	}
}

// listening are the processes behind a server of this host.
func listening(server *proof.Server) (pids []int) {
	local, ok := server.Asker.(interface {
		Loopback() bool
		Port() int
	})
	if !ok || !local.Loopback() {
		return nil
	}
	found, _ := listener.Scan().Find(local.Port())
	for _, p := range found {
		pids = append(pids, p.PID)
	}
	return pids
}

// judge says which key a process has.
func (p *Process) judge(f *doctor.Facts, c doctor.Running, keys []secret.Key, h state.History) {
	v := c.Effective.Value(blnk.SecretKey)
	p.Key, p.From, p.Fingerprint = "same", v.Source, v.Text.Fingerprint()
	if !v.Shadowed() {
		p.From = c.Path
	}
	older, certain := f.Older(c, h.ProvedAt)
	switch {
	case c.Err != nil:
		p.Key, p.Why, p.From = "unknown", c.Err.Error(), ""
	case c.Effective == nil:
		p.Key, p.Why, p.From = "unknown", "its environment may not be read by this user", ""
	case c.Path == "" && !v.Shadowed():
		p.Key, p.Why = "unknown", "which blnk.json it reads is not seen"
	case len(keys) == 0:
		p.Key, p.Why = "unknown", "no store holds a key to compare it with"
	case !v.Text.Equal(keys[0]):
		p.Key = "other"
	case v.Shadowed() || !older:
	case certain:
		p.Key, p.Fingerprint = "older", ""
	default:
		p.Key, p.Fingerprint, p.Why = "unknown", "", c.Path+" was changed since it was started: a restart makes sure that it has this key"
	}
}

// has is which key a process has, for people.
func (p Process) has() string {
	switch p.Key {
	case "same":
		return "has this key, from " + p.From
	case "older":
		return "runs since before the last rotation, with the key of then"
	case "other":
		if p.Fingerprint == "" {
			return "has another key, or none, from " + p.From
		}
		return "has another key (" + p.Fingerprint + ") from " + p.From
	}
	return "has a key that is not known: " + p.Why
}

// age is since when the key is there, and when it is due.
func (t Target) age(ctx context.Context, s *Standing) state.History {
	f := t.Facts
	s.Key.MaxAge = int64((t.Policy.MaxAge + time.Second - 1) / time.Second)
	all := f.Stores(ctx)
	if f.StateErr != nil || len(all) == 0 || all[0].Key.IsZero() {
		return state.History{}
	}
	h, err := f.History(ctx)
	if err != nil {
		s.problem("state", err.Error(), t.help(err))
		return h
	}
	key := all[0].Key
	d := t.clock(ctx, h)
	k := &s.Key
	k.Since, k.NextDue, k.NextRun, k.Due, k.Waiting, k.Why = d.Since.UTC(), d.At.UTC(), d.Next.UTC(), d.Yes, d.Waiting, d.Why
	weak := keygen.SecretKey.Weakness(key)
	if weak != "" {
		s.problem("weak", "the key is weak: "+weak, t.command("rotate"))
	}
	known, err := f.State.Compromised().Has(key)
	if err != nil {
		s.problem("state", err.Error(), t.help(err))
	}
	if known {
		s.problem("compromised", "others are known to have the key", t.command("rotate --compromised"))
	}
	switch {
	case d.Since.IsZero() || d.Since.After(s.now):
		if t.Policy.MaxAge > 0 && weak == "" && !known { // else it is due at any age
			s.problem("age_unknown", "the age of the key is not known: "+unknownAge(d), "the next run of rotate starts its clock: "+t.command("rotate")+" --if-older-than "+policy.Age(t.Policy.MaxAge))
		}
	default:
		s.age, k.Age = true, int64(s.now.Sub(d.Since)/time.Second)
		k.How = map[time.Time]string{h.ProvedAt: "rotated", h.SeenAt: "first_seen"}[d.Since]
		k.How = cmp.Or(k.How, "written")
		if k.Overdue = !d.At.IsZero() && s.now.Sub(d.At) > policy.Late; k.Overdue {
			s.problem("overdue", fmt.Sprintf("the key is overdue: it was to be replaced %s", screen.When(d.At, s.now)), t.command("rotate"))
		}
	}
	t.previous(ctx, s, key)
	return h
}

func unknownAge(d rotate.Due) string {
	if d.Since.IsZero() {
		return "blnkctl has not seen it before"
	}
	return "a clock was wrong"
}

// last is the last attempt. That it was put back is known without the log, too.
func (t Target) last(s *Standing, h state.History) {
	f := t.Facts
	if f.StateErr != nil || len(s.Stores) == 0 {
		return
	}
	last, err := audit.Open(f.State.Path(), f.Now).LastAttempt(s.Stores[0].Ref)
	if err != nil {
		s.problem("state", err.Error(), t.help(err))
		return
	}
	if last.Seq == 0 {
		if h.Failures > 0 && s.Open == nil {
			s.problem("last_attempt", "a rotation was put back, "+screen.When(h.FailedAt, s.now)+"; since then none was proved", "see why: blnkctl audit log; mend that, and: "+t.command("rotate"))
		} else if s.Key.How == "rotated" {
			s.unseen("the last attempt: the audit log has none of this target; blnkctl audit verify")
		}
		return
	}
	a := &Attempt{
		Time: last.Time.UTC(), Event: last.Event, Outcome: last.Outcome, Rotation: last.Rotation,
		By: last.User + " on " + last.Host, Error: secret.MaskOwn(last.Error), Repeated: last.Repeated,
	}
	if last.Repeated > 0 {
		a.Time = last.Last.UTC()
	}
	due := s.Key.Due || s.has("compromised")
	a.Failed = last.Outcome == audit.Stuck || last.Outcome == string(rotate.RolledBack) && last.Error != "" || last.Outcome == audit.Refused && (due || last.Compromised)
	if s.Last = a; a.Failed && s.Open == nil {
		s.problem("last_attempt", fmt.Sprintf("the last attempt to %s was %s, %s: %s", a.Event, spoken(a.Outcome), screen.When(a.Time, s.now), cmp.Or(a.Error, "no reason was recorded")), "mend that, and: "+t.command("rotate"))
	}
}
