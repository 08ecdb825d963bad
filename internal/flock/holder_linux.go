package flock

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/sys/unix"
)

// holder finds who holds the lock of f: /proc/locks (proc_locks(5)) has a line
// for each lock,
//
//	1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF
//
// with the holder's PID and major:minor:inode of the file, the first two in
// hexadecimal. A holder in a PID namespace that we cannot see is not listed.
func holder(f *os.File) (pid int, name string) {
	info, err := f.Stat()
	if err != nil {
		return 0, ""
	}
	st := info.Sys().(*syscall.Stat_t)
	locks, _ := os.ReadFile("/proc/locks")
	pid = findHolder(string(locks), fmt.Sprintf("%02x:%02x", unix.Major(st.Dev), unix.Minor(st.Dev)), st.Ino)
	if pid <= 0 {
		return 0, ""
	}
	return pid, describe(pid)
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
	args := bytes.Split(bytes.TrimSuffix(cmdline, []byte{0}), []byte{0})
	if err != nil || len(args[0]) == 0 {
		return fmt.Sprintf("PID %d", pid)
	}
	text := printable(filepath.Base(string(args[0])))
	if len(args) > 1 && len(args[1]) > 0 && args[1][0] != '-' {
		text += " " + printable(string(args[1]))
		args = args[1:]
	}
	if len(args) > 1 {
		text += " …"
	}
	return fmt.Sprintf("PID %d (%s)", pid, text)
}

// printable keeps a foreign text from steering the terminal.
func printable(s string) string {
	const most = 40
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
