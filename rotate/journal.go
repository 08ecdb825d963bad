package rotate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/target"
)

// journalVersion is raised when a field changes its meaning.
const journalVersion = 2

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
	Version   int         `json:"version"`
	ID        string      `json:"id"`
	Event     string      `json:"event"` // Rotate or Sync
	Started   time.Time   `json:"started"`
	Host      string      `json:"host"`
	User      string      `json:"user"`
	Reason    string      `json:"reason,omitempty"`
	Target    target.Spec `json:"target"`
	Direction string      `json:"direction"`
	Row       string      `json:"row"`
	// Aborted: a person asked for the undo; it is no failure.
	Aborted     bool `json:"aborted,omitempty"`
	Compromised bool `json:"compromised,omitempty"`
	ServerDown  bool `json:"server_down,omitempty"`
	// Old is what each store held before, by its reference ("": nothing), Live
	// what the servers ran with ("": not known).
	Old        map[string]string `json:"old"`
	Live       string            `json:"live"`
	New        string            `json:"new"`
	FirstError string            `json:"first_error,omitempty"`
	// Unwritten are the write-only copies that could not be written last, Mixed
	// the servers that have answered in two ways.
	Unwritten []string `json:"unwritten,omitempty"`
	Mixed     []string `json:"mixed,omitempty"`
	// Cautions are warnings of its report, whoever ends it.
	Cautions []string `json:"cautions,omitempty"`
}

// An Open is what may be told of an open rotation.
type Open struct {
	Rotation    string
	Target      target.Spec
	Started     time.Time
	Host, User  string
	Undoing     bool
	Row         string
	Compromised bool
	FirstError  string
	// Keys are its keys, for masking outputs.
	Keys []secret.Key
}

// Begun says when, by whom and where it was begun.
func (o *Open) Begun() string {
	return fmt.Sprintf("begun %s by %s on %s", o.Started.Format("2006-01-02 15:04:05 MST"), o.User, o.Host)
}

// ReadJournal reads the bytes of a journal. A damaged one, or one of a version
// that this program does not know, is ErrJournal. nil bytes are no rotation:
// nil, nil.
func ReadJournal(data []byte) (*Open, error) {
	rec, err := parseRecord(data)
	if rec == nil {
		return nil, err
	}
	return rec.open(), nil
}

func (r *record) open() *Open {
	keys := []secret.Key{r.live(), r.next()}
	for _, old := range r.Old {
		keys = append(keys, secret.New(old))
	}
	return &Open{
		Rotation: r.ID, Target: r.Target, Started: r.Started, Host: r.Host, User: r.User,
		Undoing: r.Direction == undo, Row: r.Row, Compromised: r.Compromised,
		FirstError: r.FirstError, Keys: keys,
	}
}

// parseRecord never quotes the journal in an error: it holds keys.
func parseRecord(data []byte) (*record, error) {
	if data == nil {
		return nil, nil
	}
	var version struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(data, &version) != nil || version.Version == 0 {
		return nil, fmt.Errorf("%w: damaged", ErrJournal)
	}
	if version.Version != journalVersion {
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
	emptied := false
	for _, old := range r.Old {
		emptied = emptied || old == ""
	}
	return r.ID != "" && r.New != "" && len(r.Old) > 0 && len(r.Target.Stores) > 0 &&
		(r.Direction == forward || r.Direction == undo) &&
		slices.Contains([]string{rowSet, rowRestart, rowTest, rowFinish}, r.Row) &&
		(r.Event == Sync || r.Event == Rotate && r.Live != "" && !emptied)
}

func (r *record) bytes() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write journal: %w", err)
	}
	return append(data, '\n'), nil
}

func (r *record) next() secret.Key { return secret.New(r.New) }

// live is the key that the servers ran with before.
func (r *record) live() secret.Key { return secret.New(r.Live) }

// old is the key that the store with this reference held before.
func (r *record) old(ref string) secret.Key { return secret.New(r.Old[ref]) }

// want and other are the key of this direction's end, and the one it replaces:
// the zero Key where the two are the same, in a sync of stores that no server
// reads.
func (r *record) want() secret.Key {
	if r.Direction == undo {
		return r.live()
	}
	return r.next()
}

func (r *record) other() secret.Key {
	switch {
	case r.New == r.Live:
		return secret.Key{}
	case r.Direction == undo:
		return r.next()
	default:
		return r.live()
	}
}

// noUndo says why the old key cannot be put in force again, or "".
func (r *record) noUndo() string {
	switch {
	case r.Compromised:
		return "the old key is compromised"
	case r.Live == "":
		return "the key that the servers ran with is not known"
	default:
		return ""
	}
}

// load reads the journal, and makes the rotation that is open this run's. One
// of other stores is ErrOtherStores.
func (r *run) load() error {
	data, err := r.State.LoadJournal()
	if unreadable(err) {
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	if err != nil {
		return err
	}
	rec, err := parseRecord(data)
	if err != nil || rec == nil {
		return err
	}
	if !rec.Target.SameStores(r.Spec) {
		return ErrOtherStores
	}
	r.adopt(rec)
	return nil
}

// unreadable says whether there is a journal that cannot be read as it was
// written; any other error says nothing about it.
func unreadable(err error) bool {
	return errors.Is(err, state.ErrDamaged) || errors.Is(err, state.ErrOtherVersion)
}

// adopt makes an open rotation this run's. What it was begun with stays true of
// it; a key that is known to others by now can be said to be so, as long as the
// way forward is open.
func (r *run) adopt(rec *record) {
	r.rec, r.resumed, r.saved = rec, true, true
	rec.Compromised = rec.Compromised || r.in.Compromised && !r.undoing()
	r.report.Rotation = rec.ID
	r.report.Old, r.report.New = rec.live().Fingerprint(), rec.next().Fingerprint()
	for _, s := range r.Servers {
		if slices.Contains(rec.Mixed, s.String()) {
			s.SeenMixed()
		}
	}
}

// save writes the journal as it is now.
func (r *run) save() error {
	data, err := r.rec.bytes()
	if err != nil {
		return err
	}
	err = r.State.SaveJournal(data)
	r.saved = err == nil
	return err
}

// enter is the write-ahead: the journal says which row is entered before
// anything happens in it. An undo does not depend on it: whoever resumes
// from an older row looks again.
func (r *run) enter(row string) error {
	if r.undoing() && r.unproved != nil {
		return nil // "test" would claim that the restart succeeded
	}
	if r.rec.Row == row && r.saved {
		return nil
	}
	r.rec.Row = row
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
