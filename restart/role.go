package restart

import (
	"path"
	"slices"
	"strings"
)

// A role is what a command line runs of Blnk.
type role struct {
	server, workers, migrates bool
	// execs: "blnkctl exec" runs it, which sets the key itself.
	execs bool
	// more: it runs other things, too, which may bring a file or a variable, or
	// change the folder that Blnk starts in.
	more bool
}

// runsBlnk says that it is a server or workers.
func (r role) runsBlnk() bool { return r.server || r.workers }

// starters run what stands behind them, and bring nothing.
var starters = []string{"exec", "-c", "-ec", "--", "tini", "dumb-init", "docker-init"}

// idle are programs that bring nothing either, and end.
var idle = []string{"sleep", "echo", "test", "[", "true"}

// roleOf reads a command line, also one that a shell reads, and what systemctl
// shows of one.
func roleOf(argv []string) role {
	apart := strings.NewReplacer(";", " ; ", "&", " ; ", "|", " ; ", "\n", " ; ", "(", " ; ", ")", " ; ", `"`, " ", "'", " ", "argv[]=", " ; ")
	var r role
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
			r.more = r.more || !slices.Contains(idle, word)
		case inside == "blnkctl" && word == "exec":
			r.execs, inside = true, ""
		case inside != "blnk":
		case word == "start":
			r.server, inside = true, ""
		case word == "workers":
			r.workers, inside = true, ""
		case word == "migrate":
			r.migrates, inside = true, ""
		}
		first = false
	}
	return r
}

func isShell(program string) bool {
	return slices.Contains([]string{"sh", "ash", "dash", "bash", "busybox"}, program)
}
