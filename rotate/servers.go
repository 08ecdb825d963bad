package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
)

// patience is how long a server may stay silent before the first effect (a restart
// that somebody just did) before the run gives up on it. One that limits how often it
// is asked has all the time of Timeout.
const patience = 2 * time.Second

// limited bounds questions before a restart or besides one: a server that limits how
// often it is asked would have them wait for hours.
func (r *run) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	const least = 10 * time.Second // a short Timeout is for what comes after the restart
	return context.WithTimeout(ctx, max(r.Timeout, least))
}

// patiently proves a key to one server (heard).
func (r *run) patiently(ctx context.Context, s *proof.Server, key secret.Key) (proof.Verdict, error) {
	return r.heard(ctx, func(ctx context.Context) (proof.Verdict, error) { return s.Prove(ctx, key, secret.Key{}) })
}

// heard asks one server, more than once while it is silent.
func (r *run) heard(ctx context.Context, prove func(context.Context) (proof.Verdict, error)) (proof.Verdict, error) {
	ctx, cancel := r.limited(ctx)
	defer cancel()
	deadline := time.Now().Add(patience)
	var why error
	for pause := (proof.Pause{}); ; {
		v, reason := prove(ctx)
		if v != proof.Unknown {
			return v, nil
		}
		// The first reason: the last one may only be that the time was up.
		why = cmp.Or(why, reason)
		if errors.Is(reason, blnk.ErrLimited) {
			deadline, _ = ctx.Deadline()
		}
		if !pause.Wait(ctx, deadline) {
			return proof.Unknown, why
		}
	}
}

// each asks every server for a key, and says what it lacks to have that of the stores.
func (r *run) each(key secret.Key, ask func(s *proof.Server) (proof.Verdict, error)) (verdicts []proof.Verdict, lacks []error) {
	verdicts, lacks = proof.Each(r.Servers, func(_ int, s *proof.Server) (proof.Verdict, error) { return ask(s) })
	for i, s := range r.Servers {
		lacks[i] = r.notLive(s, verdicts[i], lacks[i], fmt.Sprintf("%s (%s)", r.Set[0], key.Name()))
	}
	return verdicts, lacks
}

// proveLive asks whether a key of the stores is the live master key everywhere, and a
// random one is refused.
func (r *run) proveLive(ctx context.Context, key secret.Key) error {
	_, lacks := r.each(key, func(s *proof.Server) (proof.Verdict, error) { return r.patiently(ctx, s, key) })
	return cmp.Or(lacks...)
}

// stillLive asks every server once about a key that is not replaced now, so that
// a wrong one does not go unnoticed until it is due. That one is down is no fault yet; an
// answer that is none may come from what stands in its place, and is told.
func (r *run) stillLive(ctx context.Context, key secret.Key) error {
	ctx, cancel := r.limited(ctx)
	defer cancel()
	verdicts, lacks := r.each(key, func(s *proof.Server) (proof.Verdict, error) { return s.Once(ctx, key) })
	r.found(verdicts)
	for i, err := range lacks {
		if verdicts[i] != proof.Unknown && err != nil {
			return hint.As(ErrNotLive, "%w", err)
		}
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			r.note("%v", err)
		case err != nil:
			r.warn("not proved: %v", err)
		}
	}
	return nil
}

// found keeps for the report what servers do with a key that stays.
func (r *run) found(verdicts []proof.Verdict) {
	words := map[proof.Verdict]string{proof.Live: "old", proof.Mixed: "mixed", proof.Open: "open", proof.Unknown: "down"}
	r.report.Servers = nil
	for i, v := range verdicts {
		r.report.Servers = append(r.report.Servers, ServerState{URL: r.Servers[i].String(), Live: cmp.Or(words[v], "other")})
	}
}

// notOpen asks servers that may be down: what one says of the key is of no matter then,
// but where secure mode is off, no restart that leaves it off could be proved.
func (r *run) notOpen(ctx context.Context, key secret.Key) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	verdicts, lacks := r.each(key, func(s *proof.Server) (proof.Verdict, error) { return s.Once(ctx, key) })
	if i := slices.Index(verdicts, proof.Open); i >= 0 {
		return lacks[i]
	}
	return nil
}

// notLive says what a server lacks before the first effect, and nil where it has
// the key of a store.
func (r *run) notLive(s *proof.Server, v proof.Verdict, reason error, of string) error {
	switch v {
	case proof.Live:
		return nil
	case proof.Open:
		return hint.Add(fmt.Errorf("%s: %w: it lets a random key in", s, ErrOpen),
			"turn it on: blnkctl init%s%s; until then anybody may do anything there", r.env.Named, hint.Flags("--restart", r.Spec.Restart))
	case proof.Mixed:
		return hint.Add(fmt.Errorf("%s: %w on every connection: several servers with different keys stand behind it", s, ErrNotLive),
			"name each of them with a --server of its own; blnkctl verify tells which key each takes")
	case proof.Rejected:
		help := putLive
		if r.in.Event == Rotate || r.in.Event == Rollback {
			help += "; where it is lost, --server-down rotates without it"
		}
		return hint.Add(fmt.Errorf("%s: %w: it refuses the key of %s", s, ErrNotLive, of), "%s", help)
	}
	return r.unasked(s, reason)
}

const putLive = "put the live key into the store"

// meaning is what a verdict after the restart says of a server: the key that it
// lives by, what a person who waits would like to know, and what it lacks.
func (r *run) meaning(s *proof.Server, v proof.Verdict, reason error) (live, seen string, lacks error) {
	g := r.rec.goal()
	shadowed := func(err error) error {
		variable := map[bool]string{true: "BLNK_SERVER_SECURE", false: "BLNK_SERVER_SECRET_KEY"}[g.otherOpen]
		return hint.Add(err, "look for %s where the restart gets the server's environment from (a unit, an env_file): it wins over blnk.json", variable)
	}
	switch v {
	case proof.Live, proof.OtherScoped:
		return g.live, "", nil
	case proof.OtherLive:
		seen = fmt.Sprintf("%s still %s", s, g.otherDoes())
		return g.otherLive, seen, shadowed(fmt.Errorf("%s%s: %w", seen, g.refusing(), ErrStale))
	case proof.Mixed:
		seen = s.String() + " answers differently from one connection to the next"
		return "mixed", seen, errors.New(seen + ": several servers with different keys stand behind it")
	case proof.Open:
		return "open", "", hint.Add(fmt.Errorf("%s lets a random key in: %w", s, ErrOpen),
			`set "secure": true under "server" in blnk.json; where it is, look for BLNK_SERVER_SECURE where the restart gets the server's environment from`)
	case proof.Rejected:
		both := fmt.Sprintf("both the %s key and the %s one", g.name, g.otherNamed)
		if g.open || g.otherOpen {
			both = "the new key, and random ones"
		}
		return "other", "", shadowed(fmt.Errorf("%s refuses %s: %w", s, both, ErrElsewhere))
	}
	return "down", "", hint.Add(fmt.Errorf("%w: %w", ErrSilent, cmp.Or(reason, fmt.Errorf("%s did not answer in time", s))), "%s",
		cmp.Or(hint.Of(reason), "the server's log says why it did not come back; then run this again"))
}

// ask asks every server once for the journaled keys.
func (r *run) ask(ctx context.Context) []proof.Verdict {
	ctx, cancel := r.limited(ctx)
	defer cancel()
	g := r.rec.goal()
	verdicts, _ := proof.Each(r.Servers, func(_ int, s *proof.Server) (proof.Verdict, error) {
		return g.prove(ctx, s)
	})
	return verdicts
}

// await asks all servers until every one of them proves the wanted key, one of
// them proves that waiting is useless, or the time is up. The error says which
// server failed, and how.
func (r *run) await(ctx context.Context) ([]proof.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	g, began := r.rec.goal(), time.Now()
	verdicts, reasons := make([]proof.Verdict, len(r.Servers)), make([]error, len(r.Servers))
	for pause := (proof.Pause{}); ; {
		now, why := proof.Each(r.Servers, func(i int, s *proof.Server) (proof.Verdict, error) {
			if verdicts[i].Proves() {
				return verdicts[i], nil
			}
			return g.prove(ctx, s)
		})
		var failed error
		useless := false
		for i, s := range r.Servers {
			before := verdicts[i]
			// What a server said before it fell silent at the deadline tells more
			// than the deadline.
			if now[i] != proof.Unknown || ctx.Err() == nil {
				if now[i] == proof.OtherLive && before == proof.Mixed {
					now[i] = proof.Mixed // which of several servers is met first is chance
				}
				verdicts[i], reasons[i] = now[i], why[i]
			}
			v := verdicts[i]
			_, seen, lacks := r.meaning(s, v, reasons[i])
			if v != before && seen != "" {
				r.note("%s", seen)
				if v == proof.Mixed {
					r.rec.Mixed = append(r.rec.Mixed, s.String()) // the next save keeps it
				}
			}
			// Waiting does not help, but where the own key of a server was lost: the
			// one from before takes neither of the two.
			hopeless := v == proof.Open || v == proof.Rejected && !(r.rec.ServerDown && !r.undoing())
			if v == proof.OtherLive && time.Since(began) >= r.grace() {
				if m := r.notRestarted(s); m != nil {
					lacks = hint.Add(fmt.Errorf("%s%s: %s: %w, and runs since before", seen, g.refusing(), m, errNotRestarted),
						`name with --restart what restarts that process ("systemctl status %d" may tell its unit); something that does so later, by itself, is --restart wait:`, m.PID)
					hopeless = r.WorkersProved && r.unproved == nil // it was restarted, says the driver
				}
			}
			if lacks != nil && (failed == nil || hopeless && !useless) {
				failed, useless = lacks, hopeless
			}
		}
		if failed == nil || useless || !pause.Wait(ctx, deadline) {
			return verdicts, failed
		}
	}
}

// grace is how long a process may go on after a restart that was only asked for: one
// that was told to end takes no new connection from then on.
func (r *run) grace() time.Duration { return min(5*time.Second, r.Timeout/2) }

// notRestarted is the process that listens for a server, where it is one that was to be
// replaced; nil where another one listens (the old one may live on, to answer what it
// has begun), or that is not seen.
func (r *run) notRestarted(s *proof.Server) *listener.Mark {
	if len(r.leaving) == 0 || r.env.Listening == nil {
		return nil
	}
	var old *listener.Mark
	for _, m := range r.env.Listening(s.String()) {
		i := slices.IndexFunc(r.leaving, m.Same)
		if i < 0 {
			return nil
		}
		old = &r.leaving[i]
	}
	return old
}

// outlast waits a little for the processes that were to be replaced, and keeps those
// that run all the same. A server that takes no connection any more is about to end.
func (r *run) outlast(ctx context.Context) {
	deadline := time.Now().Add(r.grace())
	for pause := (proof.Pause{}); ; {
		r.leaving = slices.DeleteFunc(slices.Clone(r.leaving), func(m listener.Mark) bool { return !m.Runs() || m.Server && !m.Listens() })
		if len(r.leaving) == 0 || !pause.Wait(ctx, deadline) {
			return
		}
	}
}

// states are what servers accept, by what was asked after a restart.
func (r *run) states(verdicts []proof.Verdict) (all []ServerState) {
	for i, v := range verdicts {
		s := r.Servers[i]
		live, _, _ := r.meaning(s, v, nil)
		all = append(all, ServerState{
			URL: s.String(), Live: live, Sampled: s.Sampled() && v.Proves(), OldScoped: v == proof.OtherScoped && !r.undoing(),
		})
	}
	return all
}

// reportServers says what each server accepted in the end, and warns of what a
// proof leaves open.
func (r *run) reportServers(verdicts []proof.Verdict, proved bool) {
	r.report.Servers = r.states(verdicts)
	if !proved {
		return
	}
	for i, s := range r.Servers {
		switch v := verdicts[i]; {
		case v == proof.OtherScoped && !r.undoing():
			r.incomplete("%s still lets the old key in, as a scoped API key: delete that API key", s)
		case v == proof.OtherScoped:
			r.warn("%s lets the discarded new key in as a scoped API key", s)
		}
		if s.Sampled() {
			r.warn("%s was sampled with %d connections: if it is a balancer, give one --server per replica", s, s.Agreeing())
		}
	}
	for _, m := range r.leaving {
		what := "workers not proved"
		if m.Server {
			what = "not restarted"
		}
		with := ""
		if g := r.rec.goal(); !g.otherOpen {
			with = ", with the " + g.otherNamed + " key"
		}
		r.warn("%s: %s runs since before the restart%s; where it does not end by itself, restart it", what, m, with)
	}
	old := r.rec.live()
	switch {
	case r.unproved != nil && oneLine(r.unproved.Error()) == r.rec.FirstError: // which is said already
		r.warn("workers not proved: restart with the old key failed in the same way")
	case r.unproved != nil:
		r.warn("workers not proved: %v", r.unproved)
	case !r.WorkersProved && len(r.leaving) == 0:
		r.warn("workers not proved: nothing here restarted them; one that was not restarted signs webhooks with the other key")
	}
	switch {
	case r.undoing() || r.rec.WasOpen || blnk.Sendable(old):
	case old.IsZero():
		r.warn("the key that was in force before is not known: nobody asked whether it is refused now")
	default:
		r.note("the old key cannot be sent in a header, so it was not asked for")
	}
}
