package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/blnkctl/blnkctl/schedule"
)

// crons are where the program that runs crontabs is: Debian's, cronie's, busybox's.
var crons = []string{"/usr/sbin/cron", "/usr/sbin/crond", "/sbin/crond", "/usr/bin/crond"}

// Program is the path by which this program was started, arg0, where that leads to exe,
// its file: a link stays right when what it leads to is replaced by a new version.
func Program(arg0, exe, path string) string {
	candidates := []string{arg0}
	if !strings.Contains(arg0, "/") {
		candidates = candidates[:0]
		for _, dir := range filepath.SplitList(path) {
			candidates = append(candidates, filepath.Join(dir, arg0))
		}
	}
	own, err := os.Stat(exe)
	for _, c := range candidates {
		if info, failed := os.Stat(c); err == nil && failed == nil && filepath.IsAbs(c) && os.SameFile(own, info) {
			return filepath.Clean(c)
		}
	}
	return exe
}

// Path is the PATH of a schedule: the folders of this one that are there and that nobody
// else can write, then those in which programs are on any system.
func Path(path string, uid int) string {
	var dirs []string
	for _, dir := range append(filepath.SplitList(path), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin") {
		if filepath.IsAbs(dir) && !strings.ContainsAny(dir, "\n%") && !slices.Contains(dirs, dir) && ours(dir, uid) {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, ":")
}

// ours says whether nobody but root and this user can write a file or folder. Debian's
// group staff (50) may write /usr/local: to its members that is as good as being root.
func ours(path string, uid int) bool {
	const staff = 50
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	return ok && (st.Uid == 0 || int(st.Uid) == uid) && mode&0o002 == 0 && (mode&0o020 == 0 || st.Gid == 0 || st.Gid == staff)
}

// Remarks are what may keep the job from running, or anybody from hearing of a failure.
// told: blnkctl.yaml says who is told.
func (h Host) Remarks(kind Kind, job schedule.Job, uid int, told bool) (all []string) {
	p := job.Program
	switch {
	case strings.HasPrefix(p, os.TempDir()+"/") || strings.Contains(p, "/go-build"):
		all = append(all, p+" is a file that will not last: install it, and make the schedule with that one")
	case !ours(p, uid) || !ours(filepath.Dir(p), uid):
		all = append(all, "others can write "+p+", or its folder, and so do what "+job.User+" may: install it where only root can, as in /usr/local/bin")
	case job.Root && (strings.HasPrefix(p, "/home/") || strings.HasPrefix(p, "/root/")):
		all = append(all, p+" is in the home of a user: install it in /usr/local/bin, where it stays")
	}
	switch {
	case told:
	case kind == Cron && !Mails():
		all = append(all, "cron finds no sendmail here, so that nobody hears of a failure: install one, or say in blnkctl.yaml who is told (notify:)")
	case kind == Systemd && job.Mail == "":
		all = append(all, "nobody hears of a failure: --mail ADDRESS, or notify: in blnkctl.yaml")
	case kind == Systemd && job.Mail != "" && !Mails():
		all = append(all, "there is no sendmail here that could mail a failure")
	}
	if slices.ContainsFunc(job.Args, func(arg string) bool { return arg == "--on-failure" || arg == "--on-success" }) {
		all = append(all, "all can read a schedule, and the command of a hook stands in it: a secret belongs into a file that it reads")
	}
	if kind == Cron && !slices.ContainsFunc(crons, there) {
		all = append(all, "no cron is installed here that could run it")
	}
	if kind == Systemd && !job.Root && !there("/var/lib/systemd/linger/"+job.User) {
		all = append(all, "timers of a user run only while that user is logged in, unless: loginctl enable-linger")
	}
	return all
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// See is how a person sees what becomes of an installed schedule.
func (h Host) See(kind Kind, job schedule.Job) string {
	if kind == Cron && !slices.ContainsFunc(crons, there) {
		return "nothing runs it before a cron is installed; then " + job.When.String()
	}
	if kind == Cron {
		return "it runs " + job.When.String()
	}
	user := ""
	if !h.Root {
		user = "--user "
	}
	return "systemctl " + user + "list-timers " + schedule.Timer(job.Target) + "; journalctl " + user + "--unit=" + schedule.Service(job.Target)
}
