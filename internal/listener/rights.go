package listener

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Rights are by what a process is let read a file.
type Rights struct {
	UID    int
	Groups []int // all that it has
	// ReadsAll: no mode keeps it out (CAP_DAC_OVERRIDE or CAP_DAC_READ_SEARCH).
	ReadsAll bool
}

// In says whether a group is one of its own.
func (r Rights) In(gid int) bool { return slices.Contains(r.Groups, gid) }

// RightsOf reads proc_pid_status(5), which everybody may; false where the process is gone.
// Of one in a user namespace they are those that it has outside.
func RightsOf(pid int) (r Rights, ok bool) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		var numbers []int
		for word := range strings.FieldsSeq(rest) {
			n, _ := strconv.Atoi(word)
			numbers = append(numbers, n)
		}
		switch {
		case name == "Uid" && len(numbers) == 4: // real, effective, saved, of the file system
			r.UID, ok = numbers[3], true
		case name == "Gid" && len(numbers) == 4:
			r.Groups = append(r.Groups, numbers[3])
		case name == "Groups":
			r.Groups = append(r.Groups, numbers...)
		case name == "CapEff":
			const override, search = 1 << 1, 1 << 2 // linux/capability.h
			set, _ := strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
			r.ReadsAll = set&(override|search) != 0
		}
	}
	r.ReadsAll = r.ReadsAll && sameUsers(pid, r.UID == 0)
	return r, ok
}

// sameUsers says whether a process is in our user namespace (user_namespaces(7)): in one of
// its own, its capabilities open no file of ours. unseen is the answer where that may not
// be looked at.
func sameUsers(pid int, unseen bool) bool {
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", pid))
	own, failed := os.Readlink("/proc/self/ns/user")
	if err != nil || failed != nil {
		return unseen
	}
	return its == own
}
