package reach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/restart"
)

// Readers are what reads a file of the stores, or may, one for each user.
func (l Look) Readers(ctx context.Context, path string) (readers []exposure.Reader) {
	seen, _ := Observe(ctx, l.Drivers, l.Servers) // what cannot be asked is found in /proc
	certain, maybe := Readers(seen.Processes, path)
	for _, r := range append(certain, maybe...) {
		if !slices.ContainsFunc(readers, func(o exposure.Reader) bool { return o.UID == r.UID }) {
			readers = append(readers, r)
		}
	}
	return readers
}

// Readers are which of some processes, and of all other Blnks of this host, read a file
// at their start, each once: Blnk itself a blnk.json, and what blnkctl exec became the
// file that it was given. Of one that does not run it is the user that it is to be started
// as. maybe are those that may not be looked at, so that they might.
func Readers(of []restart.Process, path string) (certain, maybe []exposure.Reader) {
	all, known := slices.DeleteFunc(slices.Clone(of), func(p restart.Process) bool { return !p.Server && !p.Workers }), map[int]bool{}
	for _, pid := range listener.Scan().Blnk {
		p := restart.Process{Name: "PID " + strconv.Itoa(pid)}
		p.Look(pid)
		all = append(all, p)
	}
	for _, p := range all {
		pid := p.PID
		if inner, ok := listener.Blnk(pid); ok && pid > 0 {
			pid = inner.PID
		}
		rights, ok := p.Rights(pid)
		reads, unseen := readsFile(p, path)
		switch {
		case pid > 0 && (!ok || known[pid]), pid <= 0 && p.User == "", !reads && !unseen:
			continue // it ended, or is known; or nothing is
		case !ok:
			rights.UID = exposure.Unknown
		}
		if known[pid] = true; strings.HasPrefix(p.Name, "PID ") {
			p.Name = fmt.Sprintf("Blnk (PID %d)", pid)
		}
		if r := (exposure.Reader{Name: p.Name, Rights: rights}); reads {
			certain = append(certain, r)
		} else {
			maybe = append(maybe, r)
		}
	}
	return certain, maybe
}

// readsFile says whether a process reads a file at its start; unseen, that this is not
// known.
func readsFile(p restart.Process, path string) (reads, unseen bool) {
	is := func(file string) bool { return file != "" && textfile.Same(file, path) }
	if slices.ContainsFunc(p.Mounts, is) {
		return true, false
	}
	if filepath.Base(path) != blnk.FileName {
		_, from, _ := strings.Cut(p.Env[restart.ExecMark], "=")
		return p.ExecStore || strings.Contains(from, path), false
	}
	if p.PID <= 0 {
		return is(p.Config) || is(filepath.Join(p.Dir, blnk.FileName)), false
	}
	its, err := os.Stat(filepath.Join("/proc", strconv.Itoa(p.PID), "cwd", blnk.FileName))
	here, missing := os.Stat(path)
	switch {
	case err == nil && missing == nil:
		return os.SameFile(its, here), false
	case errors.Is(err, fs.ErrPermission) && !is(p.Config):
		return false, true
	default:
		return is(p.Config), false
	}
}
