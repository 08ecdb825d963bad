package listener

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Owner is the ID of the user who listens for connections to an address of this host;
// false where nobody is seen to. The kernel is asked for the socket that it would give one
// to (sock_diag(7)), as every user may: the tables of /proc take milliseconds.
func Owner(to netip.AddrPort) (uid int, ok bool) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, false
	}
	defer func() { _ = unix.Close(fd) }()
	// The header of netlink(7), and struct inet_diag_req_v2 of linux/inet_diag.h: to there,
	// and from there, but from no port, so that no connection is found.
	ask, said, native, at := make([]byte, 72), make([]byte, 512), binary.NativeEndian, to.Addr().As16()
	native.PutUint32(ask, uint32(len(ask)))
	native.PutUint16(ask[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(ask[6:], unix.NLM_F_REQUEST)
	ask[16], ask[17] = unix.AF_INET6, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(ask[24:], to.Port())
	copy(ask[28:], append(at[:], at[:]...))
	native.PutUint64(ask[64:], ^uint64(0)) // whatever its cookie
	_, _ = unix.Write(fd, ask)             // the answer is there when this returns
	_, _ = unix.Read(fd, said)             // struct inet_diag_msg, or an error
	const listens = 10                     // TCP_LISTEN: include/net/tcp_states.h
	if native.Uint16(said[4:]) != unix.SOCK_DIAG_BY_FAMILY || said[17] != listens {
		return 0, false
	}
	return int(native.Uint32(said[80:])), true
}
