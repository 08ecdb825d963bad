package rotate

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
)

// journalVersion is raised when a field changes its meaning.
const journalVersion = 1

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

// What a journal was begun for.
const (
	eventRotate = "rotate"
	eventSync   = "sync"
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
	Version int    `json:"version"`
	ID      string `json:"id"`
	// Event is what was begun: "rotate" or "sync".
	Event     string     `json:"event"`
	Started   time.Time  `json:"started"`
	Host      string     `json:"host"`
	User      string     `json:"user"`
	Reason    string     `json:"reason,omitempty"`
	Refs      References `json:"refs"`
	Direction string     `json:"direction"`
	Row       string     `json:"row"`
	// Touched: undoing, a store was found to hold the new key, so that a
	// process may have loaded it and has to be restarted.
	Touched bool `json:"touched,omitempty"`
	// Aborted: a person asked for the way back; it is no failure.
	Aborted        bool          `json:"aborted,omitempty"`
	Compromised    bool          `json:"compromised,omitempty"`
	ServerDown     bool          `json:"server_down,omitempty"`
	Timeout        time.Duration `json:"timeout_ns"`
	RestartTimeout time.Duration `json:"restart_timeout_ns"`
	// Old is what each store held before ("": nothing), Live what the servers
	// ran with ("": not known).
	Old        []string `json:"old"`
	Live       string   `json:"live"`
	New        string   `json:"new"`
	FirstError string   `json:"first_error,omitempty"`
	// Behind are the write-only copies that could not be written last.
	Behind []string `json:"behind,omitempty"`
	// Cautions are warnings of its result, whoever ends it.
	Cautions []string `json:"cautions,omitempty"`
}

// An Open is what may be told of an open rotation.
type Open struct {
	Rotation    string
	Refs        References
	Started     time.Time
	Host, User  string
	Undoing     bool
	Row         string
	Compromised bool
	Old, New    string // fingerprints
	FirstError  string
	// Timeout and RestartTimeout are those of its Options.
	Timeout, RestartTimeout time.Duration
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
	return &Open{
		Rotation: r.ID, Refs: r.Refs, Started: r.Started, Host: r.Host, User: r.User,
		Undoing: r.Direction == undo, Row: r.Row, Compromised: r.Compromised,
		Timeout: r.Timeout, RestartTimeout: r.RestartTimeout,
		Old: r.old().Fingerprint(), New: r.new().Fingerprint(), FirstError: r.FirstError,
		Keys: append(r.olds(), r.new()),
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
	rows := []string{rowSet, rowRestart, rowTest, rowFinish}
	return r.ID != "" && r.New != "" && len(r.Old) > 0 && len(r.Old) == len(r.Refs.Stores) &&
		(r.Direction == forward || r.Direction == undo) && slices.Contains(rows, r.Row) &&
		(r.Event == eventSync || r.Event == eventRotate && r.Live != "" && !slices.Contains(r.Old, ""))
}

func (r *record) bytes() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write journal: %w", err)
	}
	return append(data, '\n'), nil
}

func (r *record) new() secret.Key { return secret.New(r.New) }

// oldIn is the key that the store with this reference held before.
func (r *record) oldIn(ref string) secret.Key {
	if i := slices.Index(r.Refs.Stores, ref); i >= 0 {
		return secret.New(r.Old[i])
	}
	return secret.Key{}
}

func (r *record) olds() []secret.Key {
	var keys []secret.Key
	for _, k := range append([]string{r.Live}, r.Old...) {
		keys = append(keys, secret.New(k))
	}
	return keys
}

// old is the key that the servers ran with before.
func (r *record) old() secret.Key { return secret.New(r.Live) }

// want and other are the key of this direction's end, and the one it replaces.
func (r *record) want() secret.Key {
	if r.Direction == undo {
		return r.old()
	}
	return r.new()
}

// other is the zero Key where the two are the same: a sync of copies that no
// server reads.
func (r *record) other() secret.Key {
	switch {
	case r.New == r.Live:
		return secret.Key{}
	case r.Direction == undo:
		return r.new()
	default:
		return r.old()
	}
}

// noWayBack says why the old key cannot be put in force again, or "".
func (r *record) noWayBack() string {
	switch {
	case r.Compromised:
		return "the old key is compromised"
	case r.Live == "":
		return "the key that the servers ran with is not known"
	default:
		return ""
	}
}

// same compares references; the order of all but the first store carries no
// meaning, and the working directory is the journal's to say. How the servers
// are reached may change: that may have been what was wrong.
func (a References) same(b References) bool {
	set := func(s []string) []string { return slices.Sorted(slices.Values(s)) }
	return len(a.Stores) > 0 && len(b.Stores) > 0 && a.Stores[0] == b.Stores[0] &&
		slices.Equal(set(a.Stores), set(b.Stores)) && slices.Equal(set(a.Copies), set(b.Copies)) &&
		slices.Equal(a.Restart, b.Restart) &&
		slices.Equal(set(a.Servers), set(b.Servers))
}
