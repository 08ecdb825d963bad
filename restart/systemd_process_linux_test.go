package restart

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/internal/textfile"
)

// Where the main process of a unit reads its blnk.json.
func TestUnitProcess(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	start := func(argv ...string) string {
		cmd := exec.Command("sleep", "600")
		cmd.Args, cmd.Dir = argv, dir
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
		return "MainPID=" + strconv.Itoa(cmd.Process.Pid)
	}
	blnk, other := start("/usr/bin/blnk", "600"), start("docker", "600")
	const (
		server = "ExecStart={ path=/usr/bin/blnk ; argv[]=/usr/bin/blnk start ; ignore_errors=no }"
		script = "ExecStart={ path=/bin/sh ; argv[]=/bin/sh -c cp x . && exec blnk start ; ignore_errors=no }"
		client = "ExecStart={ path=/usr/bin/docker ; argv[]=docker run --rm image blnk workers ; ignore_errors=no }"
	)
	for _, c := range []struct{ what, lines, want string }{
		{"as it runs", blnk + "\n" + server, dir},
		{"as it is set", blnk + "\n" + server + "\nWorkingDirectory=" + dir, dir},
		{"as it is set, by another path", blnk + "\n" + server + "\nWorkingDirectory=!" + link, dir},
		{"it runs elsewhere than it would start", blnk + "\n" + server + "\nWorkingDirectory=/", ""},
		{"a script", blnk + "\n" + script, ""},
		{"something before it", blnk + "\n" + server + "\nExecStartPre={ path=/bin/cp ; argv[]=/bin/cp x . ; ignore_errors=no }", ""},
		{"its own migration before it", blnk + "\n" + server + "\nExecStartPre={ path=/usr/bin/blnk ; argv[]=/usr/bin/blnk migrate up ; ignore_errors=no }", dir},
		{"a container's client", other + "\n" + client, ""},
		{"nothing runs", "MainPID=0\n" + server + "\nWorkingDirectory=" + dir, dir},
		{"nothing runs, in a root of its own", "MainPID=0\n" + server + "\nWorkingDirectory=" + dir + "\nRootDirectory=/x", ""},
		{"nothing runs, nothing is set", "MainPID=0\n" + server, ""},
	} {
		st, err := parseState("Id=x.service\nLoadState=loaded\nActiveState=active\n" + c.lines)
		if err != nil {
			t.Fatal(err)
		}
		config, want := st.config(), ""
		if c.want != "" {
			want = filepath.Join(c.want, "blnk.json")
		}
		if config != want && !(config != "" && want != "" && textfile.Same(filepath.Dir(config), filepath.Dir(want))) {
			t.Errorf("%s: %q; want %q", c.what, config, want)
		}
	}
}

// A process that sees other file systems than this one: by the same path it has
// another file, so it is not known which one it reads.
func TestUnitProcessElsewhere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	dir, here, there := t.TempDir(), t.TempDir(), t.TempDir()
	for _, d := range []string{here, there} {
		write(t, filepath.Join(d, "blnk.json"))
	}
	for what, mount := range map[string]string{
		"another folder": "mount --bind " + there + " " + here,
		"another file":   "mount --bind " + filepath.Join(there, "blnk.json") + " " + filepath.Join(here, "blnk.json"),
	} {
		ready := filepath.Join(dir, what)
		cmd := exec.Command("unshare", "--mount", "sh", "-c", mount+" && cd "+here+" && touch '"+ready+"' && exec sleep 600")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
		for _, err := os.Stat(ready); err != nil; _, err = os.Stat(ready) {
			if syscall.Kill(cmd.Process.Pid, 0) != nil {
				t.Skip("no mount namespace can be had here")
			}
			runtime.Gosched()
		}
		st, err := parseState("Id=x.service\nLoadState=loaded\nActiveState=active\nMainPID=" + strconv.Itoa(cmd.Process.Pid) +
			"\nExecStart={ path=/usr/bin/blnk ; argv[]=/usr/bin/blnk start ; ignore_errors=no }\nWorkingDirectory=" + here)
		if err != nil {
			t.Fatal(err)
		}
		if config := st.config(); config != "" {
			t.Errorf("%s: %q", what, config)
		}
	}
}
