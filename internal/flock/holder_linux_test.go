package flock

import (
	"os"
	"strings"
	"testing"
)

// Lines as a real /proc/locks shows them.
const procLocks = `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF
1: -> FLOCK  ADVISORY  WRITE 4712 fe:00:1234 0 EOF
2: POSIX  ADVISORY  WRITE 4713 fe:00:1235 0 EOF
3: FLOCK  ADVISORY  WRITE 4714 00:2f:1235 0 EOF
4: OFDLCK ADVISORY  READ  -1 fe:00:1236 0 EOF
5: FLOCK  ADVISORY  WRITE 4715 00:30:77 0 EOF
6: FLOCK  ADVISORY  WRITE 4716 00:31:77 0 EOF
7: FLOCK
`

func TestFindHolder(t *testing.T) {
	for _, tt := range []struct {
		device string
		inode  uint64
		want   int
	}{
		{"fe:00", 1234, 4711},
		{"00:2f", 1235, 4714},
		{"00:99", 1235, 4714}, // another device number, but the only one
		{"00:31", 77, 4716},
		{"00:99", 77, 0}, // either of two
		{"fe:00", 1236, 0},
		{"fe:00", 4711, 0},
	} {
		if got := findHolder(procLocks, tt.device, tt.inode); got != tt.want {
			t.Errorf("%s:%d: PID %d, want %d", tt.device, tt.inode, got, tt.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	if got := describe(os.Getpid()); !strings.Contains(got, "flock.test") {
		t.Errorf("our own process is %q", got)
	}
	const none = 1 << 30 // beyond the largest PID (proc_sys_kernel(5), pid_max)
	if got := describe(none); got != "PID 1073741824" {
		t.Errorf("no process: %q", got)
	}
}
