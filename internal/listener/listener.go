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
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrElsewhere: a process sees other file systems than this one.
var ErrElsewhere = errors.New("its folder is not that of this path here")

// A Process is what can be known of one. It prints itself without its
// environment and command line, which may hold keys.
type Process struct {
	// PID is its process ID.
	PID int
	// Exe is the path of its program; "" where that may not be read.
	Exe string
	// Args is its command line.
	Args []string `json:"-"`
	// Start is what StartOf says of it.
	Start string
	// Dir is its working directory; "" where that may not be read, or is another
	// one than that of this path here.
	Dir string
	// Env is the environment it was started with; nil where that may not be
	// read.
	Env map[string]string `json:"-"`
	// Err says why Exe, Dir or Env is missing; nil where all could be read.
	Err error `json:"-"`
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

// LogValue is what String returns.
func (p Process) LogValue() slog.Value { return slog.StringValue(p.String()) }

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

// Runs says whether it still runs.
func (m Mark) Runs() bool { return StartOf(m.PID) == m.Start }

// Listens says whether it still waits for connections, on whatever port of its
// network.
func (m Mark) Listens() bool {
	sockets, err := listening(fmt.Sprintf("/proc/%d", m.PID), "")
	held, _ := heldBy(m.PID, sockets)
	return err == nil && len(held) > 0
}

// Find returns the processes that listen on the TCP port, on any address, in
// the order of their PIDs. Several share a socket where a server forks.
//
// Nobody listening is no error. A listener that this user may not look at is
// an error that wraps fs.ErrPermission, together with the processes that could
// be seen. A process that ends meanwhile is left out.
func Find(port int) (found []Process, err error) {
	sockets, err := listening("/proc", fmt.Sprintf(":%04X", port))
	if err != nil || len(sockets) == 0 {
		return nil, err
	}
	var mu sync.Mutex
	var closed error // of a process that may not be looked at
	seen := map[string]bool{}
	look := func(pid int) {
		held, err := heldBy(pid, sockets)
		var p Process
		ok := false
		if len(held) > 0 { // of few: looking at one costs more than at its descriptors
			p, ok = Look(pid)
		}
		mu.Lock()
		defer mu.Unlock()
		if errors.Is(err, fs.ErrPermission) {
			closed = fmt.Errorf("find who listens on port %d: %w", port, err)
		}
		for _, link := range held {
			seen[link] = true
		}
		if ok {
			found = append(found, p)
		}
	}
	// A host has hundreds: they are shared out, since the kernel takes its time for
	// each.
	pids := processes()
	var workers sync.WaitGroup
	for first, step := 0, min(runtime.GOMAXPROCS(0), 4); first < step; first++ {
		workers.Go(func() {
			for i := first; i < len(pids); i += step {
				look(pids[i])
			}
		})
	}
	workers.Wait()
	slices.SortFunc(found, func(a, b Process) int { return a.PID - b.PID })
	if len(seen) == len(sockets) {
		closed = nil
	}
	return found, closed
}

// listening returns the sockets that listen on an address with this end, as the links
// of /proc/PID/fd show them (proc_pid_net(5)).
func listening(proc, end string) (map[string]bool, error) {
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
			if column[3] == listens && strings.HasSuffix(column[1], end) {
				sockets["socket:["+column[9]+"]"] = true
			}
		}
		err = lines.Err()
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("find who listens: %w", err)
		}
	}
	return sockets, nil
}

// processes are the IDs of all processes.
func processes() (pids []int) {
	names, _ := os.ReadDir("/proc") // where there is none, there is nothing to see
	for _, name := range names {
		if pid, err := strconv.Atoi(name.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
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
func Look(pid int) (Process, bool) {
	p, dir := Process{PID: pid}, fmt.Sprintf("/proc/%d", pid)
	var errs [3]error
	var env []byte
	p.Exe, errs[0] = os.Readlink(filepath.Join(dir, "exe"))
	p.Dir, errs[1] = folder(dir)
	if env, errs[2] = os.ReadFile(filepath.Join(dir, "environ")); errs[2] == nil {
		p.Env = parse(string(env))
	}
	args, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // where it fails, so has another one
	p.Args = strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")
	p.Start = StartOf(pid)
	p.Err = errors.Join(errs[:]...)
	return p, !errors.Is(p.Err, fs.ErrNotExist)
}

// folder is the working directory of a process, where its path means the same
// here: a process in a container, or in a root of its own, may have another
// folder by that path, which is ErrElsewhere.
func folder(proc string) (string, error) {
	link := filepath.Join(proc, "cwd")
	path, err := os.Readlink(link)
	if err != nil {
		return "", err
	}
	its, err := os.Stat(link)
	if err != nil {
		return "", err
	}
	if here, err := os.Stat(path); err != nil || !os.SameFile(its, here) {
		return "", ErrElsewhere
	}
	return path, nil
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
	if p, ok := Look(pid); !ok || depth == 0 {
		return Process{}, false
	} else if filepath.Base(p.Exe) == "blnk" || filepath.Base(p.Args[0]) == "blnk" {
		return p, true
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

// AllBlnk are the processes of this host that run blnk.
func AllBlnk() (found []Process) {
	for _, pid := range processes() {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		name, _, _ := strings.Cut(string(args), "\x00")
		if filepath.Base(exe) != "blnk" && filepath.Base(name) != "blnk" {
			continue
		}
		if p, ok := Look(pid); ok {
			found = append(found, p)
		}
	}
	return found
}
