package proof

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/blnkctl/blnkctl/secret"
)

// What is expected of keys.
const (
	Accepted = "accepted" // each is the live master key of every server
	Refused  = "rejected" // no server takes one
)

// A Question is a key, and where it was found.
type Question struct {
	Key  secret.Key
	From []string
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
	*q = append(*q, Question{key, []string{from}})
}

// A Result is what servers do with keys, and whether that is as expected. It is a
// document as it stands.
type Result struct {
	Result  string       `json:"result"` // passed, failed
	Expect  string       `json:"expect"`
	Keys    []KeyName    `json:"keys"`
	Servers []ServerSays `json:"servers"`
	Open    string       `json:"open,omitempty"` // ID of the open rotation of these stores
	// Failed is the number of servers that did not do what was expected, Faults why.
	Failed int      `json:"-"`
	Faults []string `json:"-"`
}

// A KeyName names a key.
type KeyName struct {
	Fingerprint string   `json:"fingerprint"` // "" for a weak key
	From        []string `json:"from"`
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
}

// Verify asks all servers at once for all keys.
func Verify(ctx context.Context, servers []*Server, questions Questions, expect string) Result {
	r := Result{Result: "passed", Expect: expect}
	var keys []secret.Key
	for _, q := range questions {
		keys = append(keys, q.Key)
		r.Keys = append(r.Keys, KeyName{q.Key.Fingerprint(), q.From})
	}
	all := make([]*Answers, len(servers))
	Each(servers, func(i int, s *Server) (Verdict, error) {
		all[i] = s.AskAll(ctx, keys)
		return "", nil
	})
	for _, a := range all {
		one := ServerSays{URL: a.String(), Connections: a.Connections(), Sampled: a.Sampled()}
		for i := range keys {
			one.Keys = append(one.Keys, a.Key(i))
		}
		if a.Open() || a.Closed() {
			on := !a.Open()
			one.Secure, one.RandomRefused = &on, &on
		}
		if a.Err != nil {
			one.Error = a.Err.Error()
		}
		r.Servers = append(r.Servers, one)
		if faults := one.faults(r.Keys, r.Wants()); len(faults) > 0 {
			r.Result, r.Failed, r.Faults = "failed", r.Failed+1, append(r.Faults, faults...)
		}
	}
	return r
}

// Wants is the verdict that is expected of each key.
func (r Result) Wants() Verdict {
	if r.Expect == Refused {
		return Rejected
	}
	return Live
}

// Rows are the result as two tables, of the servers and of the keys; the first row
// of each is its head.
func (r Result) Rows() (servers, keys [][]string) {
	head := []string{"SERVER", "SECURE MODE", "RANDOM KEY", "CONNECTIONS"}
	keys = [][]string{{"KEY", "FINGERPRINT", "FROM"}}
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
	servers = [][]string{head}
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
	return servers, keys
}

// faults says what keeps a server's answers from being what is expected.
func (s ServerSays) faults(keys []KeyName, want Verdict) (faults []string) {
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
		if said == "" {
			said = string(got)
		}
		if got != want {
			faults = append(faults, fmt.Sprintf("%s: the key from %s is %s", s.URL, keys[i].From[0], said))
		}
	}
	return faults
}
