package proof

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// What is expected of keys.
const (
	Accepted = "accepted" // each is the live master key of every server
	Refused  = "rejected" // no server takes one
)

// A Question is a key, and where it was found.
type Question struct {
	Key         secret.Key `json:"-"`
	Fingerprint string     `json:"fingerprint"` // "" for a weak key
	From        []string   `json:"from"`
}

// Questions are the keys that servers are asked for; one that several places hold is
// one key.
type Questions []Question

// Add adds a key.
func (q *Questions) Add(key secret.Key, from string) {
	if i := slices.IndexFunc(*q, func(one Question) bool { return one.Key.Equal(key) }); i >= 0 {
		(*q)[i].From = append((*q)[i].From, from)
		return
	}
	*q = append(*q, Question{key, key.Fingerprint(), []string{from}})
}

// ErrNoKey: a place holds no key that servers could be asked for.
var ErrNoKey = errors.New("")

// Read adds the keys of stores.
func (q *Questions) Read(ctx context.Context, set store.Set) error {
	for _, s := range set {
		key, _, err := s.Get(ctx)
		switch {
		case err == nil && !blnk.Sendable(key):
			return hint.As(ErrNoKey, "key in %s: %w", s, blnk.ErrUnsendable)
		case errors.Is(err, store.ErrNotFound) && hint.Of(err) == "": // the place is there
			return hint.Add(hint.As(ErrNoKey, "%w", err), "make one: blnkctl keygen%s", hint.Flags("--store", set.Names()))
		case err != nil:
			return err
		}
		q.Add(key, s.String())
	}
	return nil
}

// A Result is what servers do with keys, and whether that is as expected. It is a
// document as it stands.
type Result struct {
	Result  string       `json:"result"` // passed, failed
	Expect  string       `json:"expect"`
	Keys    Questions    `json:"keys"`
	Servers []ServerSays `json:"servers"`
	Open    string       `json:"open,omitempty"` // ID of the open rotation of these stores
	// Failed is the number of servers that did not do what was expected, Faults why, and
	// Help what helps.
	Failed int      `json:"-"`
	Faults []string `json:"-"`
	Help   string   `json:"-"`
}

// A ServerSays is what is proved about one server.
type ServerSays struct {
	URL string `json:"url"`
	// Keys says what is proved about each key, in the order of Result.Keys.
	Keys          []Verdict `json:"keys"`
	RandomRefused *bool     `json:"random_refused"` // null: not known
	Secure        *bool     `json:"secure"`         // null: not known
	Connections   int       `json:"connections"`    // answers to each key
	Sampled       bool      `json:"sampled"`
	Error         string    `json:"error,omitempty"`
	Hint          string    `json:"-"` // what helps against Error
}

// Verify asks all servers at once for all keys, on agreeing fresh connections each:
// Agreeing, or 1 where what one process behind an address says is enough.
func Verify(ctx context.Context, servers []*Server, questions Questions, expect string, agreeing int) Result {
	r := Result{Result: "passed", Expect: expect, Keys: questions, Servers: make([]ServerSays, len(servers))}
	_, _ = Each(servers, func(i int, s *Server) (Verdict, error) {
		r.Servers[i] = s.askAll(ctx, questions, agreeing)
		return "", nil
	})
	for _, one := range r.Servers {
		r.Help = cmp.Or(r.Help, one.Hint)
		if faults := one.faults(r.Keys, r.Wants()); len(faults) > 0 {
			r.Result, r.Failed, r.Faults = "failed", r.Failed+1, append(r.Faults, faults...)
		}
	}
	return r
}

// Longest is how long Verify asks one server: no question is begun later, however
// seldom the server may be asked.
const Longest = 5 * time.Minute

// askAll asks for random keys and for each of the keys, every time as often as has to
// agree. A server that never answered is not waited for. A few random keys that are let
// in are enough: a server behind the address is open; and then nothing else counts.
func (s *Server) askAll(ctx context.Context, keys Questions, agreeing int) ServerSays {
	says := ServerSays{URL: s.String(), Keys: slices.Repeat([]Verdict{Unknown}, len(keys))}
	began := time.Now()
	late := func(blnk.Answer) bool { return time.Since(began) >= Longest }
	answer, err := s.askRandom(ctx)
	if errors.Is(err, blnk.ErrLimited) {
		answer, err = s.insist(ctx, s.askRandom)
	}
	var control Tally
	if err == nil {
		control, err = s.sample(ctx, agreeing-1, s.askRandom, late)
		control.count(answer)
	}
	open, closed := control.live+control.scoped > 0, control.verdict(agreeing) == Rejected
	if open || closed {
		says.Secure, says.RandomRefused = &closed, &closed
	}
	says.Connections = control.Total()
	for i, key := range keys {
		var t Tally
		if err == nil && !late(answer) {
			t, err = s.sample(ctx, agreeing, s.about(key.Key), late)
		}
		v := t.verdict(agreeing)
		if v == Mixed {
			s.mixed.Store(true)
		}
		if closed {
			says.Keys[i] = v
		}
		says.Connections = min(says.Connections, t.Total())
	}
	if says.Sampled = s.Sampled(); err == nil && says.Connections < agreeing && !open {
		err = fmt.Errorf("ask %s: %w: no verdict within %s", s, blnk.ErrLimited, Longest)
	}
	if err != nil {
		says.Error, says.Hint = err.Error(), hint.Of(err)
	}
	return says
}

// Wants is the verdict that is expected of each key.
func (r Result) Wants() Verdict {
	if r.Expect == Refused {
		return Rejected
	}
	return Live
}

// Text is the result as two tables, of the servers and of the keys.
func (r Result) Text(look screen.Look) string {
	head := []string{"SERVER", "SECURE MODE", "RANDOM KEY", "CONNECTIONS"}
	keys := [][]string{{"KEY", "FINGERPRINT", "FROM"}}
	for i, k := range r.Keys {
		number, name := strconv.Itoa(i+1), cmp.Or(k.Fingerprint, "a weak key")
		if len(r.Keys) == 1 {
			head = append(head, "KEY")
		} else {
			head = append(head, "KEY "+number)
		}
		for _, from := range k.From {
			keys = append(keys, []string{number, name, from})
			number, name = "", ""
		}
	}
	servers := [][]string{head}
	for _, s := range r.Servers {
		row := []string{s.URL, "unknown", "unknown", strconv.Itoa(s.Connections)}
		switch {
		case s.Secure == nil:
		case *s.Secure:
			row[1], row[2] = "on", "refused"
		default:
			row[1], row[2] = "off", "let in"
		}
		if s.Sampled {
			row[3] += " (sampled)"
		}
		for _, key := range s.Keys {
			row = append(row, string(key))
		}
		servers = append(servers, row)
	}
	return look.Table(servers, func(cell string) screen.Colour {
		switch cell {
		case string(r.Wants()):
			return screen.Green
		case string(Live), string(Rejected), "off", "let in":
			return screen.Red
		}
		return screen.Plain
	}) + "\n" + look.Table(keys, nil)
}

// ErrUnexpected: servers did not do what was expected.
var ErrUnexpected = errors.New("did not answer as expected")

// Err is nil where all servers did what was expected; else ErrUnexpected, with why.
func (r Result) Err() error {
	if r.Failed == 0 {
		return nil
	}
	err := fmt.Errorf("%d of %d servers %w (keys %s)", r.Failed, len(r.Servers), ErrUnexpected, r.Expect)
	return hint.Add(hint.Detail(err, r.Faults...), "%s", r.Help)
}

// faults says what keeps a server's answers from being what is expected.
func (s ServerSays) faults(keys Questions, want Verdict) (faults []string) {
	switch {
	case s.Secure != nil && !*s.Secure:
		return []string{s.URL + ": secure mode is off: a random key is let in"}
	case s.Error != "":
		return []string{s.Error} // it names the server
	}
	for i, got := range s.Keys {
		said := map[Verdict]string{
			Live:   "the live master key",
			Scoped: "let in, but not as the master key: it lives as a scoped key",
			Mixed:  "accepted on some connections and not on others: several servers with different keys stand behind the address",
		}[got]
		said = cmp.Or(said, string(got))
		if got != want {
			faults = append(faults, fmt.Sprintf("%s: the key from %s is %s", s.URL, keys[i].From[0], said))
		}
	}
	return faults
}
