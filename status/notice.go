package status

import (
	"cmp"
	"context"
	"slices"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/notify"
)

// event is what a notice of target tells of a standing: that its key is overdue, or no more.
func (s Standing) event(target string, who audit.Actor) notify.Event {
	e := notify.Event{Command: "status", Target: target, Host: who.Host, User: who.User, Old: s.Key.Fingerprint, Due: s.Key.NextDue, Overdue: s.Key.Overdue}
	switch {
	case s.Key.Overdue:
		e.Kind, e.ExitCode = notify.Overdue, 6
		if i := slices.IndexFunc(s.Problems, func(p Problem) bool { return p.Kind == "overdue" }); i >= 0 {
			e.Error, e.Help = s.Problems[i].Text, s.Problems[i].Help
		}
	case s.age && s.Key.MaxAge > 0:
		e.Ends = []string{notify.Overdue}
	}
	return e
}

// Tell tells whom blnkctl.yaml names of keys that are overdue, or are no more. open opens
// the receivers of the target with a first store. Who cannot remember what was told, since
// the state folder is another user's, tells nothing: the rotation itself does. What went
// wrong comes back, a line each.
func (r Report) Tell(ctx context.Context, file config.File, who audit.Actor, open func(store string, notices []config.Notice) *notify.Teller) (failed []string) {
	for _, s := range r.Targets {
		name, notices := "", file.Notify
		if t, ok := file.Targets[s.Target]; ok {
			name, notices = s.Target, t.Notify
		}
		if len(notices) == 0 || len(s.Stores) == 0 {
			continue
		}
		if teller := open(s.Stores[0].Ref, notices); teller.Remembers() {
			failed = append(failed, teller.Report(ctx, s.event(cmp.Or(name, teller.Label()), who))...)
		}
	}
	return failed
}
