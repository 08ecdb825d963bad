package restart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
)

// A unitProcess is the main process of a unit, as far as this user may look at
// it; without one, what the unit would start.
type unitProcess struct {
	role   role
	argv   []string
	dir    string // its working directory; "" where that is not known
	asUnit string // that which the unit sets; "" where it sets none
}

func (st unitState) process() unitProcess {
	p := unitProcess{
		role:   roleOf(st.values("ExecStart")),
		asUnit: strings.TrimPrefix(st.value("WorkingDirectory"), "!"), // "!": it may be missing
	}
	if st.MainPID == 0 {
		return p
	}
	proc := fmt.Sprintf("/proc/%d", st.MainPID)
	if text, err := os.ReadFile(proc + "/cmdline"); err == nil {
		p.argv = strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
	}
	if !p.role.runsBlnk() { // a script that becomes Blnk
		p.role = roleOf(p.argv)
	}
	// In a root of its own a process may mean something else by the same path.
	if dir, err := os.Readlink(proc + "/cwd"); err == nil && sameFolder(proc+"/cwd", dir) {
		p.dir = dir
	}
	return p
}

// config is the blnk.json that the process reads; "" where that is not known:
// it is no Blnk itself (a script or a container's client), or it runs in
// another directory than the unit would start it in.
func (p unitProcess) config() string {
	dir := p.dir
	if dir == "" && filepath.IsAbs(p.asUnit) {
		dir = p.asUnit
	}
	if len(p.argv) == 0 || filepath.Base(p.argv[0]) != "blnk" || dir == "" || filepath.IsAbs(p.asUnit) && !samePath(p.asUnit, dir) {
		return ""
	}
	return filepath.Join(dir, blnk.FileName)
}

func sameFolder(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
