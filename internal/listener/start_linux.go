package listener

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// StartOf tells when a process was started, so that it is known again: its PID
// may be another's after its end. "" where it has ended, also where nobody has
// waited for it yet.
func StartOf(pid int) string {
	// Field 22 of proc_pid_stat(5): ticks since the boot.
	fields := stat(fmt.Sprintf("/proc/%d", pid))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it the ticks have to do
	return strings.TrimSpace(string(boot)) + "/" + fields[19]
}

// Started is when that was, to a second; zero where it is not known.
func Started(pid int) time.Time {
	const ticks = 100 // of a second, whatever the kernel counts in: USER_HZ of proc_pid_stat(5)
	_, since, _ := strings.Cut(StartOf(pid), "/")
	n, err := strconv.ParseInt(since, 10, 64)
	stat, _ := os.ReadFile("/proc/stat")
	_, boot, ok := strings.Cut(string(stat), "\nbtime ")
	boot, _, _ = strings.Cut(boot, "\n")
	seconds, failed := strconv.ParseInt(boot, 10, 64)
	if err != nil || failed != nil || !ok {
		return time.Time{}
	}
	return time.Unix(seconds+n/ticks, 0)
}
