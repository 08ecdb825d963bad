package listener

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Find returns the processes that listen on the TCP port, on any address, in
// the order of their PIDs. Several share a socket where a server forks.
//
// Nobody listening is no error. A listener that this user may not look at is
// an error that wraps fs.ErrPermission, together with the processes that could
// be seen. A process that ends meanwhile is left out.
func Find(port int) ([]Process, error) {
	found, err := find(port)
	slices.SortFunc(found, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
	if err != nil {
		return found, fmt.Errorf("find who listens on port %d: %w", port, err)
	}
	return found, nil
}

func find(port int) ([]Process, error) {
	unseen, err := listening(port) // sockets that no process was found for
	if err != nil || len(unseen) == 0 {
		return nil, err
	}
	sockets := len(unseen)
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	all := make(map[string]bool, sockets)
	for link := range unseen {
		all[link] = true
	}
	var found []Process
	var closed error // of a process that may not be looked at
	for _, dir := range dirs {
		held, err := heldBy(dir, all)
		if errors.Is(err, fs.ErrPermission) {
			closed = err
		}
		if len(held) == 0 {
			continue
		}
		for _, link := range held {
			delete(unseen, link)
		}
		if p, ok := describe(dir); ok {
			found = append(found, p)
		}
	}
	if len(unseen) > 0 && closed != nil {
		return found, closed
	}
	return found, nil
}

// listening returns the sockets that listen on the port, as the links of
// /proc/PID/fd show them.
func listening(port int) (map[string]bool, error) {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		err := listeningIn(table, fmt.Sprintf(":%04X", port), sockets)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // IPv6 may be off
			return nil, err
		}
	}
	return sockets, nil
}

// listeningIn adds the sockets of one table whose local address ends in
// suffix. The listening ones stand first, before all connections (Linux,
// Documentation/networking/proc_net_tcp.rst): reading stops there, and reads
// about a line at a time until then, because the kernel makes what is asked
// for, and on a busy host the connections are many. The columns are those of
// proc_pid_net(5).
func listeningIn(table, suffix string, sockets map[string]bool) error {
	const (
		listen = "0A" // TCP_LISTEN, include/net/tcp_states.h
		line   = 150  // bytes, TMPSZ in net/ipv4/tcp_ipv4.c
	)
	f, err := os.Open(table)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, line)
	if _, err := lines.ReadString('\n'); err != nil {
		return fmt.Errorf("read %s: %w", table, err) // there always is a heading
	}
	for {
		text, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		col := strings.Fields(text)
		if len(col) < 10 || col[3] != listen {
			return nil
		}
		if strings.HasSuffix(col[1], suffix) {
			sockets["socket:["+col[9]+"]"] = true
		}
	}
}

// heldBy returns those of the sockets that the process has open.
func heldBy(dir string, sockets map[string]bool) ([]string, error) {
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return nil, err
	}
	var held []string
	for _, fd := range fds {
		link, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		if err == nil && sockets[link] {
			held = append(held, link)
		}
	}
	return held, nil
}

// describe reads what is known of a process; false where it is gone.
func describe(dir string) (Process, bool) {
	pid, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		return Process{}, false
	}
	p := Process{PID: pid}
	var errs [3]error
	p.Exe, errs[0] = os.Readlink(filepath.Join(dir, "exe"))
	p.Dir, errs[1] = os.Readlink(filepath.Join(dir, "cwd"))
	var env []byte
	env, errs[2] = os.ReadFile(filepath.Join(dir, "environ"))
	if errs[2] == nil {
		p.Env = parse(string(env))
	}
	p.Err = errors.Join(errs[:]...)
	return p, !errors.Is(p.Err, fs.ErrNotExist)
}

// parse reads NAME=VALUE, each ended by a NUL byte. Of a name that stands
// twice the first counts, as for getenv(3) and for Go's os.Getenv.
func parse(environ string) map[string]string {
	env := map[string]string{}
	for entry := range strings.SplitSeq(environ, "\x00") {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || name == "" {
			continue
		}
		if _, twice := env[name]; !twice {
			env[name] = value
		}
	}
	return env
}
