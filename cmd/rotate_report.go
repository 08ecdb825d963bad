package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/store"
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
func (s *session) report(ctx context.Context, res rotate.Result, err error) error {
	if err == nil && s.options.compromised && res.Rotation != "" {
		res.Warnings = append(res.Warnings, s.leftBehind(ctx)...)
	}
	if s.app.json() {
		if printErr := s.app.printJSON(toJSON(res, err)); printErr != nil && err == nil {
			return printErr
		}
	} else if text := s.resultText(res); text != "" {
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
		return s.explain(res, err)
	case res.Around:
		return fail(exitAround, errors.New("rotated and proved, but something around it needs you: see the warnings"), "")
	default:
		return nil
	}
}

func toJSON(res rotate.Result, err error) rotateJSON {
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
		doc.Steps = append(doc.Steps, stepJSON{st.Name, float64(st.Took.Microseconds()*1000) / perMS})
	}
	if err != nil {
		doc.Error = err.Error()
	}
	return doc
}

// resultText is the result for people; "" where an error says it all.
func (s *session) resultText(res rotate.Result) string {
	old, next := named(res.Old), named(res.New)
	switch res.Outcome {
	case rotate.Rotated, rotate.Resumed:
		return fmt.Sprintf("rotated %s -> %s\n%s", old, next, serverLines(res, "the new key is live, the old one is dead"))
	case rotate.RolledBack:
		return fmt.Sprintf("put back: %s is in force again\n%s", old, serverLines(res, "the old key is live, the new one is dead"))
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

func serverLines(res rotate.Result, proof string) string {
	var b strings.Builder
	for _, srv := range res.Servers {
		word := "proved"
		if srv.Sampled {
			word = "sampled"
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

// explain adds to an error what a person can do about it, and what a command
// that failed had to say.
func (s *session) explain(res rotate.Result, err error) error {
	err = s.advise(res, err)
	if len(s.outputs) == 0 {
		return err
	}
	full := exitError{err: err, details: s.outputDetails()}
	if e, ok := errors.AsType[*exitError](err); ok {
		full.code, full.hint = e.code, e.hint
		full.details = append(full.details, e.details...)
	}
	return &full
}

func (s *session) advise(res rotate.Result, err error) error {
	stores := s.storeArgs()
	cont := "blnkctl rotate" + stores
	switch {
	case errors.Is(err, errDeclined):
		return &exitError{err: errors.New("not confirmed; nothing is changed")}
	case s.options.abandon && res.Outcome == rotate.Refused && res.Rotation != "":
		return &exitError{err: err, hint: cont + " continues it, blnkctl rotate --abort" + stores + " goes back; on a terminal --abandon asks"}
	case errors.Is(err, rotate.ErrUnrecorded):
		return &exitError{err: fmt.Errorf("the key is live and proved, but that could not be recorded: %w", err),
			hint: "once that is mended: " + cont + " (it only records)"}
	case errors.Is(err, rotate.ErrStuck):
		return s.explainStuck(res, err)
	case errors.Is(err, rotate.ErrUndone):
		return &exitError{err: err, details: []string{"everything was put back: " + named(res.Old) + " is in force, and that was proved"}}
	case errors.Is(err, rotate.ErrOtherReferences):
		return &exitError{err: fmt.Errorf("%w: it was begun with%s", err, s.openArgs()), hint: cont + " finishes it as it was begun"}
	case errors.Is(err, rotate.ErrJournal):
		return &exitError{err: err, hint: "after a person repaired things: blnkctl rotate --abandon" + stores}
	case errors.Is(err, rotate.ErrDrift):
		return &exitError{err: err, hint: "ask the servers which one is live: blnkctl verify" + s.allStoreArgs()}
	case errors.Is(err, rotate.ErrNotLive):
		return &exitError{err: err, hint: "put the live key into the store; where it is lost, --server-down rotates without it"}
	case errors.Is(err, rotate.ErrOpen):
		return &exitError{err: err, hint: `set "secure": true under "server" in blnk.json and restart; until then anybody may do anything there`}
	case errors.Is(err, rotate.ErrSilent):
		return &exitError{err: err, hint: "start the server first; where it is stopped on purpose, add --server-down"}
	case errors.Is(err, rotate.ErrUnknownAge):
		return &exitError{err: err, hint: "say --if-unknown adopt or --if-unknown rotate"}
	case errors.Is(err, store.ErrNotFound):
		return &exitError{err: err, hint: "make one: blnkctl keygen" + s.allStoreArgs()}
	default:
		return err
	}
}

func (s *session) explainStuck(res rotate.Result, err error) error {
	e := &exitError{err: err}
	where := "the journal " + res.Rotation + " is kept in " + s.target.Path()
	if s.options.compromised {
		e.details = append(e.details, "the stores hold the new key, and there is no way back to the compromised one")
	}
	e.details = append(e.details, where)
	e.hint = "when the cause is mended: blnkctl rotate" + s.storeArgs() + " continues, blnkctl rotate --abort" + s.storeArgs() + " goes back"
	return e
}

// openArgs shows the references of the open rotation.
func (s *session) openArgs() string {
	if s.open == nil {
		return " other ones"
	}
	var b strings.Builder
	for _, ref := range s.open.Refs.Stores {
		fmt.Fprintf(&b, " --store '%s'", ref)
	}
	for _, ref := range s.open.Refs.Restart {
		fmt.Fprintf(&b, " --restart '%s'", ref)
	}
	for _, ref := range s.open.Refs.Servers {
		fmt.Fprintf(&b, " --server %s", ref)
	}
	return b.String()
}

func (s *session) allStoreArgs() string {
	var b strings.Builder
	for _, ref := range s.options.stores.refs {
		fmt.Fprintf(&b, " --store '%s'", ref)
	}
	return b.String()
}
