package cmd

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
)

// planJSON is the document of --dry-run -o json.
type planJSON struct {
	DryRun  bool     `json:"dry_run"`
	Would   string   `json:"would"` // rotate, nothing, finish
	Why     string   `json:"why"`
	Old     string   `json:"old"`
	Open    string   `json:"open,omitempty"` // ID of the rotation that would be finished
	Stores  []string `json:"stores"`
	Restart []string `json:"restart"`
	Servers []string `json:"servers"`
	Holders []string `json:"holders"`
	Remarks []string `json:"remarks"`
	// Warnings are those that the result would have, too.
	Warnings []string `json:"warnings"`
}

// dryRun checks everything and prints the plan.
func (s *session) dryRun(ctx context.Context) error {
	p, err := rotate.Check(ctx, s.target, s.intent, s.env)
	if err != nil {
		return s.report(ctx, rotate.Report{Outcome: rotate.Refused, Rotation: openID(p.Open), Old: p.Old}, err)
	}
	if s.app.json() {
		return s.app.printJSON(s.planDoc(ctx, p))
	}
	return s.app.print(s.planText(ctx, p, s.app.env.StdoutTTY) + "Dry run: nothing was changed.\n")
}

func openID(o *rotate.Open) string {
	if o == nil {
		return ""
	}
	return o.Rotation
}

func (s *session) planDoc(ctx context.Context, p rotate.Plan) planJSON {
	doc := planJSON{
		DryRun: true, Would: "rotate", Why: p.Due.Why, Old: p.Old, Open: openID(p.Open),
		Stores: p.Stores, Restart: p.Restart, Servers: p.Servers,
		Holders: []string{}, Remarks: append([]string{}, p.Remarks...),
		Warnings: append([]string{}, p.Cautions...),
	}
	switch {
	case p.Open != nil:
		doc.Would = "finish"
	case !p.Due.Yes:
		doc.Would = "nothing"
	default:
		for _, h := range s.receivers(ctx, p.Current) {
			doc.Holders = append(doc.Holders, h.url)
		}
	}
	return doc
}

// planText is the plan for people, 80 columns wide as far as the names allow;
// only for a terminal are the notes wrapped, since elsewhere a line is easier to
// search for.
func (s *session) planText(ctx context.Context, p rotate.Plan, terminal bool) string {
	var b strings.Builder
	switch {
	case p.Open != nil:
		s.openText(&b, p)
		return b.String()
	case !p.Due.Yes:
		fmt.Fprintf(&b, "Nothing to do: %s\n", p.Due.Why)
		return b.String()
	}
	which := " " + p.Old
	if p.Old == "" {
		which = ", which is weak"
	}
	b.WriteString("Rotate the master key" + which)
	if s.options.age > 0 && p.Due.Why != "" {
		fmt.Fprintf(&b, "\n(%s)", p.Due.Why)
	}
	b.WriteString("\n\n")
	steps(&b, "1 set", append(p.Stores, copyLines(p)...))
	steps(&b, "2 restart", p.Restart)
	steps(&b, "3 test", each(p.Servers, "%s: new key taken, old and random ones refused"))
	steps(&b, "4 finish", []string{"state and audit log in " + s.state.Path()})
	if s.options.compromised {
		b.WriteString("\nThere is no way back to the old key: after a failure a person is needed.\n")
	} else {
		b.WriteString("\nAfter a failure the old key is put back, restarted with, and proved.\n")
	}
	s.holdersText(ctx, &b, p)
	notes(&b, p.Findings, terminal)
	b.WriteByte('\n')
	return b.String()
}

// notes writes what is to be known of a plan, one to a line or wrapped.
func notes(b *strings.Builder, found rotate.Findings, wrapped bool) {
	if len(found.Remarks)+len(found.Cautions) > 0 {
		b.WriteByte('\n')
	}
	write := func(name string, texts []string) {
		for _, text := range texts {
			if wrapped {
				text = wrap(text, helpWidth-len(name), len(name))
			}
			b.WriteString(name + text + "\n")
		}
	}
	write("Note: ", found.Remarks)
	write("Warning: ", found.Cautions)
}

func copyLines(p rotate.Plan) []string {
	return each(p.Copies, "%s (write-only: last, and not read back)")
}

func each(items []string, format string) []string {
	var out []string
	for _, item := range items {
		out = append(out, fmt.Sprintf(format, item))
	}
	return out
}

func steps(b *strings.Builder, name string, items []string) {
	for _, item := range items {
		fmt.Fprintf(b, "  %-10s %s\n", name, item)
		name = ""
	}
}

func (s *session) openText(b *strings.Builder, p rotate.Plan) {
	way := "finished"
	if p.Open.Undoing {
		way = "undone"
	}
	fmt.Fprintf(b, "Rotation %s is open, %s.\nIt would be %s from step %q on, and no other one begun.\n",
		p.Open.Rotation, p.Open.Begun(), way, p.Open.Row)
	if p.Open.FirstError != "" {
		fmt.Fprintf(b, "It stopped because: %s\n", p.Open.FirstError)
	}
}

// A receiver gets webhooks that the key signs.
type receiver struct{ url, what string }

// receivers are the places that check signatures of the key: the webhook of
// blnk.json and the hooks that the server knows.
func (s *session) receivers(ctx context.Context, live secret.Key) []receiver {
	var list []receiver
	if e, err := blnk.Resolve(s.configFile(ctx), nil); err == nil {
		if u := publicURL(e.Value(blnk.WebhookURL).Text.Reveal()); u != "" {
			list = append(list, receiver{u, "notification.webhook.url"})
		}
	}
	for _, server := range s.probes() {
		hooks, err := server.Hooks(ctx, live)
		if err != nil {
			continue
		}
		for _, h := range hooks {
			list = append(list, receiver{h.URL, "hook " + h.Name})
		}
		break // they stand in the database, the same for all replicas
	}
	return list
}

// publicURL leaves out what may be a secret of the receiver: user, query and
// fragment.
func publicURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// holdersText lists everybody who holds the key and will need the new one.
func (s *session) holdersText(ctx context.Context, b *strings.Builder, p rotate.Plan) {
	b.WriteString("\nWho holds the key besides the server:\n")
	workers := "restarted by what --restart names"
	switch {
	case len(p.Cautions) > 0:
		workers = "see the warning below"
	case !s.target.WorkersProved:
		workers = "not proved: restart them too, they read the key at start"
	}
	fmt.Fprintf(b, "  %-10s sign webhooks with it; %s\n", "workers", workers)
	receivers := s.receivers(ctx, p.Current)
	if len(receivers) == 0 {
		fmt.Fprintf(b, "  %-10s none known to the server or to blnk.json\n", "webhooks")
	}
	for i, r := range receivers {
		name := ""
		if i == 0 {
			name = "webhooks"
			fmt.Fprintf(b, "  %-10s receivers must accept signatures of both keys meanwhile:\n", name)
		}
		fmt.Fprintf(b, "  %-10s %s (%s)\n", "", r.url, r.what)
	}
	fmt.Fprintf(b, "  %-10s that use the master key (hooks, API keys, SDKs, Blnk Cloud)\n", "jobs")
	b.WriteString("Scoped API keys are not touched, nor is any other secret.\n")
}

// leftBehind lists what somebody who held the old key may have left behind.
func (s *session) leftBehind(ctx context.Context) []string {
	list := []string{"who held the old key could make API keys, and they live on: look through GET /api-keys?owner=OWNER for each owner"}
	key, _, err := s.target.Set[0].Get(ctx)
	if err != nil {
		return list
	}
	for _, r := range s.receivers(ctx, key) {
		list = append(list, "is this webhook yours? "+r.url+" ("+r.what+")")
	}
	file := s.configFile(ctx)
	if file == nil {
		return list
	}
	e, err := blnk.Resolve(file, nil)
	if err != nil {
		return list
	}
	for _, name := range []blnk.Name{blnk.Database, blnk.Redis, blnk.TokenizationSecret, blnk.MetricsToken} {
		if !e.Value(name).Text.IsZero() {
			list = append(list, "who could read blnk.json has this too: "+string(name))
		}
	}
	return list
}
