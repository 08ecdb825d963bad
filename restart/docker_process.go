package restart

import (
	"fmt"
	"os"
	"strings"
)

// environNow is the environment of the Blnk that runs in the container by now:
// a script that starts it may have set more than the container was made with.
// false where it cannot be seen, which takes root on the engine's own host.
func (c *container) environNow() (map[string]string, bool) {
	proc := fmt.Sprintf("/proc/%d", c.State.Pid)
	group, err := os.ReadFile(proc + "/cgroup")
	if err != nil || !strings.Contains(string(group), c.ID) {
		return nil, false // the PID of another process, as another PID namespace counts
	}
	return environBelow(c.State.Pid, 3)
}

// environBelow looks for blnk in a process and in those that it started.
func environBelow(pid, depth int) (map[string]string, bool) {
	proc := fmt.Sprintf("/proc/%d", pid)
	if name, err := os.ReadFile(proc + "/comm"); err != nil || depth == 0 {
		return nil, false
	} else if strings.TrimSpace(string(name)) == "blnk" {
		text, err := os.ReadFile(proc + "/environ")
		return variables(strings.Split(string(text), "\x00")), err == nil
	}
	children, err := os.ReadFile(fmt.Sprintf("%s/task/%d/children", proc, pid))
	if err != nil {
		return nil, false
	}
	for _, child := range strings.Fields(string(children)) {
		var n int
		if _, err := fmt.Sscan(child, &n); err != nil {
			continue
		}
		if vars, ok := environBelow(n, depth-1); ok {
			return vars, true
		}
	}
	return nil, false
}
