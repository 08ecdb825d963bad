package restart

import (
	"path"
	"strings"
)

// A role is what a command line runs of Blnk.
type role struct {
	server, workers, migrates bool
	// moves says that it changes its working directory first: where Blnk looks
	// for its blnk.json is not known then.
	moves bool
	execs bool // under blnkctl exec, which sets the key itself
}

// runsBlnk says that it is a server or workers.
func (r role) runsBlnk() bool { return r.server || r.workers }

// roleOf reads a command line, also one that a shell reads.
func roleOf(argv []string) role {
	apart := strings.NewReplacer(";", " ; ", "&", " ; ", "|", " ; ", "\n", " ; ", "(", " ; ", ")", " ; ", `"`, " ", "'", " ")
	var r role
	inside := false // behind the word blnk, before its command
	for _, word := range strings.Fields(apart.Replace(strings.Join(argv, " "))) {
		switch {
		case word == "cd":
			r.moves = true
		case path.Base(word) == "blnkctl":
			r.execs = true
		case path.Base(word) == "blnk":
			inside = true
		case word == ";":
			inside = false
		case !inside:
		case word == "start":
			r.server, inside = true, false
		case word == "workers":
			r.workers, inside = true, false
		case word == "migrate":
			r.migrates, inside = true, false
		}
	}
	return r
}
