package listener_test

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/blnkctl/blnkctl/internal/listener"
)

// Whose socket is met by whom.
func TestOwner(t *testing.T) {
	for _, c := range []struct {
		network, listens, to string
		met                  bool
	}{
		{"tcp4", "127.0.0.1:0", "127.0.0.1", true}, {"tcp4", "127.0.0.1:0", "127.0.0.2", false}, {"tcp4", "127.0.0.1:0", "::1", false},
		{"tcp4", "0.0.0.0:0", "127.0.0.3", true}, {"tcp4", "0.0.0.0:0", "::1", false},
		{"tcp", "[::]:0", "127.0.0.1", true}, {"tcp", "[::]:0", "::1", true},
		{"tcp6", "[::]:0", "127.0.0.1", false}, {"tcp6", "[::1]:0", "::1", true}, {"tcp6", "[::1]:0", "127.0.0.1", false},
	} {
		l, err := net.Listen(c.network, c.listens)
		if err != nil {
			t.Logf("not looked at: %v", err) // no IPv6
			continue
		}
		to := netip.AddrPortFrom(netip.MustParseAddr(c.to), l.Addr().(*net.TCPAddr).AddrPort().Port())
		if uid, ok := listener.Owner(to); ok != c.met || c.met && uid != os.Geteuid() {
			t.Errorf("who listens on %s %s is met at %s: %d, %v", c.network, c.listens, to, uid, ok)
		}
		conn, err := net.Dial("tcp", to.String())
		if (err == nil) != c.met {
			t.Errorf("connected to %s, who listens on %s %s: %v", to, c.network, c.listens, err)
		}
		if l.Close(); err == nil {
			// The connection is still there, and nobody listens.
			if uid, ok := listener.Owner(to); ok {
				t.Errorf("nobody listens any more: %d", uid)
			}
			conn.Close()
		}
	}
}

// Of two users who wait at one port each is met by his own.
func TestOwnerOfTwo(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	theirs := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		_ = c.Control(func(fd uintptr) { err = unix.Fchown(int(fd), 4241, 4242) })
		return err
	}}
	theirs.SetMultipathTCP(false) // which has a second socket, that would not be given away
	own, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	port := own.Addr().(*net.TCPAddr).AddrPort().Port()
	other, err := theirs.Listen(t.Context(), "tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for to, want := range map[string]int{"127.0.0.1": 0, "127.0.0.2": 4241} {
		if uid, ok := listener.Owner(netip.AddrPortFrom(netip.MustParseAddr(to), port)); !ok || uid != want {
			t.Errorf("who is met at %s: %d, %v; want %d", to, uid, ok, want)
		}
	}
	if uid, ok := listener.Owner(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), port)); ok {
		t.Errorf("who listens elsewhere is met: %d", uid)
	}
}

func BenchmarkOwner(b *testing.B) {
	for range b.N {
		listener.Owner(netip.MustParseAddrPort("127.0.0.1:1"))
	}
}
