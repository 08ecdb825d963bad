package listener

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// OwnerOf is the user who listens for connections to an address of this host: the kernel
// is asked for the socket that it would give one to (sock_diag(7)), as every user may. The
// tables of /proc take milliseconds.
func OwnerOf(to netip.AddrPort) Owner {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0
	}
	defer func() { _ = unix.Close(fd) }()
	// The header of netlink(7), and struct inet_diag_req_v2 of linux/inet_diag.h: to there,
	// and from there, but from no port, so that no connection is found.
	ask, native, at := make([]byte, 72), binary.NativeEndian, to.Addr().AsSlice()
	native.PutUint32(ask, uint32(len(ask)))
	native.PutUint16(ask[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(ask[6:], unix.NLM_F_REQUEST)
	ask[16], ask[17] = unix.AF_INET6, unix.IPPROTO_TCP
	if to.Addr().Is4() {
		ask[16] = unix.AF_INET
	}
	binary.BigEndian.PutUint16(ask[24:], to.Port())
	copy(ask[28:], at)
	copy(ask[44:], at)
	native.PutUint64(ask[64:], ^uint64(0)) // whatever its cookie
	var said [512]byte                     // struct inet_diag_msg, or an error
	if _, err = unix.Write(fd, ask); err == nil {
		_, err = unix.Read(fd, said[:])
	}
	const listens = 10 // TCP_LISTEN: include/net/tcp_states.h
	if err != nil || native.Uint16(said[4:]) != unix.SOCK_DIAG_BY_FAMILY || said[17] != listens {
		return 0
	}
	return Owner(native.Uint32(said[80:])) + 1
}
