package probe

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
)

// Owner holds the listener.Owner who listened for the server when it was connected to
// first, or whom an earlier run met; 0 where none was seen: that of another host, or one
// behind a packet filter.
//
// A port above 1023 is anybody's while its server is stopped. So what is asked later is
// listener.ErrOwner where another user listens, but for root and who runs this.
func (s *Server) Owner() *atomic.Int64 { return &s.owner }

// owned looks who listens at the other end of a connection.
func (s *Server) owned(conn net.Conn) error {
	from, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	to, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil || !to.Addr().IsLoopback() && to.Addr() != from.Addr() {
		return nil // another host
	}
	now := listener.OwnerOf(to)
	s.owner.CompareAndSwap(0, int64(now))
	before := listener.Owner(s.owner.Load())
	if now == before || now == 1 || now == listener.Owner(os.Geteuid()+1) {
		return nil
	}
	return hint.Add(fmt.Errorf("%s listens there, and %s did before: %w", now, before, listener.ErrOwner),
		"sudo ss -ltnp 'sport = :%d' names the process: end it; where the server is to run as that user from now on, --server-down compares nothing", to.Port())
}
