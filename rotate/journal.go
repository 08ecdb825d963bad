package rotate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
)

// journalVersion is raised when a field changes its meaning.
const journalVersion = 3

// The rows of the table of steps. In the journal they mean "entered": what is
// before it is done. So "restart" is the write-ahead of a restart, "test" the
// record that the driver succeeded, and "finish" that the key was proved.
const (
	rowCreate  = "create"
	rowSet     = "set"
	rowRestart = "restart"
	rowTest    = "test"
	rowFinish  = "finish"
)

// The directions of an open rotation.
const (
	forward = "forward"
	undo    = "undo"
)

// A record is the journal: what another process needs to end this rotation. It
// holds keys in the clear (a redacting type would save "[redacted]"), so it
// lives in a private file only, and no longer than the rotation.
type record struct {
	Version int `json:"version"`
	Open
	Direction string `json:"direction"`
	// Aborted: a person asked for the undo; it is no failure.
	Aborted    bool `json:"aborted,omitempty"`
	ServerDown bool `json:"server_down,omitempty"`
	// WasOpen: the servers let any key in before, and an undo ends with that.
	WasOpen bool `json:"open,omitempty"`
	// Old is what each store and setting held before, by its reference ("": nothing),
	// Live what the servers ran with ("": not known, or none).
	Old  map[string]string `json:"old"`
	Live string            `json:"live"`
	New  string            `json:"new"`
	// Keep is how long the key that is replaced is kept; NextProved and NextSeen are the
	// age of the new one, where it was in force before.
	Keep       time.Duration `json:"keep_previous_ns,omitempty"`
	NextProved time.Time     `json:"next_proved_at,omitzero"`
	NextSeen   time.Time     `json:"next_seen_at,omitzero"`
	// Values are what the settings are to have, and Absent is how those places looked
	// that held nothing (store.Eraser).
	Values map[string]string `json:"values,omitempty"`
	Absent map[string]string `json:"absent,omitempty"`
	// Unwritten are the write-only copies that could not be written last, Mixed
	// the servers that have answered in two ways.
	Unwritten []string `json:"unwritten,omitempty"`
	Mixed     []string `json:"mixed,omitempty"`
	// Holders are the processes that had the old key before anything was written.
	Holders []listener.Mark `json:"holders,omitempty"`
	// Owners are the users who listened for the servers (probe.Server.Owner), by their URLs.
	Owners map[string]int `json:"owners,omitempty"`
	// Cautions are warnings of its report, whoever ends it.
	Cautions []string `json:"cautions,omitempty"`
}

func (r *record) open() *Open {
	o := r.Open
	o.Undoing, o.NoUndo, o.Keys = r.Direction == undo, r.noUndo(), []secret.Key{r.live(), r.next()}
	for _, held := range []map[string]string{r.Old, r.Values} {
		for _, text := range held {
			if text != "true" && text != "false" { // a setting, and no secret
				o.Keys = append(o.Keys, secret.New(text))
			}
		}
	}
	return &o
}

// parseRecord never quotes the journal in an error: it holds keys.
func parseRecord(data []byte) (*record, error) {
	if data == nil {
		return nil, nil
	}
	var version struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(data, &version) == nil && version.Version != 0 && version.Version != journalVersion {
		return nil, fmt.Errorf("%w: %w (version %d, this one knows %d)",
			ErrJournal, state.ErrOtherVersion, version.Version, journalVersion)
	}
	var r record
	if json.Unmarshal(data, &r) != nil || !r.whole() {
		return nil, fmt.Errorf("%w: damaged", ErrJournal)
	}
	return &r, nil
}

// whole says whether a journal has everything that ending its rotation needs.
func (r *record) whole() bool {
	emptied := slices.Contains(slices.Collect(maps.Values(r.Old)), "")
	unvalued := slices.ContainsFunc(r.Target.Settings, func(ref string) bool { return r.Values[ref] == "" })
	return r.Version != 0 && r.Rotation != "" && r.New != "" && len(r.Old) > 0 && len(r.Target.Stores) > 0 &&
		(r.Direction == forward || r.Direction == undo) &&
		slices.Contains([]string{rowSet, rowRestart, rowTest, rowFinish}, r.Row) &&
		(r.Event == Sync || (r.Event == Rotate || r.Event == Rollback) && r.Live != "" && !emptied || r.Event == Init && !unvalued)
}

func (r *record) bytes() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	return append(data, '\n'), err
}

func (r *record) next() secret.Key          { return secret.New(r.New) }
func (r *record) live() secret.Key          { return secret.New(r.Live) }
func (r *record) old(ref string) secret.Key { return secret.New(r.Old[ref]) }

// wanted is what a place is to hold in the end of the way forward.
func (r *record) wanted(ref string) secret.Key {
	if value, ok := r.Values[ref]; ok {
		return secret.New(value)
	}
	return r.next()
}

// A goal is what a direction ends with: the key in force, the one that it
// replaces, and what the two are called. Either may be no key: secure mode is off.
type goal struct {
	key, other       secret.Key
	name, otherNamed string
	live, otherLive  string // as ServerState has it
	open, otherOpen  bool
}

func (r *record) goal() goal {
	called := events[r.Event]
	g := goal{key: r.next(), other: r.live(), name: called.next, otherNamed: called.other, live: "new", otherLive: "old", otherOpen: r.WasOpen}
	if r.WasOpen {
		g.otherNamed, g.otherLive = "open", "open"
	}
	if r.Direction == undo {
		g = goal{g.other, g.key, g.otherNamed, g.name, g.otherLive, g.live, g.otherOpen, g.open}
	}
	if g.key.Equal(g.other) && !g.open { // a sync of stores that no server reads
		g.other = secret.Key{}
	}
	return g
}

// prove asks a server whether it has come to the goal. That it lets any key in is
// what it did before, or what it is to do.
func (g goal) prove(ctx context.Context, s *proof.Server) (proof.Verdict, error) {
	want, other := g.key, g.other
	if g.open {
		want, other = g.other, secret.Key{}
	}
	v, err := s.Prove(ctx, want, other)
	switch {
	case g.open && v == proof.Open:
		return proof.Live, nil
	case g.open && v == proof.Live, g.otherOpen && v == proof.Open:
		return proof.OtherLive, nil
	}
	return v, err
}

// otherDoes is what a server does that is still at the other one.
func (g goal) otherDoes() string {
	if g.otherNamed == "open" {
		return "lets any key in"
	}
	return "takes the " + g.otherNamed + " key"
}

// refusing is what else a server does that is still at the other one.
func (g goal) refusing() string {
	if g.open || g.otherOpen {
		return ""
	}
	return " and refuses the " + g.name + " one"
}

// noUndo says why the old key cannot be put in force again, or "".
func (r *record) noUndo() string {
	switch {
	case r.Compromised:
		return "the old key is compromised"
	case r.Live == "" && !r.WasOpen && len(r.Target.Restart) > 0:
		return "the key that the servers ran with is not known"
	default:
		return ""
	}
}

// adopt makes a rotation this run's. What it was begun with stays true of it; of its
// old key can be said that others know it by now.
func (r *run) adopt(rec *record) {
	r.rec = rec
	rec.Compromised = rec.Compromised || r.in.Compromised
	r.report.Rotation, r.report.event = rec.Rotation, rec.Event
	r.report.kept, r.report.wasOpen = rec.Live == rec.New, rec.WasOpen
	r.report.Old, r.report.New = rec.live().Fingerprint(), rec.next().Fingerprint()
	if !r.undoing() {
		r.leaving = rec.Holders
	}
	if rec.Owners == nil || r.in.ServerDown { // then it is whoever is met next
		rec.Owners = map[string]int{}
	}
	for _, s := range r.Servers {
		if slices.Contains(rec.Mixed, s.String()) {
			s.SeenMixed()
		}
		o, ok := s.Asker.(owned)
		if !ok {
			continue
		}
		if owner, met := rec.Owners[s.String()]; met {
			o.Expect(&owner)
		} else if r.in.ServerDown {
			o.Expect(nil)
		} else if owner := o.Owner(); owner != nil {
			rec.Owners[s.String()] = *owner
		}
	}
}

// An owned address is some user's of this host (probe.Server).
type owned interface {
	Owner() *int
	Expect(owner *int)
}

func (r *run) save() error {
	data, err := r.rec.bytes()
	if err == nil {
		err = r.State.SaveJournal(data)
	}
	r.saved = err == nil
	return err
}

// enter is the write-ahead: the journal says which row is entered before
// anything happens in it. An undo does not depend on it: whoever resumes
// from an older row looks again.
func (r *run) enter(row string) error {
	if r.undoing() && r.unproved != nil {
		return nil // "test" would claim that a restart succeeded that did not
	}
	there := r.rec.Row == row && r.saved
	r.rec.Row = row
	r.entered.Store(r.rec.open())
	if there {
		return nil
	}
	err := r.save()
	switch {
	case r.undoing():
		return nil
	case err != nil && row == rowFinish:
		return r.unrecorded(err)
	default:
		return err
	}
}
