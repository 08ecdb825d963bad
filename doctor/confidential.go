package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/ownfile"
)

// written: files that are shared by their nature, and hold a key.
func written(ctx context.Context, f *Facts, r *Result) {
	project, err := f.project(ctx)
	r.unsure(err, f.unread(ctx, len(f.secrets(ctx))))
	r.saw(true)
	for _, l := range project.Spills {
		if l.Kind != "" {
			r.addSpill(l, "this "+l.Kind+" holds", "let it name an env file or a secret, and then: blnkctl rotate --compromised"+f.restarting(), project.Looked)
		}
	}
}

// addSpill is the finding of a file with a key. One that is not at hand may be alive
// elsewhere.
func (r *Result) addSpill(l spill, what, remedy, looked string) {
	if l.Own {
		r.add(l.Path, what+" a key that blnkctl made, of another server", "ask that server whether it is alive: blnkctl verify --server URL --key-file -",
			l.evidence(), looked).Severity = Warning
	} else {
		r.add(l.Path, what+" the key", remedy, l.evidence(), looked)
	}
}

// copies: files that no process is known to read, and no rotation changes.
func copies(ctx context.Context, f *Facts, r *Result) {
	project, err := f.project(ctx)
	files, unreached := f.keyFiles(ctx)
	r.unsure(f.searchable(ctx), err, unreached)
	r.saw(true)
	for _, file := range files {
		if !file.Copy {
			continue
		}
		gone := hint.Command("rm", "--", file.Path)
		remedy := "take the key out of it, or: " + gone
		if name := filepath.Base(file.Path); strings.HasSuffix(name, ".env") || strings.HasPrefix(name, ".env") {
			remedy = "name it where a server reads it (--store " + hint.Quote("dotenv:"+file.Path) + "), else: " + gone
		}
		r.addSpill(file.spill, "this copy, which no store names, holds", remedy, project.Looked)
	}
}

// typed: a key that was typed in a command stands in the shell's history.
func typed(ctx context.Context, f *Facts, r *Result) {
	homes := f.homes()
	for _, home := range homes {
		for _, name := range histories {
			l, err := f.inFile(ctx, filepath.Join(home, name))
			if r.saw(err == nil); err != nil && home == homes[0] && !errors.Is(err, fs.ErrNotExist) {
				r.unsure(err)
			}
			if l != nil {
				r.addSpill(*l, "this shell history holds", hint.Command("sed", "-i", l.lines("d;")+"d", l.Path),
					"looked at "+strings.Join(histories, ", ")+" of each home")
			}
		}
	}
	f.sought(ctx, r)
}

// sought is unsure where it is not known what a rule looked for, if it looked anywhere.
func (f *Facts) sought(ctx context.Context, r *Result) {
	if r.seen || r.err != nil {
		r.unsure(f.unread(ctx, len(f.secrets(ctx))))
	}
}

// homes are those of this user, which comes first, and of the others of passwd(5).
func (f *Facts) homes() (all []string) {
	for _, v := range f.Env {
		if home, ok := strings.CutPrefix(v, "HOME="); ok && filepath.IsAbs(home) {
			all = []string{home}
		}
	}
	for _, user := range accountsOf(passwd, 7) {
		if home := user[5]; len(home) > 1 && !slices.Contains(all, home) {
			all = append(all, home)
		}
	}
	return all
}

// inFile looks into a file by its path, behind links of ours and root's only.
func (f *Facts) inFile(ctx context.Context, path string) (*spill, error) {
	real, err := ownfile.Resolve(path)
	if err != nil {
		return nil, err
	}
	text, err := readFile(os.OpenFile(real, quietly, 0))
	return f.spillOf(ctx, path, text, true), err
}

// units: what stands in a unit's file, systemctl shows to every user.
func units(ctx context.Context, f *Facts, r *Result) {
	dirs := []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/etc/systemd/user"}
	for _, home := range f.homes() {
		dirs = append(dirs, filepath.Join(home, ".config/systemd/user"))
	}
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*.service"))
		dropIns, _ := filepath.Glob(filepath.Join(dir, "*.d", "*.conf"))
		for _, path := range append(files, dropIns...) {
			l, err := f.inFile(ctx, path)
			if r.saw(err == nil); !errors.Is(err, fs.ErrNotExist) { // else a link into nowhere, or of somebody who may not read it
				r.unsure(err)
			}
			if l != nil {
				r.addSpill(*l, "this unit file, which systemctl shows to every user, holds",
					"move it to a file of mode 0600 that EnvironmentFile= names, then: systemctl daemon-reload && blnkctl rotate --compromised"+f.restarting(),
					"looked at *.service and *.d/*.conf of "+strings.Join(dirs, ", "))
			}
		}
	}
	f.sought(ctx, r)
}

// arguments: every user of a host sees the arguments of every process.
func arguments(ctx context.Context, f *Facts, r *Result) {
	closed, at := false, map[string]*[]string{}
	for _, pid := range listener.All() {
		_, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		closed = closed || errors.Is(err, fs.ErrPermission)
		p, _ := listener.Look(pid)
		key, holds := f.keyIn(ctx, strings.Join(p.Args, " "))
		if !holds {
			continue
		}
		place := "process " + filepath.Base(p.Args[0])
		if _, holds := f.keyIn(ctx, p.Args[0]); holds {
			place = "process " + filepath.Base(p.Exe)
		}
		if at[place] == nil {
			at[place] = &[]string{key.Name()}
		}
		*at[place] = append(*at[place], "PID "+strconv.Itoa(pid))
	}
	for _, place := range slices.Sorted(maps.Keys(at)) {
		r.add(place, "has the key in its arguments, which every user of this host sees (ps)",
			"let it read the key from a file or the environment, and then: blnkctl rotate --compromised"+f.restarting(), *at[place]...)
	}
	r.saw(true)
	if r.unsure(f.searchable(ctx)); r.err != nil {
		return
	}
	if _, hidden := os.Stat("/proc/1"); hidden != nil || closed {
		r.unsure(errors.New("processes of other users are not seen here (hidepid, or no /proc)"))
	}
}

// inspected: docker inspect shows what a container was made with to whoever reaches the
// engine. The environment is a place that the guide names; so what counts is who that is.
func inspected(ctx context.Context, f *Facts, r *Result) {
	all, err := f.Docked(ctx)
	if err == nil {
		err = f.searchable(ctx)
	}
	if r.unsure(err); err != nil {
		return
	}
	var with []string
	for _, c := range all {
		r.saw(true)
		texts := c.Process("", "", false).Texts
		for _, what := range slices.Sorted(maps.Keys(texts)) {
			if key, holds := f.keyIn(ctx, texts[what]); holds {
				r.add("container "+c.Called(), "has the key in "+what+", which is no place for it",
					"recreate it with the key in an env file or in blnk.json, and then: blnkctl rotate --compromised"+f.restarting(), key.Name()).Severity = Error
			}
		}
		if _, holds := f.keyIn(ctx, strings.Join(c.Config.Env, "\n")); holds {
			with = append(with, c.Called())
		}
	}
	if len(with) == 0 {
		return
	}
	holds := "the key in the environment of container " + strings.Join(with, ", ")
	for _, c := range all {
		for _, m := range c.Mounts {
			if filepath.Base(m.Source) == "docker.sock" {
				r.add("container "+c.Called(), "has the socket of Docker, and so "+holds,
					"take the socket away from it, or let Blnk read its key from a mounted blnk.json instead", m.Source+" is mounted at "+m.Destination)
			}
		}
	}
	at, _ := f.engine().Endpoint(ctx)
	path := cmp.Or(strings.TrimPrefix(at, "unix://"), "/var/run/docker.sock")
	if info, err := os.Stat(path); err == nil && info.Mode()&0o006 != 0 { // else on another host, or for some only
		r.add(path, "every user of this host reaches Docker, and so has "+holds,
			hint.Command("chmod", "o=", path), fmt.Sprintf("mode %04o", info.Mode().Perm())).Severity = Error
	}
}

// environs: a process can read the environment of another of its own user.
func environs(ctx context.Context, f *Facts, r *Result) {
	users := accountsOf(passwd, 7)
	for _, pid := range listener.Scan().Blnk {
		p, _ := listener.Look(pid)
		rights, ok := listener.RightsOf(pid)
		if !ok || rights.UID == 0 || isPerson(users, rights.UID) { // whose programs are all that person's
			continue
		}
		if p.Env == nil {
			r.unsure(fmt.Errorf("the environment of %s is not known: it may not be read by this user", p))
			continue
		}
		r.saw(true)
		for name, value := range p.Env {
			if _, holds := f.keyIn(ctx, value); !holds {
				continue
			}
			if others := besides(pid, rights); len(others) > 0 {
				r.add(fmt.Sprintf("user %d", rights.UID), "other services run as the user of Blnk, and can read the key in /proc/PID/environ: "+strings.Join(others, ", "),
					"let Blnk run as a user of its own (User= of its unit, user: of its service)", fmt.Sprintf("%s has it in %s", p, name))
			}
		}
	}
	if r.seen || r.err != nil {
		r.unsure(f.searchable(ctx))
	}
}

// isPerson says whether passwd(5) has a shell for a user that is none of the system's.
func isPerson(users [][]string, uid int) bool {
	const firstPerson = 1000 // as everywhere (login.defs(5))
	for _, user := range users {
		if user[2] == strconv.Itoa(uid) {
			shell := filepath.Base(user[6])
			return uid >= firstPerson && uid != nobody && shell != "nologin" && shell != "false"
		}
	}
	return false // of a container, or of a service manager (DynamicUser=)
}

// besides are programs of the same user and group that are no Blnk, do not belong to it, and see
// its /proc.
func besides(pid int, rights listener.Rights) (names []string) {
	space, session := procLink(pid, "ns/pid"), listener.SessionOf(pid)
	for _, other := range listener.Scan().Others {
		its, ok := listener.RightsOf(other)
		if !ok || its.UID != rights.UID || !its.In(rights.Groups[0]) || listener.SessionOf(other) == session {
			continue
		}
		if ns := procLink(other, "ns/pid"); ns != "" && (ns == space || ns == procLink(1, "ns/pid")) {
			p, _ := listener.Look(other)
			if name := filepath.Base(p.Exe); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func procLink(pid int, name string) string {
	to, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), name))
	return to
}
