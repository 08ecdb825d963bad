package probe

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
)

// Owner is the user of this host who listened for the server when it was connected to
// first; -1 where none was seen to: it is another host's, or behind a packet filter.
//
// A port above 1023 is anybody's while its server is stopped. So whatever is asked later
// is listener.ErrOwner where another user listens, but for root and who runs this.
func (s *Server) Owner() int { return int(s.owner.Load()) - 1 }

// SetOwner says who was seen by an earlier run; -1: it is whoever is met first.
func (s *Server) SetOwner(uid int) { s.owner.Store(int64(uid) + 1) }

// owned looks who listens at the other end of a connection.
func (s *Server) owned(conn net.Conn) error {
	from, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	to, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || !to.Addr().IsLoopback() && to.Addr() != from.Addr() {
		return nil // another host
	}
	uid, seen := listener.Owner(to)
	if seen {
		s.owner.CompareAndSwap(0, int64(uid)+1)
	}
	if owner := s.Owner(); owner >= 0 && (!seen || uid != owner && uid != 0 && uid != os.Geteuid()) {
		who := map[bool]string{true: fmt.Sprintf("user %d", uid), false: "nobody who is seen"}[seen]
		return hint.Add(fmt.Errorf("%s listens there, and user %d did before: %w", who, owner, listener.ErrOwner),
			"sudo ss -ltnp 'sport = :%d' names the process: end it; where the server is to run as that user from now on, --server-down compares nothing", to.Port())
	}
	return nil
}
