package proof

import (
	"context"
	"sync"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

// Prove asks a server for the key that is wanted, a random one and the other key
// that the wanted one replaces (it is not asked for where no header can carry it,
// as the zero Key). It ends with the first answer that decides, so that a server
// that is not there yet costs one question. The error tells why, where the verdict
// is Unknown.
//
// A wanted key that is no master key is Rejected, whatever else it may be.
func (s *Server) Prove(ctx context.Context, want, other secret.Key) (Verdict, error) {
	v, err := s.prove(ctx, want, other)
	if v == Mixed {
		s.mixed.Store(true)
	}
	return v, err
}

func (s *Server) prove(ctx context.Context, want, other secret.Key) (Verdict, error) {
	first, err := s.Ask(ctx, want)
	if first == blnk.Nothing {
		return Unknown, err
	}
	switch control, err := s.insist(ctx, s.askRandom); control {
	case blnk.Nothing:
		return Unknown, err
	case blnk.Live, blnk.Lesser:
		return Open, nil
	}
	if first == blnk.Live {
		return s.proveLive(ctx, want, other)
	}
	// Neither the wanted key nor a random one was taken: the other may be, or one
	// of the two by a neighbour behind the same address. All questions about one
	// key come in a row: servers that take turns could otherwise each get always
	// the same key.
	if blnk.Sendable(other) {
		found, err := s.sample(ctx, s.Agreeing(), s.about(other), isLive)
		switch {
		case err != nil:
			return Unknown, err
		case found.live > 0 && found.live == found.Total():
			return OtherLive, nil
		case found.live > 0:
			return Mixed, nil
		}
	}
	found, err := s.sample(ctx, s.Agreeing()-1, s.about(want), isLive)
	switch {
	case err != nil:
		return Unknown, err
	case found.live > 0:
		return Mixed, nil
	default:
		return Rejected, nil
	}
}

// proveLive: the wanted key was taken and a random one was not.
func (s *Server) proveLive(ctx context.Context, want, other secret.Key) (Verdict, error) {
	v := Live
	if blnk.Sendable(other) {
		switch answer, err := s.insist(ctx, s.about(other)); answer {
		case blnk.Nothing:
			return Unknown, err
		case blnk.Live:
			return Mixed, nil
		case blnk.Lesser, blnk.Scoped:
			v = OtherScoped
		}
	}
	found, err := s.sample(ctx, s.Agreeing()-1, s.about(want), func(a blnk.Answer) bool { return a != blnk.Live })
	switch {
	case err != nil:
		return Unknown, err
	case found.live < found.Total():
		return Mixed, nil
	default:
		return v, nil
	}
}

// Once asks a single time for a key, and for a random one: no proof, but what is
// wrong shows.
func (s *Server) Once(ctx context.Context, key secret.Key) (Verdict, error) {
	answer, err := s.Ask(ctx, key)
	if answer == blnk.Nothing {
		return Unknown, err
	}
	control, err := s.askRandom(ctx)
	switch {
	case control == blnk.Nothing:
		return Unknown, err
	case control != blnk.Rejected:
		return Open, nil
	case answer == blnk.Live:
		return Live, nil
	default:
		return Rejected, nil
	}
}

// Each asks all servers at once, and gives their verdicts and reasons in order.
func Each(servers []*Server, ask func(i int, s *Server) (Verdict, error)) ([]Verdict, []error) {
	verdicts, reasons := make([]Verdict, len(servers)), make([]error, len(servers))
	var group sync.WaitGroup
	for i, s := range servers {
		do := func() { verdicts[i], reasons[i] = ask(i, s) }
		if i < len(servers)-1 {
			group.Go(do)
		} else {
			do() // where there is one server, no goroutine is needed
		}
	}
	group.Wait()
	return verdicts, reasons
}

func isLive(a blnk.Answer) bool { return a == blnk.Live }
