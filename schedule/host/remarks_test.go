package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/schedule"
)

// A link that leads to the program stays what it is called; one that leads elsewhere,
// or a word that no folder of PATH has, does not name it.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	exe, link, other := filepath.Join(dir, "blnkctl-1.2"), filepath.Join(dir, "blnkctl"), filepath.Join(dir, "other")
	write(t, exe, "")
	write(t, other, "")
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	for arg0, want := range map[string]string{"blnkctl": link, link: link, "other": exe, other: exe, "nowhere": exe, "./blnkctl": exe, "": exe} {
		if got := Program(arg0, exe, "/nowhere:"+dir); got != want {
			t.Errorf("%q: %s, want %s", arg0, got, want)
		}
	}
}

func TestPath(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	for path, mode := range map[string]os.FileMode{dir: 0o755, open: 0o777} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		if err := errors.Join(os.Chmod(open, 0o775), os.Chown(open, 0, 50)); err != nil {
			t.Fatal(err)
		}
		if got := Path(open, 0); !strings.HasPrefix(got, open+":") { // as Debian has /usr/local/bin
			t.Error(got)
		}
		if err := os.Chown(open, 0, 1234); err != nil {
			t.Fatal(err)
		}
	}
	got := Path(strings.Join([]string{dir, open, "relative", "/nowhere", dir, "", "/usr/bin"}, ":"), os.Getuid())
	if !strings.HasPrefix(got, dir+":/usr/bin:") || strings.Contains(got, "open") || strings.Contains(got, "nowhere") || strings.Contains(got, "relative") || strings.Count(got, dir) != 1 {
		t.Error(got)
	}
}

func TestRemarks(t *testing.T) {
	temp := filepath.Join(t.TempDir(), "blnkctl")
	write(t, temp, "")
	job := schedule.Job{Facts: schedule.Facts{Program: temp, Root: true, User: "root"}}
	all := strings.Join(Host{Root: true}.Remarks(Systemd, job, 0, false), "; ")
	if !strings.Contains(all, "will not last") || !strings.Contains(all, "nobody hears") {
		t.Error(all)
	}
	job.Program = "/bin/sh"
	if all = strings.Join(Host{Root: true}.Remarks(Systemd, job, 0, true), "; "); all != "" {
		t.Error(all)
	}
	t.Setenv("TMPDIR", "/nowhere")
	if err := os.Chmod(temp, 0o777); err != nil {
		t.Fatal(err)
	}
	job.Program = temp
	if all = strings.Join(Host{Root: true}.Remarks(Cron, job, 0, true), "; "); !strings.Contains(all, "others can write "+temp) {
		t.Error(all)
	}
}
