package restart

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/listener"
)

// role is what the unit runs of Blnk: its command tells, or that of its main
// process, where it starts a script that becomes Blnk.
func (st unitState) role() role {
	r := roleOf(st.values("ExecStart"))
	if r.runsBlnk() || st.MainPID == 0 {
		return r
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", st.MainPID)) // unreadable: not known
	return roleOf(strings.Split(string(text), "\x00"))
}

// config is the blnk.json that the unit's process reads; "" where that is not
// known.
func (st unitState) config() string {
	dir, ok := st.folder()
	if !ok || !st.startsBlnk() {
		return ""
	}
	file := filepath.Join(dir, blnk.FileName)
	if st.MainPID == 0 {
		return file
	}
	// One that is mounted over the file is another one than that of this path.
	its, err := os.Stat(fmt.Sprintf("/proc/%d/cwd/%s", st.MainPID, blnk.FileName))
	if here, missing := os.Stat(file); err == nil && (missing != nil || !os.SameFile(its, here)) {
		return ""
	}
	return file
}

// startsBlnk says that the unit's command is Blnk itself, no script and no client
// of a container engine, and that nothing before it could bring a file.
func (st unitState) startsBlnk() bool {
	for _, command := range st.values("ExecStart") { // "{ path=/usr/bin/blnk ; argv[]=…"
		path, _, _ := strings.Cut(strings.TrimPrefix(command, "{ path="), " ")
		if filepath.Base(path) != "blnk" {
			return false
		}
	}
	return !slices.ContainsFunc(st.values("ExecStartPre"), func(command string) bool { return !roleOf([]string{command}).migrates })
}

// folder is where the unit's process runs, or will: false where that is not
// known, or where the path means another folder to it than here.
func (st unitState) folder() (string, bool) {
	set := strings.TrimPrefix(st.value("WorkingDirectory"), "!") // "!": it may be missing
	if st.MainPID > 0 {
		dir, err := listener.Folder(st.MainPID)
		if errors.Is(err, listener.ErrElsewhere) {
			return "", false
		}
		if err == nil {
			// Started in another one than it has: a restart may bring it there.
			next, err := filepath.EvalSymlinks(set)
			return dir, !filepath.IsAbs(set) || err == nil && next == dir
		}
	}
	own := slices.ContainsFunc([]string{"RootDirectory", "RootImage", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem"},
		func(name string) bool { return st.value(name) != "" })
	return set, filepath.IsAbs(set) && !own
}
