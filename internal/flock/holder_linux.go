package flock

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// holder finds who holds the lock of f: /proc/locks (proc_locks(5)) has a line
// for each lock,
//
//	1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF
//
// with the holder's PID and major:minor:inode of the file, the first two in
// hexadecimal. A holder in a PID namespace that we cannot see is not listed.
func holder(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	st := info.Sys().(*syscall.Stat_t)
	locks, _ := os.ReadFile("/proc/locks")
	pid := findHolder(string(locks), fmt.Sprintf("%02x:%02x", unix.Major(st.Dev), unix.Minor(st.Dev)), st.Ino)
	if pid <= 0 {
		return ""
	}
	return describe(pid)
}

// findHolder returns the PID of the FLOCK on device:inode. Where the file
// system shows another device to stat(2) than the kernel uses (btrfs, some
// overlays), the only lock on that inode number is it.
func findHolder(locks, device string, inode uint64) int {
	ino := strconv.FormatUint(inode, 10)
	sameInode := []int{}
	for line := range strings.Lines(locks) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" {
			continue // a waiter has "->" in front of FLOCK
		}
		pid, err := strconv.Atoi(fields[4])
		dev, ok := strings.CutSuffix(fields[5], ":"+ino)
		if err != nil || !ok {
			continue
		}
		if dev == device {
			return pid
		}
		sameInode = append(sameInode, pid)
	}
	if len(sameInode) == 1 {
		return sameInode[0]
	}
	return 0
}

// describe names a process for people: its program and first argument. The
// rest of a command line is nobody's business here, it may be long or hold
// what should not be repeated.
func describe(pid int) string {
	cmdline, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	args := strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
	if err != nil || args[0] == "" {
		return fmt.Sprintf("PID %d", pid)
	}
	text := fmt.Sprintf("%.40s", filepath.Base(args[0]))
	if len(args) > 1 && args[1] != "" && args[1][0] != '-' {
		text += fmt.Sprintf(" %.40s", args[1])
		args = args[1:]
	}
	if len(args) > 1 {
		text += " …"
	}
	return fmt.Sprintf("PID %d (%s)", pid, strings.Join(strings.Fields(text), " ")) // one line
}
