// Package listener finds the processes of this host that listen on a TCP port,
// and the environment that they were started with: what a restarted server
// will see, where the restart driver cannot tell.
//
// It reads /proc and is for Linux only; elsewhere Find answers
// errors.ErrUnsupported. It does not promise that a process found is the
// server itself (with a published port of a container it is the proxy of the
// container engine), that it sees into other network namespaces, or that the
// environment is still what the process uses: it is the one it was started
// with.
package listener

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// ErrElsewhere: a process sees other file systems than this one.
var ErrElsewhere = errors.New("its folder is not that of this path here")

// Folder is the working directory of a process, where its path means the same
// here: a process in a container, or in a root of its own, may have another
// folder by that path, which is ErrElsewhere. Without /proc there is an error
// always.
func Folder(pid int) (string, error) {
	link := fmt.Sprintf("/proc/%d/cwd", pid)
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

// A Process listens on the port. It prints itself without its environment,
// which may hold keys.
type Process struct {
	// PID is its process ID.
	PID int
	// Exe is the path of its program; "" where that may not be read.
	Exe string
	// Args is its command line, which may hold a key.
	Args []string `json:"-"`
	// Start is when it was started, in ticks since boot: with the PID it tells a
	// process from a later one of the same PID. "" where that is not known.
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
