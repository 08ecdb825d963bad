package restart

import (
	"path"
	"slices"
	"strings"
)

// A Role is what a command line runs of Blnk.
type Role struct {
	Server, Workers, Migrates bool
	// ExecStore: "blnkctl exec" runs it, which sets the key itself.
	ExecStore bool
	// Other: it runs other things, too, which may bring a file or a variable, or
	// change the folder that Blnk starts in.
	Other bool
}

// Blnk says that it is a server or workers.
func (r Role) Blnk() bool { return r.Server || r.Workers }

// starters run what stands behind them, and bring nothing.
var starters = []string{"exec", "-c", "-ec", "--", "tini", "dumb-init", "docker-init"}

// idle are programs that bring nothing either, and end.
var idle = []string{"sleep", "echo", "test", "[", "true"}

// RoleOf reads a command line, also one that a shell reads, and what systemctl
// shows of one.
func RoleOf(argv ...string) Role {
	apart := strings.NewReplacer(";", " ; ", "&", " ; ", "|", " ; ", "\n", " ; ", "(", " ; ", ")", " ; ", `"`, " ", "'", " ", "argv[]=", " ; ")
	var r Role
	first, inside := true, "" // of a simple command; behind the word blnk or blnkctl, before its command
	for _, word := range strings.Fields(apart.Replace(strings.Join(argv, " "))) {
		program := path.Base(word)
		switch {
		case word == ";":
			first, inside = true, ""
			continue
		case first && (slices.Contains(starters, program) || isShell(program)):
			continue
		case program == "blnk" || program == "blnkctl":
			inside = program
		case inside == "" && first:
			r.Other = r.Other || !slices.Contains(idle, word)
		case inside == "blnkctl" && word == "exec":
			r.ExecStore, inside = true, ""
		case inside != "blnk":
		case word == "start":
			r.Server, inside = true, ""
		case word == "workers":
			r.Workers, inside = true, ""
		case word == "migrate":
			r.Migrates, inside = true, ""
		}
		first = false
	}
	return r
}

// isShell knows the programs that read a command line.
func isShell(program string) bool {
	return slices.Contains([]string{"sh", "ash", "dash", "bash", "busybox"}, program)
}
