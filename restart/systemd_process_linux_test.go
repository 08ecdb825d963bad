package restart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
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
		client = "ExecStart={ path=/usr/bin/docker ; argv[]=docker run --rm image blnk workers ; ignore_errors=no }"
	)
	for _, c := range []struct {
		what, pid, command, set, want string
		role                          role
	}{
		{"as it runs", blnk, server, "", dir, role{server: true}},
		{"as it is set", blnk, server, "WorkingDirectory=" + dir, dir, role{server: true}},
		{"as it is set, by another path", blnk, server, "WorkingDirectory=!" + link, dir, role{server: true}},
		{"it runs elsewhere than it would start", blnk, server, "WorkingDirectory=/", "", role{server: true}},
		{"a container's client", other, client, "", "", role{workers: true}},
		{"nothing runs", "MainPID=0", server, "WorkingDirectory=" + dir, "", role{server: true}},
	} {
		st, err := parseState("Id=x.service\nLoadState=loaded\nActiveState=active\n" + c.pid + "\n" + c.command + "\n" + c.set)
		if err != nil {
			t.Fatal(err)
		}
		p := st.process()
		config, want := p.config(), ""
		if c.want != "" {
			want = filepath.Join(c.want, "blnk.json")
		}
		if p.role != c.role || !samePath(config, want) {
			t.Errorf("%s: %+v, %q; want %+v, %q", c.what, p.role, config, c.role, want)
		}
	}
}
