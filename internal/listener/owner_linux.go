package listener

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Owner is the user who listens for connections to an address of this host: the kernel is
// asked for the socket that it would give one to (sock_diag(7)), as every user may. The
// tables of /proc take milliseconds. false where there is none, or the kernel does not tell.
func Owner(to netip.AddrPort) (uid int, ok bool) {
	const tcp, listen = 6, 10 // TCP_LISTEN: include/net/tcp_states.h
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, false
	}
	defer func() { _ = unix.Close(fd) }()
	// A header of netlink(7), and struct inet_diag_req_v2 of linux/inet_diag.h.
	var ask [72]byte
	native, at := binary.NativeEndian, to.Addr().AsSlice()
	native.PutUint32(ask[0:], uint32(len(ask)))
	native.PutUint16(ask[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(ask[6:], unix.NLM_F_REQUEST)
	ask[16], ask[17] = unix.AF_INET6, tcp
	if to.Addr().Is4() {
		ask[16] = unix.AF_INET
	}
	binary.BigEndian.PutUint16(ask[24:], to.Port())
	copy(ask[28:], at)                     // to there,
	copy(ask[44:], at)                     // from there, of no port: so it is no connection that is found
	native.PutUint64(ask[64:], ^uint64(0)) // whatever its cookie
	var said [512]byte
	if _, err = unix.Write(fd, ask[:]); err == nil {
		_, err = unix.Read(fd, said[:])
	}
	// struct inet_diag_msg, or an error.
	found := native.Uint16(said[4:]) == unix.SOCK_DIAG_BY_FAMILY && said[17] == listen
	return int(native.Uint32(said[80:])), err == nil && found
}
