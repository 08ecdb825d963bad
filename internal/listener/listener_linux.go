package listener

import (
	"bytes"
	"errors"
	"fmt"
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
	pids, err := processes()
	if err != nil {
		return nil, err
	}
	all := make(map[string]bool, sockets)
	for link := range unseen {
		all[link] = true
	}
	var found []Process
	var closed error // of a process that may not be looked at
	for _, pid := range pids {
		held, err := heldBy(pid, all)
		if errors.Is(err, fs.ErrPermission) {
			closed = err
		}
		if len(held) == 0 {
			continue
		}
		for _, link := range held {
			delete(unseen, link)
		}
		if p, ok := Look(pid); ok {
			found = append(found, p)
		}
	}
	if len(unseen) > 0 && closed != nil {
		return found, closed
	}
	return found, nil
}

// processes are the IDs of all processes, in their order.
func processes() (pids []int, err error) {
	names, err := os.ReadDir("/proc")
	for _, name := range names {
		if pid, err := strconv.Atoi(name.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, err
}

// heldBy returns those of the sockets that the process has open.
func heldBy(pid int, sockets map[string]bool) ([]string, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var held []string
	for _, fd := range fds {
		link, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if errors.Is(err, fs.ErrPermission) {
			return held, err // it is the same for all of them
		}
		if err == nil && sockets[link] {
			held = append(held, link)
		}
	}
	return held, nil
}

// Look reads what is known of a process; false where it is gone.
func Look(pid int) (Process, bool) {
	p, dir := Process{PID: pid}, fmt.Sprintf("/proc/%d", pid)
	var errs [3]error
	p.Exe, errs[0] = os.Readlink(filepath.Join(dir, "exe"))
	p.Dir, errs[1] = Folder(pid)
	var env []byte
	env, errs[2] = os.ReadFile(filepath.Join(dir, "environ"))
	if errs[2] == nil {
		p.Env = parse(string(env))
	}
	args, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // where it fails, so has another one
	p.Args = strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")
	stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
	// Behind the program's name, which may hold anything: field 22 (proc_pid_stat(5)).
	if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 19 {
		p.Start = fields[19]
	}
	p.Err = errors.Join(errs[:]...)
	return p, !errors.Is(p.Err, fs.ErrNotExist)
}

// Blnk finds the process that runs blnk: this one, or one that it or its
// children started. false where there is none.
func Blnk(pid int) (Process, bool) { return blnkBelow(pid, 4) }

func blnkBelow(pid, depth int) (Process, bool) {
	if p, ok := Look(pid); !ok || depth == 0 {
		return p, false
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

// All returns every process of this host that runs blnk, as far as this user
// may see.
func All() (found []Process) {
	pids, _ := processes() // without /proc there are none
	for _, pid := range pids {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil || strings.TrimSpace(string(name)) != "blnk" {
			continue
		}
		if p, ok := Look(pid); ok {
			found = append(found, p)
		}
	}
	return found
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
