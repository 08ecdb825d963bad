package listener

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of sys/proc.h.
const zombie = 5

// StartOf tells when a process was started, so that it is known again: its PID
// may be another's after its end. "" where it has ended, also where nobody has
// waited for it yet.
func StartOf(pid int) string {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || p.Proc.P_stat == zombie {
		return ""
	}
	return fmt.Sprintf("%d.%06d", p.Proc.P_starttime.Sec, p.Proc.P_starttime.Usec)
}

// Started is when that was, to a second; zero where it is not known.
func Started(pid int) time.Time {
	seconds, _, _ := strings.Cut(StartOf(pid), ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// Owner is not known here.
func Owner(netip.AddrPort) (uid int, ok bool) { return 0, false }
