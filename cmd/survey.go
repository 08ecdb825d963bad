package cmd

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/secret"
)

// surveyed is how many fresh connections must agree: several servers that take
// turns may stand behind one address.
const surveyed = 20

// surveyPatience is how long a server that has answered may keep back further
// answers: a rate limiter lets the next ones through after a while.
const surveyPatience = 10 * time.Second

// A tally counts what a server answered to one key.
type tally struct{ live, rejected, lesser int }

func (t *tally) count(a blnk.Answer) {
	switch a {
	case blnk.Live:
		t.live++
	case blnk.Rejected:
		t.rejected++
	case blnk.Lesser:
		t.lesser++
	}
}

// A standing is what the answers to one key, taken together, prove.
type standing string

const (
	isLive     standing = "live"     // the master key
	isRejected standing = "rejected" // no key at all
	isScoped   standing = "scoped"   // let in, but not as the master key
	isMixed    standing = "mixed"    // different answers on different connections
	isUnknown  standing = "unknown"  // nothing is proved
)

// total is the number of answers.
func (t tally) total() int { return t.live + t.rejected + t.lesser }

// standing says what the answers prove. An incomplete tally proves nothing.
func (t tally) standing() standing {
	switch surveyed {
	case t.live:
		return isLive
	case t.rejected:
		return isRejected
	case t.lesser:
		return isScoped
	case t.total():
		return isMixed
	}
	return isUnknown
}

// A survey is what one server says to the keys in question and to random ones.
type survey struct {
	server *probe.Server
	keys   []tally // in the order of the keys
	random tally
	err    error // why there are no more answers; nil where all came
}

// open says that a random key was let in: secure mode is off, and no other
// answer counts. A few such answers are enough: they came from a server behind
// the address that is open.
func (s *survey) open() bool { return s.random.live+s.random.lesser > 0 }

// closed says that all random keys were refused, as they should be.
func (s *survey) closed() bool { return s.random.standing() == isRejected }

// key is what is proved about a key.
func (s *survey) key(i int) standing {
	if !s.closed() {
		return isUnknown
	}
	return s.keys[i].standing()
}

// surveyAll asks all servers at once.
func surveyAll(ctx context.Context, servers []*probe.Server, keys []secret.Key) []*survey {
	surveys := make([]*survey, len(servers))
	var group sync.WaitGroup
	for i, server := range servers {
		surveys[i] = &survey{server: server, keys: make([]tally, len(keys))}
		group.Go(func() { surveys[i].err = surveys[i].ask(ctx, keys) })
	}
	group.Wait()
	return surveys
}

// ask asks for a random key and for every key. All questions about one key come
// in a row: where servers take turns, alternating keys could each meet the same
// server every time.
func (s *survey) ask(ctx context.Context, keys []secret.Key) error {
	var deadline time.Time // none: a server that never answered is not waited for
	for i := -1; i < len(keys); i++ {
		for range surveyed {
			key, count := secret.New(rand.Text()+rand.Text()), &s.random
			if i >= 0 {
				key, count = keys[i], &s.keys[i]
			}
			answer, err := askUntil(ctx, s.server, key, deadline)
			if err != nil {
				return err
			}
			count.count(answer)
			deadline = time.Now().Add(surveyPatience)
		}
	}
	return nil
}

// askUntil asks again, ever more slowly, until an answer proves something or
// the deadline has passed.
func askUntil(ctx context.Context, server *probe.Server, key secret.Key, deadline time.Time) (blnk.Answer, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		answer, err := server.Ask(ctx, key)
		if answer != blnk.Nothing || time.Now().Add(pause).After(deadline) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return blnk.Nothing, ctx.Err()
		case <-time.After(pause):
		}
	}
}
