package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
)

// explain adds to an error what a person can do about it, and what a command
// that failed had to say.
func (s *session) explain(ctx context.Context, res rotate.Report, err error) error {
	err = s.advise(ctx, res, err)
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

func (s *session) advise(ctx context.Context, res rotate.Report, err error) error {
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
		return s.explainUndone(res, err)
	case errors.Is(err, rotate.ErrOtherStores):
		return &exitError{err: fmt.Errorf("%w: it was begun with%s", err, s.openArgs()), hint: cont + " finishes it as it was begun"}
	case errors.Is(err, rotate.ErrJournal):
		return &exitError{err: err, hint: s.journalHint(err)}
	case errors.Is(err, store.ErrDrift):
		return &exitError{err: err, hint: "ask the servers which one is live: blnkctl verify" + s.allStoreArgs() + "; blnkctl sync copies the first one's to the others"}
	case errors.Is(err, rotate.ErrNotLive), errors.Is(err, rotate.ErrOpen):
		return s.explainNotLive(ctx, err)
	case errors.Is(err, rotate.ErrSilent):
		return &exitError{err: err, hint: silentHint(err)}
	case held(err):
		return &exitError{err: err, hint: "--lock-timeout 5m waits that long for it"}
	case errors.Is(err, rotate.ErrUnknownAge):
		return &exitError{err: err, hint: "say --if-unknown adopt or --if-unknown rotate"}
	case errors.Is(err, store.ErrConflict):
		return &exitError{err: err, hint: "nothing was changed here; find out who else writes it, and run this again"}
	case errors.Is(err, store.ErrNotFound):
		return &exitError{err: err, hint: s.keyHint(ctx)}
	default:
		return err
	}
}

func held(err error) bool {
	_, ok := errors.AsType[*flock.HeldError](err)
	return ok
}

// journalHint: what to do about a journal that cannot be read.
func (s *session) journalHint(err error) string {
	hint := "after a person repaired things: blnkctl rotate --abandon" + s.storeArgs()
	if errors.Is(err, state.ErrOtherVersion) {
		hint = "finish it with the blnkctl that began it; or, " + hint
	}
	return hint
}

// silentHint: what to do about a server that proves nothing, by the reason.
func silentHint(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "start the server first; where it is stopped on purpose, add --server-down"
	case errors.Is(err, https.ErrUntrusted):
		return "name the file of the CA that signed it with --ca-cert"
	case errors.Is(err, probe.ErrUnsendable):
		return "no client can use this key; --server-down replaces it without asking for it"
	default:
		return "is --server right? --server-down rotates without asking beforehand"
	}
}

// explainNotLive: before anything was changed, a server takes another key than
// the stored one, or any.
func (s *session) explainNotLive(ctx context.Context, err error) error {
	if cause := s.stores(ctx).Why(s.addresses(), s.keys.all()); cause != nil {
		return &exitError{err: err, details: []string{cause.Error()}, hint: hint.Of(cause)}
	}
	help := "put the live key into the store; where it is lost, --server-down rotates without it"
	if errors.Is(err, rotate.ErrOpen) {
		help = `set "secure": true under "server" in blnk.json and restart; until then anybody may do anything there`
	}
	return &exitError{err: err, hint: help}
}

// explainUndone: the old key is back, and the cause still has to be mended.
func (s *session) explainUndone(res rotate.Report, err error) error {
	e := &exitError{err: err}
	const lookFor = "look for %s where the restart gets the server's environment from (a unit, an env_file): it wins over blnk.json"
	_, command := errors.AsType[*run.ExitError](err)
	switch {
	case s.cause != nil:
		e.details = append(e.details, s.cause.Error())
		e.hint = hint.Of(s.cause)
	case errors.Is(err, rotate.ErrOpen):
		e.hint = fmt.Sprintf(lookFor, "BLNK_SERVER_SECURE")
	case errors.Is(err, rotate.ErrStale), errors.Is(err, rotate.ErrElsewhere):
		e.hint = fmt.Sprintf(lookFor, "BLNK_SERVER_SECRET_KEY")
	case errors.Is(err, rotate.ErrSilent):
		e.hint = "the server's log says why it did not come back; then run this again"
	case hint.Of(err) != "":
		e.hint = hint.Of(err)
	case command:
		e.hint = "when that command works, run this again"
	}
	e.details = append(e.details, "everything was put back: "+named(res.Old)+" is in force, and that was proved")
	return e
}

// explainStuck: the journal is kept. Which ways are open depends on the
// direction that it names now.
func (s *session) explainStuck(res rotate.Report, err error) error {
	e := &exitError{code: exitStuck, err: err}
	// One thing to a line: a rotation that is stuck has often failed twice.
	if end, ok := errors.AsType[*rotate.EndError](err); ok && end.Cause != nil {
		e.err = end.Cause
		for _, d := range end.Details {
			if d != end.Cause.Error() {
				e.details = append(e.details, d)
			}
		}
	}
	if s.cause != nil {
		e.details = append(e.details, s.cause.Error())
	}
	if help := hint.Of(err); help != "" {
		e.details = append(e.details, help)
	}
	// Unreadable by now: then the next run says so.
	_ = s.readJournal()
	cont := "when the cause is mended: blnkctl rotate" + s.storeArgs()
	if errors.Is(err, rotate.ErrAtWork) {
		cont = "let that process end, or end it; then blnkctl rotate" + s.storeArgs()
	}
	switch {
	case s.compromised():
		e.details = append(e.details, "the stores hold the new key, and there is no way back to the compromised one")
		e.hint = cont + " finishes it"
	case s.open != nil && s.open.Undoing:
		e.hint = cont + " goes on putting the old key back"
	default:
		e.hint = cont + " continues, blnkctl rotate --abort" + s.storeArgs() + " goes back"
	}
	e.details = append(e.details, "the journal of "+res.Rotation+" is kept in "+s.folder.Path())
	return e
}

// compromised says whether this run, or the open rotation that it ends, has no
// way back.
func (s *session) compromised() bool {
	return s.options.compromised || s.open != nil && s.open.Compromised
}

// openArgs shows the references of the open rotation.
func (s *session) openArgs() string {
	if s.open == nil {
		return " other ones"
	}
	var b strings.Builder
	for _, ref := range s.open.Target.Stores {
		b.WriteString(" --store " + quoted(ref))
	}
	for _, ref := range s.open.Target.Restart {
		b.WriteString(" --restart " + quoted(ref))
	}
	for _, ref := range s.open.Target.Servers {
		fmt.Fprintf(&b, " --server %s", ref)
	}
	return b.String()
}

func (s *session) allStoreArgs() string {
	var b strings.Builder
	for _, ref := range s.options.stores.refs {
		b.WriteString(" --store " + quoted(ref))
	}
	return b.String()
}

// storeArgs names the target for a command in a hint: the first store, which
// an open rotation is found by.
func (s *session) storeArgs() string {
	if ref := s.options.stores.refs[0]; ref != defaultStore {
		return " --store " + quoted(ref)
	}
	return ""
}

// quoted makes a reference one word of a shell, whatever stands in it.
func quoted(ref string) string { return "'" + strings.ReplaceAll(ref, "'", `'\''`) + "'" }

// keyHint: where another store holds a key, that one is the one to copy; a
// new one would lock out whoever holds the live one.
func (s *session) keyHint(ctx context.Context) string {
	for _, st := range s.target.Set {
		if key, _, err := st.Get(ctx); err == nil && !key.IsZero() {
			return "copy the key there: blnkctl sync --from " + quoted(st.String()) + s.allStoreArgs() + " --restart …"
		}
	}
	// The process that is to be restarted may have it from elsewhere.
	seen, _ := reach.Observe(ctx, s.drivers, nil) // a hint less
	if help := s.stores(ctx).EnvFile(seen); help != "" {
		return help
	}
	return "make one: blnkctl keygen" + s.allStoreArgs()
}
