package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/rotate"
)

// rotateJSON is the document of -o json.
type rotateJSON struct {
	Result   rotate.Outcome       `json:"result"`
	Rotation string               `json:"rotation"`
	Old      string               `json:"old"`
	New      string               `json:"new"`
	Servers  []rotate.ServerState `json:"servers"`
	Steps    []stepJSON           `json:"steps"`
	Warnings []string             `json:"warnings"`
	Error    string               `json:"error,omitempty"`
	Why      string               `json:"why,omitempty"` // of not_due and adopted
}

type stepJSON struct {
	Name string  `json:"name"`
	MS   float64 `json:"ms"`
}

// report prints what came of a run, and turns its error into an exit code.
func (s *session) report(ctx context.Context, res rotate.Report, err error) error {
	if err == nil && s.compromised() && res.Rotation != "" {
		res.Warnings = append(res.Warnings, s.leftBehind(ctx)...)
	}
	if s.app.json() {
		_ = s.app.printJSON(toJSON(res, err)) // lostOutput says it, with the right code
	} else if text := s.resultText(res); text != "" && !s.nothingToSay(res) {
		_ = s.app.print(text)
	}
	for _, w := range res.Warnings {
		s.app.warn("%s", w)
	}
	if err == nil {
		for _, text := range s.outputDetails() {
			s.app.warn("%s", text)
		}
	}
	switch {
	case err != nil:
		return s.explain(ctx, res, err)
	case res.Incomplete:
		return fail(exitAround, errors.New("rotated and proved, but something around it needs you: see the warnings"), s.behindHint(res))
	default:
		return nil
	}
}

// nothingToSay: with -q, a run that had nothing to do is silent, so that cron
// sends no mail.
func (s *session) nothingToSay(res rotate.Report) bool {
	return s.app.global.quiet && (res.Outcome == rotate.NotDue || res.Outcome == rotate.InSync)
}

// behindHint: how write-only copies get the key after all.
func (s *session) behindHint(res rotate.Report) string {
	if len(res.Unwritten) == 0 {
		return ""
	}
	hint := "when it can be written: blnkctl sync" + s.allStoreArgs()
	for _, ref := range s.target.Restart {
		hint += " --restart " + quoted(ref)
	}
	return hint + " (it restarts nothing where only copies are behind)"
}

// reportRefused prints the document of a rotation that could not be opened. An
// error of usage has none, here as in every command.
func (a *app) reportRefused(err error) error {
	if code, _ := judge(err); !a.json() || code == exitUsage {
		return err
	}
	_ = a.printJSON(toJSON(rotate.Report{Outcome: rotate.Refused}, err)) // err matters more
	return err
}

func toJSON(res rotate.Report, err error) rotateJSON {
	doc := rotateJSON{
		Result: res.Outcome, Rotation: res.Rotation, Old: res.Old, New: res.New,
		Servers: res.Servers, Warnings: res.Warnings, Why: res.Due.Why,
		Steps: []stepJSON{},
	}
	if doc.Servers == nil {
		doc.Servers = []rotate.ServerState{}
	}
	if doc.Warnings == nil {
		doc.Warnings = []string{}
	}
	for _, st := range res.Steps {
		const perMS = 1e6 // nanoseconds
		doc.Steps = append(doc.Steps, stepJSON{st.Name, float64(st.Duration.Microseconds()*1000) / perMS})
	}
	if err != nil {
		doc.Error = err.Error()
	}
	return doc
}

// resultText is the result for people; "" where an error says it all.
func (s *session) resultText(res rotate.Report) string {
	old, next := named(res.Old), named(res.New)
	switch res.Outcome {
	case rotate.Rotated, rotate.Resumed:
		return fmt.Sprintf("rotated %s -> %s\n%s", old, next, serverLines(res, "the new key is live, the old one is dead"))
	case rotate.RolledBack:
		return fmt.Sprintf("put back: %s is in force again\n%s", old, serverLines(res, "the old key is live, the new one is dead"))
	case rotate.Synced:
		return fmt.Sprintf("synced to %s\n%s", next, serverLines(res, "this key is live"))
	case rotate.InSync:
		return "in sync: " + res.Due.Why + "\n"
	case rotate.NotDue:
		return "not due: " + res.Due.Why + "\n"
	case rotate.Adopted:
		return "adopted: " + res.Due.Why + "\n"
	case rotate.Abandoned:
		return "abandoned: the open rotation is forgotten\n"
	case rotate.None:
		return "there is no open rotation\n"
	default:
		return ""
	}
}

func serverLines(res rotate.Report, proof string) string {
	var b strings.Builder
	for _, srv := range res.Servers {
		word, proof := "proved", proof
		if srv.Sampled {
			word = "sampled"
		}
		if srv.OldScoped {
			proof = "the new key is live, the old one is let in as a scoped API key"
		}
		fmt.Fprintf(&b, "  %s on %s: %s\n", word, srv.URL, proof)
	}
	return b.String()
}

func named(fingerprint string) string {
	if fingerprint == "" {
		return "a weak key"
	}
	return fingerprint
}
