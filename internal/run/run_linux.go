package run

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// nameless makes a file that never has a name, so that not even a kill leaves
// one. Some file systems cannot.
func nameless(dir string) (*os.File, error) {
	const tmpfile = 0x400000 | syscall.O_DIRECTORY // O_TMPFILE (open(2)), which package syscall lacks
	return os.OpenFile(dir, os.O_RDWR|os.O_APPEND|tmpfile, 0o600)
}

// startOf says which boot and which clock tick of it a process was started at;
// "" where there is no such process, or only a dead one that nobody waited for.
func startOf(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	boot, bootErr := os.ReadFile("/proc/sys/kernel/random/boot_id")
	// The name, in parentheses, may hold anything (proc_pid_stat(5)).
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if err != nil || bootErr != nil || len(fields) < 20 || fields[0][0] == 'Z' {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + string(fields[19])
}
