package listener

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// stateListen is TCP_LISTEN (include/net/tcp_states.h).
const stateListen = 10

// listening returns the sockets that listen on the port, as the links of
// /proc/PID/fd show them. The kernel is asked over netlink, which costs nothing
// even on a busy host; a sandbox may not have that, but has the tables.
func listening(port int) (map[string]bool, error) {
	if sockets, err := askNetlink(port); err == nil {
		return sockets, nil
	}
	return readTables(port)
}

// askNetlink asks for the sockets in state LISTEN with that local port
// (sock_diag(7)).
func askNetlink(port int) (map[string]bool, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_INET_DIAG)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	sockets := map[string]bool{}
	for _, family := range []byte{syscall.AF_INET, syscall.AF_INET6} {
		err := syscall.Sendto(fd, diagRequest(family, port), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK})
		if err != nil {
			return nil, err
		}
		if err := readDiag(fd, sockets); err != nil {
			return nil, err
		}
	}
	return sockets, nil
}

// diagRequest is a struct nlmsghdr and a struct inet_diag_req_v2
// (linux/netlink.h, linux/inet_diag.h).
func diagRequest(family byte, port int) []byte {
	const (
		diagByFamily = 20 // SOCK_DIAG_BY_FAMILY, linux/sock_diag.h
		size         = syscall.SizeofNlMsghdr + 56
	)
	b := make([]byte, 0, size)
	b = binary.NativeEndian.AppendUint32(b, size)
	b = binary.NativeEndian.AppendUint16(b, diagByFamily)
	b = binary.NativeEndian.AppendUint16(b, syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP)
	b = append(b, make([]byte, 8)...) // sequence and port of the sender
	b = append(b, family, syscall.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, 1<<stateListen)
	b = binary.BigEndian.AppendUint16(b, uint16(port))
	return append(b, make([]byte, size-len(b))...) // from and to anywhere
}

// readDiag adds the inodes of an answer: a sequence of struct inet_diag_msg.
func readDiag(fd int, sockets map[string]bool) error {
	const inode = 68 // offset of idiag_inode
	buf := make([]byte, 32<<10)
	for {
		n, _, err := syscall.Recvfrom(fd, buf, 0)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return err
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == syscall.NLMSG_DONE:
				return nil
			case m.Header.Type == syscall.NLMSG_ERROR || len(m.Data) < inode+4:
				return errors.New("netlink refuses to tell")
			}
			sockets[fmt.Sprintf("socket:[%d]", binary.NativeEndian.Uint32(m.Data[inode:]))] = true
		}
	}
}

// readTables reads what proc_pid_net(5) describes.
func readTables(port int) (map[string]bool, error) {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		err := readTable(table, fmt.Sprintf(":%04X", port), sockets)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // IPv6 may be off
			return nil, err
		}
	}
	return sockets, nil
}

// readTable adds the sockets whose local address ends in suffix.
func readTable(table, suffix string, sockets map[string]bool) error {
	f, err := os.Open(table)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for {
		text, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		col := strings.Fields(text)
		if len(col) > 9 && col[3] == fmt.Sprintf("%02X", stateListen) && strings.HasSuffix(col[1], suffix) {
			sockets["socket:["+col[9]+"]"] = true
		}
	}
}
