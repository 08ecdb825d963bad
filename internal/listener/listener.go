// Package listener finds which process of this host listens at a TCP port, and
// tells what it, or any other process, was started with.
//
// It reads /proc, so elsewhere than on Linux it finds nothing. It does not
// promise that a process found is the server itself (with a published port of a
// container it is the proxy of the container engine), that it sees into other
// network namespaces, or that the environment is still what the process uses: it
// is the one it was started with.
package listener

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is what can be known of one: what may not be read is "" or nil. It
// prints itself without its environment and command line, which may hold keys.
type Process struct {
	PID   int
	Exe   string            // the path of its program
	Args  []string          `json:"-"` // its command line
	Start string            // of StartOf
	Dir   string            // its working directory, where this path means the same here
	Env   map[string]string `json:"-"` // what it was started with
}

// String names the process by PID and program.
func (p Process) String() string {
	if p.Exe == "" {
		return fmt.Sprintf("PID %d", p.PID)
	}
	return fmt.Sprintf("PID %d (%s)", p.PID, p.Exe)
}

// Format writes what String returns, whatever the verb.
func (p Process) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// A Mark is what a process is known by later: its PID may be another's by then.
type Mark struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // of StartOf
	Name  string `json:"name"`
	// Server says that it is known to be one.
	Server bool `json:"server,omitempty"`
}

// String names it by PID and name.
func (m Mark) String() string { return fmt.Sprintf("PID %d (%s)", m.PID, m.Name) }

// Same says whether both are of one process.
func (m Mark) Same(o Mark) bool { return m.PID == o.PID && m.Start == o.Start }

// Runs says whether it still runs.
func (m Mark) Runs() bool { return m.Start != "" && StartOf(m.PID) == m.Start }

// Listens says whether it still waits for connections, on whatever port of its
// network.
func (m Mark) Listens() bool {
	sockets, err := listening(fmt.Sprintf("/proc/%d", m.PID), func(string) bool { return true })
	held, _ := heldBy(m.PID, sockets)
	return err == nil && len(held) > 0
}

// A Host is which processes it has: to find that out again costs more than most of what
// is asked of them.
type Host struct {
	Blnk   []int // the IDs of those that run blnk
	Others []int // of all others that run a program
}

// Scan looks at all processes that are seen here.
func Scan() (h Host) {
	for _, pid := range All() {
		if blnk, any := runs(pid); blnk {
			h.Blnk = append(h.Blnk, pid)
		} else if any {
			h.Others = append(h.Others, pid)
		}
	}
	return h
}

// Find returns the processes that listen on the TCP port, on any address, in
// the order of their PIDs. Several share a socket where a server forks; where those
// that run blnk have them all, nobody else is looked for.
//
// Nobody listening is no error. A listener that this user may not look at is
// an error that wraps fs.ErrPermission, together with the processes that could
// be seen. A process that ends meanwhile is left out.
func (h Host) Find(port int) (found []Process, err error) {
	return h.find(port, func(string) bool { return true })
}

// FindOpen is Find of those that other machines may reach: who listens on an address
// that is not loopback. It does not know what a firewall keeps out.
func (h Host) FindOpen(port int) ([]Process, error) {
	return h.find(port, func(local string) bool {
		// The bytes of an address stand in the order of this machine, four at a time.
		const mapped = "0000000000000000FFFF0000"
		at, _, _ := strings.Cut(local, ":")
		v4 := strings.TrimPrefix(at, mapped)
		return at != "00000000000000000000000001000000" && (len(v4) != 8 || !strings.HasSuffix(v4, "7F"))
	})
}

func (h Host) find(port int, on func(local string) bool) (found []Process, err error) {
	end := fmt.Sprintf(":%04X", port)
	sockets, err := listening("/proc", func(local string) bool { return strings.HasSuffix(local, end) && on(local) })
	if err != nil || len(sockets) == 0 {
		return nil, err
	}
	var closed error // of a process that may not be looked at
	seen := map[string]bool{}
	for _, pids := range [][]int{h.Blnk, h.Others} {
		for _, pid := range pids {
			held, err := heldBy(pid, sockets)
			if errors.Is(err, fs.ErrPermission) {
				closed = fmt.Errorf("find who listens on port %d: %w", port, err)
			}
			for _, link := range held {
				seen[link] = true
			}
			if len(held) == 0 { // most: a look costs more than one at its descriptors
				continue
			}
			if p, ok := Look(pid); ok {
				found = append(found, p)
			}
		}
		if len(seen) == len(sockets) { // a host has hundreds, and the kernel takes its time for each
			closed = nil
			break
		}
	}
	slices.SortFunc(found, func(a, b Process) int { return a.PID - b.PID })
	return found, closed
}

// listening returns the sockets that listen on such a local address, as the links of
// /proc/PID/fd show them (proc_pid_net(5)).
func listening(proc string, such func(local string) bool) (map[string]bool, error) {
	const listens, asked = "0A", "03" // TCP_LISTEN, TCP_SYN_RECV: include/net/tcp_states.h
	sockets := map[string]bool{}
	for _, table := range []string{"/net/tcp", "/net/tcp6"} {
		file, err := os.Open(proc + table)
		if errors.Is(err, fs.ErrNotExist) {
			continue // IPv6 may be off
		}
		if err != nil {
			return nil, fmt.Errorf("find who listens: %w", err)
		}
		lines := bufio.NewScanner(file)
		lines.Scan() // the heading
		for lines.Scan() {
			column := strings.Fields(lines.Text())
			if len(column) < 10 || column[3] != listens && column[3] != asked {
				break // those that listen come first, and there may be very many others
			}
			if column[3] == listens && such(column[1]) {
				sockets["socket:["+column[9]+"]"] = true
			}
		}
		if err := errors.Join(lines.Err(), file.Close()); err != nil {
			return nil, fmt.Errorf("find who listens: %w", err)
		}
	}
	return sockets, nil
}

// All are the IDs of all processes that are seen here, of whatever program.
func All() (pids []int) {
	names, _ := os.ReadDir("/proc") // where there is none, there is nothing to see
	for _, name := range names {
		if pid, err := strconv.Atoi(name.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Peers are the addresses that have a connection to the TCP port at this moment.
func Peers(port int) (addresses []string) {
	const established = "01" // include/net/tcp_states.h
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table) // without one there is nothing to see
		for line := range strings.Lines(string(text)) {
			column := strings.Fields(line)
			if len(column) < 4 || column[3] != established || !strings.HasSuffix(column[1], fmt.Sprintf(":%04X", port)) {
				continue
			}
			host, _, _ := strings.Cut(column[2], ":")
			raw, err := hex.DecodeString(host)
			for word := range slices.Chunk(raw, 4) { // as a machine has it with the least byte first
				slices.Reverse(word)
			}
			if address := net.IP(raw).String(); err == nil && !slices.Contains(addresses, address) {
				addresses = append(addresses, address)
			}
		}
	}
	return addresses
}

// heldBy returns those of the sockets that the process has open. Links are read
// below the opened folder: a host has thousands, and to walk to each by its path
// takes twice as long.
func heldBy(pid int, sockets map[string]bool) (held []string, err error) {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	fd := int(dir.Fd()) // a system call each time
	var link [64]byte   // longer than that of any socket
	for _, name := range names {
		n, err := unix.Readlinkat(fd, name, link[:])
		if errors.Is(err, fs.ErrPermission) {
			return held, err // it is the same for all of them
		}
		if err == nil && sockets[string(link[:n])] {
			held = append(held, string(link[:n]))
		}
	}
	return held, err
}

// Look reads what is known of a process; false where it is gone.
func Look(pid int) (p Process, ok bool) {
	dir := fmt.Sprintf("/proc/%d", pid)
	args, _ := given(dir, "cmdline")
	p = Process{PID: pid, Start: StartOf(pid), Dir: folder(dir), Args: strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")}
	p.Exe, _ = os.Readlink(filepath.Join(dir, "exe"))
	if env, err := given(dir, "environ"); err == nil {
		p.Env = parse(string(env))
	}
	return p, p.Start != ""
}

// given reads what a program was started with. While the kernel is still starting it,
// execve(2) has replaced the one before, and the arguments, the environment or both are
// not there: read then, a server would seem to have no key. Its code has an address
// (field 26 of proc_pid_stat(5)) behind both; where none is told it is not waited for
// longer than a second.
func given(proc, name string) (text []byte, err error) {
	begun := false
	for range 1000 {
		if text, err = os.ReadFile(filepath.Join(proc, name)); len(text) > 0 || err != nil || begun {
			break
		}
		_, none := os.Readlink(filepath.Join(proc, "exe"))
		fields := stat(proc)
		if begun = none != nil || len(fields) > 23 && fields[23] != "0"; !begun {
			time.Sleep(time.Millisecond)
		}
	}
	return text, err
}

// SessionOf is the session of a process, to which what a service starts belongs; -1 where
// it is gone.
func SessionOf(pid int) int { id, _ := unix.Getsid(pid); return id }

// stat are the fields of proc_pid_stat(5) from the third one on: before them stands the
// program's name, which may hold anything.
func stat(proc string) []string {
	text, _ := os.ReadFile(filepath.Join(proc, "stat"))
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// folder is the working directory of a process, "" where its path leads to another
// one here: in a container, or in a root of its own.
func folder(proc string) string {
	link := filepath.Join(proc, "cwd")
	path, _ := os.Readlink(link)
	its, err := os.Stat(link)
	if here, missing := os.Stat(path); err != nil || missing != nil || !os.SameFile(its, here) {
		return ""
	}
	return path
}

// parse reads NAME=VALUE, each ended by a NUL byte. Of a name that stands
// twice the first counts, as for getenv(3) and for Go's os.Getenv.
func parse(environ string) map[string]string {
	env := map[string]string{}
	for entry := range strings.SplitSeq(environ, "\x00") {
		name, value, ok := strings.Cut(entry, "=")
		if _, twice := env[name]; ok && name != "" && !twice {
			env[name] = value
		}
	}
	return env
}

// Blnk finds the process that runs blnk: this one, or one that it or its
// children started. false where there is none.
func Blnk(pid int) (Process, bool) { return blnkBelow(pid, 4) }

func blnkBelow(pid, depth int) (Process, bool) {
	if blnk, _ := runs(pid); blnk {
		return Look(pid)
	}
	if depth == 1 {
		return Process{}, false
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // gone: none
	for child := range strings.FieldsSeq(string(children)) {
		n, _ := strconv.Atoi(child)
		if p, ok := blnkBelow(n, depth-1); ok {
			return p, true
		}
	}
	return Process{}, false
}

// runs says whether a process runs blnk, and whether any program: a part of the kernel
// has none.
func runs(pid int) (blnk, any bool) {
	dir := fmt.Sprintf("/proc/%d", pid)
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, false
	}
	args, _ := given(dir, "cmdline")
	name, _, _ := strings.Cut(string(args), "\x00")
	return filepath.Base(exe) == "blnk" || filepath.Base(name) == "blnk", exe+name != ""
}
