package rotate

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/policy"
)

// Plans and reports as people read them; a caller breaks the lines where it has to.

// Text is the plan. private is where state and audit log are kept.
func (p Plan) Text(private string) string {
	var b strings.Builder
	switch {
	case p.Open != nil:
		how := "finished"
		if p.Open.Undoing {
			how = "undone"
		}
		fmt.Fprintf(&b, "Rotation %s is open, %s:\n%s.\nIt would be %s from step %q on, and no other one begun.\n",
			p.Open.Rotation, screen.CleanLine(p.Open.Begun()), p.Open.Where(), how, p.Open.Row)
		if p.Open.FirstError != "" {
			fmt.Fprintf(&b, "It stopped because: %s\n", screen.CleanLine(p.Open.FirstError))
		}
		b.WriteString(p.Open.Ways(p.named) + "\n")
	case p.in.Event == Retire:
		fmt.Fprintf(&b, "Retire %s.\nNothing brings it back.\n", p.Due.Why)
	case !p.Due.Yes:
		b.WriteString("Nothing to do: " + screen.CleanLine(p.Due.Why) + "\n")
	case p.in.Event == Sync:
		fmt.Fprintf(&b, "Copy the key: %s\n\n", screen.CleanLine(p.Due.Why))
		screen.Items(&b, "differs", "%s", p.Differs)
		screen.Items(&b, "write", copyFormat, p.Copies)
		screen.Items(&b, "restart", "%s", p.Restart)
		screen.Items(&b, "test", "%s: this key taken, the one before and random ones refused", p.Servers)
	case p.in.Event == Init:
		p.writeSecuring(&b, private)
	default:
		p.write(&b, private)
	}
	if said := len(p.Remarks)+len(p.Cautions) > 0; said {
		b.WriteByte('\n')
	} else if p.Open != nil || !p.Due.Yes {
		return b.String()
	}
	for _, text := range p.Remarks {
		b.WriteString("Note: " + screen.CleanLine(text) + "\n")
	}
	for _, text := range p.Cautions {
		b.WriteString("Warning: " + screen.CleanLine(text) + "\n")
	}
	b.WriteByte('\n')
	return b.String()
}

const copyFormat = "%s (write-only: last, and not read back)"

// write writes the plan of a new key.
func (p Plan) write(b *strings.Builder, private string) {
	which, called := "Rotate the master key "+p.Old, events[p.in.Event]
	if p.Old == "" {
		which = "Rotate the master key, which is weak"
	}
	if p.in.Event == Rollback {
		which = fmt.Sprintf("Bring the previous key back: %s\nin place of %s", screen.CleanLine(p.Due.Why), p.Current.Name())
	}
	b.WriteString(which)
	if p.in.IfDue && p.Due.Why != "" {
		b.WriteString("\n(" + screen.CleanLine(p.Due.Why) + ")")
	}
	b.WriteString("\n\n")
	p.writeSteps(b, p.Stores, called.next+" key taken, "+called.other+" and random ones refused", private)
	switch {
	case p.Compromised:
		b.WriteString("\nThere is no way back to the " + called.other + " key: after a failure a person is needed.\n")
	default:
		b.WriteString("\nAfter a failure the " + called.other + " key is put back, restarted with, and proved.\n")
		if p.in.Event == Rotate && p.in.Policy.Keep() > 0 {
			fmt.Fprintf(b, "Otherwise it is kept in the state folder for %s, for `blnkctl rollback`.\n", policy.Age(p.in.Policy.Keep()))
		}
	}
	b.WriteString("\nWho holds the key besides the server:\n")
	workers := "restarted by what --restart names"
	switch {
	case len(p.Cautions) > 0:
		workers = "see the warning below"
	case !p.workersProved:
		workers = "not proved: restart them too, they read the key at start"
	}
	screen.Items(b, "workers", "sign webhooks with it; %s", []string{workers})
	hooks := "none known to the server or to blnk.json"
	if len(p.Receivers) > 0 {
		hooks = "receivers must accept signatures of both keys meanwhile:"
	}
	p.writeHooks(b, hooks)
	screen.Items(b, "jobs", "%s", []string{"that use the master key (hooks, API keys, SDKs, Blnk Cloud)"})
	b.WriteString("Scoped API keys are not touched, nor is any other secret.\n")
}

// writeSteps writes the steps that are taken behind this one.
func (p Plan) writeSteps(b *strings.Builder, set []string, test, private string) {
	screen.Items(b, "1 set", "%s", set)
	screen.Items(b, "", copyFormat, p.Copies)
	if len(p.Restart) > 0 {
		screen.Items(b, "2 restart", "%s", p.Restart)
		screen.Items(b, "3 test", "%s: "+test, p.Servers)
		screen.Items(b, "4 finish", "state and audit log in %s", []string{private})
	}
}

func (p Plan) writeHooks(b *strings.Builder, head string) {
	hooks := []string{head}
	for _, r := range p.Receivers {
		hooks = append(hooks, r.URL+" ("+r.What+")")
	}
	screen.Items(b, "webhooks", "%s", hooks)
}

// writeSecuring writes the plan of what turns secure mode on.
func (p Plan) writeSecuring(b *strings.Builder, private string) {
	secure := !p.in.KeyOnly
	switch {
	case !secure:
		b.WriteString("Write the key; secure mode stays as it is\n\n")
	case p.WasOpen:
		b.WriteString("Turn secure mode on: the server lets any key in now\n\n")
	default:
		b.WriteString("Put secure mode and a strong key in place\n\n")
	}
	p.writeSteps(b, p.Differs, "this key taken, random ones refused", private)
	if len(p.Restart) > 0 {
		after := "the old key is put back, restarted with, and proved"
		if p.WasOpen {
			after = "key and settings are put back, restarted with, and open as they are now; modes and ignore lists stay"
		}
		b.WriteString("\nAfter a failure " + after + ".\n")
	} else {
		b.WriteString("\nNothing is restarted and nothing proved: a server reads this at its next start.\n")
	}
	if !secure || !p.WasOpen && len(p.Restart) > 0 && p.Current.Equal(p.next) {
		return
	}
	b.WriteString("\nWho is cut off then, until it sends this key (X-Blnk-Key) or an API key:\n")
	screen.Items(b, "clients", "%s", []string{"every one that sends no key, or another one"})
	p.writeHooks(b, "receivers must accept signatures of this key")
	b.WriteString("To move the clients first: --stage key now, --stage enforce when they send the key.\n")
}

// Text is the result; "" where an error says it all.
func (r Report) Text(look screen.Look) string {
	before, after := cmp.Or(r.Old, "a weak key"), cmp.Or(r.New, "a weak key")
	good := func(word string) string { return look.Paint(screen.Green, word) }
	text := func(word, proof, format string, args ...any) string {
		return word + fmt.Sprintf(format, args...) + "\n" + r.proofs(good, proof)
	}
	called, back := events[r.event], look.Paint(screen.Yellow, "put back")
	replaced := fmt.Sprintf("the %s key is live, the %s one is dead", called.next, called.other)
	switch r.ended() {
	case Secured:
		which, proof := "new key", "this key is live, random ones are refused"
		switch {
		case r.kept:
			which = "key"
		case !r.wasOpen:
			proof = replaced
		}
		return text(good("secured"), proof, ": secure mode is on, with the %s %s", which, after)
	case Written:
		return text(good("written"), "", ": the key %s stands in every place; nothing was restarted or proved", after)
	case Rotated:
		return text(good("rotated"), replaced, " %s -> %s", before, after)
	case Restored:
		return text(good("rolled back"), replaced, " %s -> %s", before, after)
	case Synced:
		return text(good("synced"), "this key is live", " to %s", after)
	case RolledBack:
		switch {
		case r.event == Init && r.written:
			return text(back, "", ": every place is as it was")
		case r.event == Init && len(r.Servers) > 0 && r.Servers[0].Live == "open":
			return text(back, "any key is let in, as before", ": secure mode is off again")
		}
		return text(back, fmt.Sprintf("the %s key is live, the %s one is dead", called.other, called.next), ": %s is in force again", before)
	case InPlace, InSync, NotDue, Adopted:
		return good(strings.ReplaceAll(string(r.Outcome), "_", " ")) + ": " + screen.CleanLine(r.Due.Why) + "\n"
	case Abandoned:
		return "abandoned: the open rotation is forgotten\n"
	case None:
		return "there is no open rotation\n"
	}
	return ""
}

// ended is the outcome, whether or not an earlier run began it.
func (r Report) ended() Outcome {
	switch {
	case r.Outcome != Resumed:
		return r.Outcome
	case r.event == Init && r.written:
		return Written
	}
	return events[r.event].done
}

func (r Report) proofs(good func(string) string, proof string) string {
	var b strings.Builder
	for _, s := range r.Servers {
		word, proof := "proved", proof
		if s.Sampled {
			word = "sampled"
		}
		if s.OldScoped {
			proof = "the new key is live, the old one is let in as a scoped API key"
		}
		fmt.Fprintf(&b, "  %s on %s: %s\n", good(word), screen.CleanLine(s.URL), proof)
	}
	return b.String()
}

// Next is what is to be done after a rotation, a line each; cron is a command that does
// it from now on, "" for none.
// target is the name of the target, "" for none; restarts says that something was named
// that restarts the server.
func (r Report) Next(cron, target string, restarts bool) []string {
	switch end := r.ended(); {
	case end == Secured, end == Written, end == InPlace:
		return r.nextOfInit(cron, target, restarts)
	case end == None && r.back != "":
		return []string{r.back}
	case end == Restored:
		return []string{"give the previous key back to whatever else got the newer one (receivers of webhooks, jobs, SDKs, Blnk Cloud)", r.back}
	case end != Rotated:
		return nil
	}
	who := "whatever else uses it (receivers of webhooks, jobs, SDKs, Blnk Cloud)"
	if r.planned {
		who = "whatever else uses it (jobs, SDKs, Blnk Cloud)"
	}
	for _, one := range r.receivers {
		who = one.URL + " and to " + who
	}
	if cron != "" {
		who += "; for cron: " + cron
	}
	lines := []string{"give the new key to " + who}
	if r.back != "" {
		lines = append(lines, r.back)
	}
	return lines
}

// nextOfInit is Next of an init.
func (r Report) nextOfInit(cron, target string, restarts bool) []string {
	flag, restart := "", ""
	if !restarts {
		restart = " --restart REF"
	}
	if target != "" {
		target, flag = " "+target, " --target "+target
	}
	send := "clients send the key in the header X-Blnk-Key; they get it from its store, or from `blnkctl exec" + flag + " -- COMMAND` in BLNK_SERVER_SECRET_KEY"
	switch {
	case r.Outcome == InPlace && !r.open:
		return nil
	case r.keyOnly:
		return []string{send, "when the clients send it: blnkctl init" + target + " --stage enforce" + restart}
	case r.written || r.open:
		return []string{send, "restart the server and its workers, or let `blnkctl init" + target + restart + "` do it and prove it; then blnkctl verify" + target}
	}
	lines := []string{send, "blnkctl verify" + target + " asks the server at any time"}
	if !r.wasOpen && !r.kept {
		lines[0] = "give the new key to whatever else uses it (receivers of webhooks, jobs, SDKs, Blnk Cloud)"
	}
	if cron != "" {
		lines = append(lines, "for cron: "+cron)
	}
	return lines
}

// Question is what a person is asked who has seen the plan.
func (p Plan) Question() string {
	if p.in.KeyOnly {
		return "Write the key now?"
	}
	return events[p.in.Event].question
}

// Name is what a step is called.
func (p Progress) Name() string {
	if p.Undo {
		return "undo " + p.Step
	}
	return p.Step
}

// Ended is the line of a step that is Done or Failed.
func (p Progress) Ended(look screen.Look) string {
	if p.Kind == Failed {
		return fmt.Sprintf("  %-12s %s after %s", p.Name(), look.Paint(screen.Red, "failed"), screen.Time(p.Duration))
	}
	return fmt.Sprintf("  %-12s %s", p.Name(), look.Paint(screen.Green, screen.Time(p.Duration)))
}
