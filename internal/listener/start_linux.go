package listener

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// StartOf tells when a process was started, so that it is known again: its PID
// may be another's after its end. "" where it has ended, also where nobody has
// waited for it yet.
func StartOf(pid int) string {
	// Field 22 of proc_pid_stat(5), counted behind the program's name, which may hold
	// anything: ticks since the boot.
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it the ticks have to do
	return strings.TrimSpace(string(boot)) + "/" + fields[19]
}
