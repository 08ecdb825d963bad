package doctor

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/secret"
)

// about are facts about a key and a folder, and about no server.
func about(t *testing.T, dir string, stores ...Store) *Facts {
	t.Helper()
	f := &Facts{Sources: Sources{Dir: dir, Now: time.Now, UID: os.Geteuid()}}
	_, _ = f.stores.get(func() ([]Store, error) { return stores, nil })
	_, _ = f.view.get(func() (reach.View, error) { return reach.View{}, nil })
	return f
}

func newKey(t *testing.T) secret.Key {
	t.Helper()
	key, err := keygen.Generate(keygen.Prefixed, keygen.DefaultBits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// This repository, with its examples, hashes and what its tests are made of, is no
// finding; and all of it was looked at.
func TestThisRepository(t *testing.T) {
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []secret.Key{newKey(t), secret.New("your_strong_secret_key")} {
		f := about(t, top, Store{Ref: "s", Key: key})
		project, err := f.project(t.Context())
		if err != nil || len(project.Spills) > 0 {
			t.Errorf("%+v, %v", project, err)
		}
		for _, rule := range Rules() {
			if !slices.Contains([]string{"BLNK-1.20", "BLNK-1.21", "BLNK-2.20", "BLNK-2.21", "BLNK-2.22", "BLNK-2.23"}, rule.ID) {
				continue
			}
			if found, err := tell(t, f, rule.check); len(found) > 0 || err != nil && !errors.Is(err, ErrNothing) {
				t.Errorf("%s: %+v, %v", rule.ID, found, err)
			}
		}
	}
}

func TestKindOf(t *testing.T) {
	for name, want := range map[string]string{
		"Dockerfile": "Dockerfile", "api.dockerfile": "Dockerfile", "a/b/Dockerfile.prod": "Dockerfile",
		"docker-compose.prod.yml": "compose file", "x/compose.yaml": "compose file", "compose.txt": "",
		".github/workflows/a.yml": "CI file", "sub/.github/workflows/a.yaml": "CI file", "workflows/a.yml": "", ".gitlab-ci.yml": "CI file", "Jenkinsfile": "CI file",
		"settings.yaml": "", "blnk.json": "", ".env": "",
	} {
		if got := kindOf(name, ""); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := kindOf("deploy/secret.yaml", "apiVersion: v1\nkind: Secret\n"); got != "Kubernetes manifest" {
		t.Errorf("%q", got)
	}
}

// start runs sleep under another name and as another user until the test ends.
func start(t *testing.T, path, dir string, uid uint32, env ...string) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err == nil {
		var text []byte
		text, err = os.ReadFile(sleep)
		err = errors.Join(err, os.WriteFile(path, text, 0o755), os.Chmod(path, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "600")
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
}

// openDir is a folder that other users reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Who has to read a file keeps being able to, whatever is taken from the others.
func TestModeOfAnotherUsers(t *testing.T) {
	needs.Namespaces().For(t) // root in a usual container may not look into the processes of others, either
	const user = 4321
	dir, key := openDir(t), newKey(t)
	path := filepath.Join(dir, "blnk.json")
	if err := errors.Join(os.WriteFile(path, []byte(key.Reveal()), 0o644), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	start(t, filepath.Join(dir, "blnk"), dir, user)
	f := about(t, dir, Store{Ref: "s", Path: path, Key: key})
	found, err := tell(t, f, modes)
	if err != nil || len(found) != 1 || found[0].Fix == nil || !strings.Contains(found[0].Fix.Diff, "mode 0644 -> 0640, group 0 -> 4321") {
		t.Fatalf("%+v, %v", found, err)
	}
	if err := found[0].Fix.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil || st.Gid != user || st.Mode&0o777 != 0o640 {
		t.Errorf("group %d, mode %o, %v", st.Gid, st.Mode&0o777, err)
	}
	if found, err := tell(t, f, modes); err != nil || len(found) > 0 {
		t.Errorf("again: %+v, %v", found, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	if found, err := tell(t, f, modes); err != nil || len(found) != 1 || !strings.HasPrefix(found[0].Text, "its group can replace the key") {
		t.Errorf("written by the group: %+v, %v", found, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	// A named user of an access list is not seen in the mode.
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 2, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255}
	if err := syscall.Setxattr(path, "system.posix_acl_access", acl, 0); errors.Is(err, syscall.ENOTSUP) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if found, err := tell(t, f, modes); err != nil || len(found) != 1 || !strings.HasPrefix(found[0].Remedy, "getfacl ") {
		t.Errorf("with a list: %+v, %v", found, err)
	}
}

// Another service under the user of Blnk can read its environment; another Blnk has the
// key itself, and a person's own programs are the person.
func TestEnvirons(t *testing.T) {
	needs.Namespaces().For(t) // root in a usual container may not look into the processes of others, either
	key := newKey(t)
	for name, c := range map[string]struct {
		uid uint32
		env string
		beside,
		want string
	}{
		"alone":            {unused(t, 400), "K=" + key.Reveal(), "", ""},
		"another service":  {unused(t, 500), "K=" + key.Reveal(), "gateway", "gateway"},
		"without the key":  {unused(t, 600), "K=v", "gateway", ""},
		"of a container":   {unused(t, 1<<30), "K=" + key.Reveal(), "gateway", "gateway"},
		"nobody, as other": {nobody, "K=" + key.Reveal(), "gateway", "gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := openDir(t)
			start(t, filepath.Join(dir, "blnk"), "/", c.uid, c.env)
			if c.beside != "" {
				start(t, filepath.Join(dir, c.beside), "/", c.uid)
			}
			found, err := tell(t, about(t, dir, Store{Ref: "s", Key: key}), environs)
			if err != nil && !errors.Is(err, ErrNothing) {
				t.Fatal(err)
			}
			text := ""
			for _, one := range found {
				text += one.Text
				if strings.Contains(one.Text+strings.Join(one.Evidence, ""), key.Reveal()) {
					t.Error("the key shows")
				}
			}
			_, names, _ := strings.Cut(text, "/proc/PID/environ: ")
			if c.uid == nobody { // of whom every host may have more
				names = strings.Join(slices.DeleteFunc(strings.Split(names, ", "), func(name string) bool { return name != c.want }), "")
			}
			if (c.want == "") != (text == "") || names != c.want {
				t.Errorf("%q, want %q", text, c.want)
			}
		})
	}
}

// unused is a user whom this host does not know, and as whom nothing runs.
func unused(t *testing.T, from uint32) uint32 {
	t.Helper()
	for range 1000 {
		uid := from + rand.Uint32N(100)
		_, unknown := user.LookupId(strconv.Itoa(int(uid)))
		if unknown != nil && !slices.ContainsFunc(listener.All(), func(pid int) bool {
			rights, ok := listener.RightsOf(pid)
			return ok && rights.UID == int(uid)
		}) {
			return uid
		}
	}
	t.Fatal("processes run as all of them")
	return 0
}

func TestIsPerson(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	const text = "root:x:0:0:root:/root:/bin/bash\npostgres:x:105:105::/var/lib/postgresql:/bin/bash\nann:x:1000:1000::/home/ann:/bin/zsh\n" +
		"blnk:x:1001:1001::/srv:/usr/sbin/nologin\nnobody:x:65534:65534::/:/bin/sh\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[int]bool{0: false, 105: false, 1000: true, 1001: false, 65534: false, 4404: false} {
		if got := isPerson(accountsOf(path, 7), uid); got != want {
			t.Errorf("%d: %v", uid, got)
		}
	}
}
