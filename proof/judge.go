package proof

import (
	"context"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

// Judge asks a server for the key that is wanted, a random one and the other key
// that the wanted one replaces (it is not asked for where no header can carry it,
// as the zero Key). It ends with the first answer that decides, so that a server
// that is not there yet costs one question. The error tells why, where the verdict
// is Unknown.
//
// A wanted key that is no master key is Rejected, whatever else it may be.
func (s *Server) Judge(ctx context.Context, want, other secret.Key) (Verdict, error) {
	v, err := s.judge(ctx, want, other)
	if v == Mixed {
		s.mixed.Store(true)
	}
	return v, err
}

func (s *Server) judge(ctx context.Context, want, other secret.Key) (Verdict, error) {
	first, err := s.Ask(ctx, want)
	if first == blnk.Nothing {
		return Unknown, err
	}
	switch control, err := s.insist(ctx, random()); control {
	case blnk.Nothing:
		return Unknown, err
	case blnk.Live, blnk.Lesser:
		return Open, nil
	}
	if first == blnk.Live {
		return s.judgeLive(ctx, want, other)
	}
	// Neither the wanted key nor a random one was taken: the other may be, or one
	// of the two by a neighbour behind the same address. All questions about one
	// key come in a row: servers that take turns could otherwise each get always
	// the same key.
	if blnk.Sendable(other) {
		if v, err := s.judgeOther(ctx, other); v != Rejected {
			return v, err
		}
	}
	switch found, err := s.sample(ctx, s.Agreeing()-1, always(want), isLive); {
	case err != nil:
		return Unknown, err
	case found.live > 0:
		return Mixed, nil
	default:
		return Rejected, nil
	}
}

// judgeLive: the wanted key was taken and a random one was not.
func (s *Server) judgeLive(ctx context.Context, want, other secret.Key) (Verdict, error) {
	v := Live
	if blnk.Sendable(other) {
		switch answer, err := s.insist(ctx, other); answer {
		case blnk.Nothing:
			return Unknown, err
		case blnk.Live:
			return Mixed, nil
		case blnk.Lesser:
			v = OtherScoped
		}
	}
	found, err := s.sample(ctx, s.Agreeing()-1, always(want), func(a blnk.Answer) bool { return a != blnk.Live })
	switch {
	case err != nil:
		return Unknown, err
	case found.live < found.Total():
		return Mixed, nil
	default:
		return v, nil
	}
}

// judgeOther: OtherLive where the other key is taken at once, Mixed where only
// some take it, Rejected where none does.
func (s *Server) judgeOther(ctx context.Context, other secret.Key) (Verdict, error) {
	switch answer, err := s.insist(ctx, other); answer {
	case blnk.Nothing:
		return Unknown, err
	case blnk.Live:
		return OtherLive, nil
	}
	switch found, err := s.sample(ctx, s.Agreeing()-1, always(other), isLive); {
	case err != nil:
		return Unknown, err
	case found.live > 0:
		return Mixed, nil
	default:
		return Rejected, nil
	}
}

func always(key secret.Key) func() secret.Key { return func() secret.Key { return key } }

func isLive(a blnk.Answer) bool { return a == blnk.Live }

// A Survey is everything that one server says to keys and to random ones.
type Survey struct {
	*Server
	Keys   []Tally // in the order of the keys
	Random Tally
	Err    error // why there are no more answers; nil where all came
}

// Survey asks a server for random keys and for each of the keys, every time as
// often as has to agree. A server that never answered is not waited for.
func (s *Server) Survey(ctx context.Context, keys []secret.Key) *Survey {
	v := &Survey{Server: s, Keys: make([]Tally, len(keys))}
	answer, err := s.Ask(ctx, random())
	if v.Err = err; err != nil {
		return v
	}
	every := func(blnk.Answer) bool { return false }
	v.Random, v.Err = s.sample(ctx, Agreeing-1, random, every)
	v.Random.count(answer)
	for i, key := range keys {
		if v.Err != nil {
			return v
		}
		v.Keys[i], v.Err = s.sample(ctx, Agreeing, always(key), every)
		if v.Keys[i].verdict(Agreeing) == Mixed {
			s.mixed.Store(true)
		}
	}
	return v
}

// Open says that a random key was let in. A few such answers are enough: they
// came from a server behind the address that is open.
func (v *Survey) Open() bool { return v.Random.live+v.Random.scoped > 0 }

// Closed says that all random keys were refused, as they should be.
func (v *Survey) Closed() bool { return v.Random.verdict(Agreeing) == Rejected }

// Key is what is proved about a key; nothing where random ones get in.
func (v *Survey) Key(i int) Verdict {
	if !v.Closed() {
		return Unknown
	}
	return v.Keys[i].verdict(Agreeing)
}

// Connections is how many answers there are to every key.
func (v *Survey) Connections() int {
	n := v.Random.Total()
	for _, t := range v.Keys {
		n = min(n, t.Total())
	}
	return n
}
