package blnktest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// FreePort returns a TCP port of this machine that nobody listens on. It lies
// below the range from which the kernel takes the ports of outgoing
// connections (net.ipv4.ip_local_port_range), so that nobody gets it by chance
// while a server restarts. Each port is given once before it begins anew, also
// to other processes of the same user: a test whose server is down for a while
// finds its port free when it comes back. Nothing keeps a stranger away from it.
func FreePort() (int, error) {
	const first, count = 10000, 20000
	unlock, last, err := lastPort()
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer unlock()
	for range count {
		port := first + (last.number-first+1)%count
		last.number = port
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, err
		}
		return port, errors.Join(l.Close(), last.save())
	}
	return 0, fmt.Errorf("no free port from %d to %d", first, first+count-1)
}

// A portFile remembers the port that was given last.
type portFile struct {
	file   *os.File
	number int
}

// lastPort opens and locks the file. It does not stand in os.TempDir, which is
// another folder in each script.
func lastPort() (unlock func(), last *portFile, err error) {
	file, err := os.OpenFile(fmt.Sprintf("/var/tmp/blnk-standin-%d.port", os.Getuid()), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	last = &portFile{file: file, number: 9999}
	text := make([]byte, 8)
	n, _ := file.ReadAt(text, 0) // shorter than asked for, or new
	if number, err := strconv.Atoi(strings.TrimSpace(string(text[:n]))); err == nil && number >= 10000 && number < 30000 {
		last.number = number
	}
	return func() { _ = file.Close() }, last, nil
}

func (p *portFile) save() error {
	_, err := p.file.WriteAt([]byte(strconv.Itoa(p.number)), 0)
	return err
}
