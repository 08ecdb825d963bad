package restart

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/secret"
)

// An Observer tells of the processes behind a driver as they are now: asked
// (/proc, inspect, systemctl show, compose config), never worked out.
type Observer interface {
	Processes(ctx context.Context) ([]Process, error)
}

// A Process is one that a driver restarts, or has seen beside those. Env and
// Next may hold keys: it is never printed.
type Process struct {
	// Name is for people ("container server", "unit blnk.service"); Aliases are
	// other names of it.
	Name    string
	Aliases []string
	// Restarts says that the driver restarts it; else it was merely seen. Reference
	// is that of a driver that does, "" where none is known.
	Restarts  bool
	Reference string
	// Server and Workers are what its command line runs of Blnk; neither, where
	// that does not tell.
	Server, Workers bool
	PID             int
	// Start changes with each start.
	Start string
	// Env is what it was started with; nil where that cannot be read.
	Env map[string]string
	// Texts are other places where a key may stand that it was started with, by what
	// people call them ("its command").
	Texts map[string]string
	// Fixed is the error of a variable of Env, or one of Texts, that no restart
	// changes; nil where one may. The func is nil where that is not known.
	Fixed func(what string) error
	// Config is the blnk.json that it reads, by its path on this host; "" where
	// that is not known.
	Config string
	// Isolated says that of this host's files it sees only those below Mounts.
	Isolated bool
	Mounts   []string
	// User is as whom it is to be started where it does not run, USER or USER:GROUP, and
	// Dir in which folder, as its unit or container says; "" where not known, or it runs.
	User, Dir string
	// Next is the environment that the tool itself says a restart will give it;
	// nil where Env stays, or that is not known.
	Next map[string]string
	// EnvFiles are those that the tool names for it.
	EnvFiles []string
	// ExecStore says that "blnkctl exec" sets its key at each start.
	ExecStore bool
	// Scripted says that more than Blnk itself starts it (a script, a command
	// before it), which may bring a file or a variable of its own: what it will
	// read shows only afterwards.
	Scripted bool
	// Remarks are what a person should know of it before a restart; Cautions, in
	// the result too.
	Remarks, Cautions []string
}

// ExecMark is a variable of a process that "blnkctl exec" started. It says, as
// NAME=REFERENCE, which variable holds the key and which store it came from: a
// rotation need not fear that this variable wins over the store, since it is
// read again at each start.
const ExecMark = "BLNKCTL_EXEC"

// WritesOpen is what a service does that brings the stock blnk.json: of all that may be
// said of it, the same words.
const WritesOpen = "writes a blnk.json that lets everybody in where the file is missing"

// ExecVariable is the variable that ExecMark names; "" where exec did not start
// the process.
func (p *Process) ExecVariable() string {
	name, _, _ := strings.Cut(p.Env[ExecMark], "=")
	return name
}

// Coming is the environment that a restart gives it, as far as that is known: what
// the tool says, else what it has.
func (p *Process) Coming() map[string]string {
	if p.Next != nil {
		return p.Next
	}
	return p.Env
}

// Format writes the name, whatever the verb.
func (p Process) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.Name) }

// Place names a process as its successor will be named, too: without its PID, where its
// folder is known.
func (p Process) Place() string {
	if !strings.HasPrefix(p.Name, "PID ") || p.Config == "" {
		return p.Name
	}
	role := map[bool]string{true: "blnk workers", false: "blnk start"}[p.Workers]
	return role + " in " + filepath.Dir(p.Config)
}

// Rights are by what it is let read a file: those of pid, which runs as it, or of User
// where that is 0. false where they are not known: a container's names are its image's.
func (p *Process) Rights(pid int) (r listener.Rights, ok bool) {
	if pid > 0 {
		return listener.RightsOf(pid)
	}
	name, group, _ := strings.Cut(p.User, ":")
	groups := []string{group}
	if of, err := user.Lookup(name); err == nil && !p.Isolated {
		ids, _ := of.GroupIds()
		name, groups = of.Uid, append([]string{group, of.Gid}, ids...)
	}
	if g, err := user.LookupGroup(group); err == nil && !p.Isolated {
		groups[0] = g.Gid
	}
	uid, err := strconv.Atoi(name)
	for _, id := range groups {
		if gid, err := strconv.Atoi(id); err == nil {
			r.Groups = append(r.Groups, gid)
		}
	}
	r.UID, r.ReadsAll = uid, uid == 0 && err == nil
	return r, err == nil
}

// Look fills in what /proc tells of the Blnk that runs as pid, or that was
// started by it: where none is found, of pid itself.
func (p *Process) Look(pid int) {
	seen, isBlnk := listener.Blnk(pid)
	if !isBlnk {
		seen, _ = listener.Look(pid)
		if isShell(filepath.Base(seen.Exe)) && RoleOf(seen.Args...).Blnk() { // it may set variables before it starts Blnk
			seen.Env = nil
		}
	}
	p.PID, p.Env, p.Texts = pid, seen.Env, map[string]string{"its command": strings.Join(seen.Args, " ")}
	role := RoleOf(seen.Args...)
	p.Server, p.Workers, p.ExecStore = role.Server, role.Workers, role.ExecStore
	if isBlnk && seen.Dir != "" && seesFile(seen) {
		p.Config = filepath.Join(seen.Dir, blnk.FileName)
	}
}

// Holds says that a text is a key, or holds it in one of its shapes: that only of
// a key that is long enough to be no usual word.
func Holds(text string, key secret.Key) bool {
	const long = 16
	value := key.Reveal()
	return value != "" && (text == value || len(value) >= long && slices.ContainsFunc(key.Encodings(), func(shape string) bool { return strings.Contains(text, shape) }))
}

// seesFile says that by the path of its blnk.json a process sees the file that
// is there for us: another one may be mounted over it.
func seesFile(p listener.Process) bool {
	its, err := os.Stat(filepath.Join("/proc", strconv.Itoa(p.PID), "cwd", blnk.FileName))
	here, missing := os.Stat(filepath.Join(p.Dir, blnk.FileName))
	return err != nil || missing == nil && os.SameFile(its, here)
}

// ReadConfig returns the text of Config as it is now; nil where that is not
// known, or cannot be read. It may hold keys.
func (p *Process) ReadConfig() []byte {
	text, err := textfile.Glance(p.Config, textfile.MaxSize)
	if err != nil {
		return nil
	}
	return text
}
