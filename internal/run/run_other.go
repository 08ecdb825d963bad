//go:build !linux

package run

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// nameless: no other system has this.
func nameless(string) (*os.File, error) { return nil, errors.ErrUnsupported }

// startOf says when a process was started; "" where there is none.
func startOf(pid int) string {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	state, start, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || strings.HasPrefix(state, "Z") {
		return ""
	}
	return strings.TrimSpace(start)
}
